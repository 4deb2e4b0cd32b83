//! Answers of PostgreSQL as they come over the wire, whole, cut, oversized and random.

use proptest::prelude::*;

use super::*;

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

fn row(columns: &[Option<&str>]) -> Vec<u8> {
    let mut body = u16::try_from(columns.len()).unwrap().to_be_bytes().to_vec();
    for column in columns {
        match column {
            None => body.extend((-1_i32).to_be_bytes()),
            Some(text) => {
                body.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
                body.extend(text.as_bytes());
            }
        }
    }
    message(b'D', &body)
}

fn error(code: &str, text: &str) -> Vec<u8> {
    message(b'E', format!("SFATAL\0C{code}\0M{text}\0\0").as_bytes())
}

#[track_caller]
fn check_row(columns: &[Option<&str>], expected: Option<Claim>) {
    let expected = expected.map(|claim| vec![PostgresAnswer::Claim(claim)]);
    assert_eq!(read_postgres(&row(columns)), expected, "{columns:?}");
}

fn said(role: DatabaseRole, timeline: u32, position: u64) -> Claim {
    Claim { role, lineage: Lineage::Timeline { system: 7, timeline }, position, unsynced: None }
}

#[test]
fn a_primary_tells_the_timeline_that_it_writes_and_a_replica_that_of_its_control_file() {
    let file = Some("0000000B0000000000000003");
    check_row(
        &[Some("f"), Some("16/B374D848"), file, Some("1"), Some("7")],
        Some(said(DatabaseRole::Primary, 11, 0x16_B374_D848)),
    );
    check_row(
        &[Some("t"), Some("0/3000060"), None, Some("1"), Some("7")],
        Some(said(DatabaseRole::Replica, 1, 0x300_0060)),
    );
    check_row(&[Some("t"), None, None, Some("1"), Some("7")], Some(said(DatabaseRole::Replica, 1, 0)));
}

#[test]
fn rows_that_are_no_answer_are_refused() {
    for columns in [
        &[Some("f")][..],
        &[Some("x"), Some("0/0"), None, Some("1"), Some("7")],
        &[None, Some("0/0"), None, Some("1"), Some("7")],
        &[Some("f"), Some("nonsense"), None, Some("1"), Some("7")],
        &[Some("f"), Some("0/0"), Some("short"), Some("1"), Some("7")],
        &[Some("f"), Some("0/0"), None, None, Some("7")],
        &[Some("f"), Some("0/0"), None, Some("1"), Some("7"), Some("more")],
    ] {
        check_row(columns, None);
    }
}

#[test]
fn errors_say_what_is_wrong_in_words_that_an_operator_can_act_on() {
    for (code, text, expected) in [
        ("28P01", "password authentication failed for user \"p\"", "wrong user or password: password auth"),
        ("28000", "no pg_hba.conf entry for host", "access refused, see pg_hba.conf: no pg_hba.conf entry"),
        ("3D000", "database \"x\" does not exist", "no such database: database \"x\""),
        ("53300", "sorry, too many clients already", "too many connections: sorry"),
        ("57P03", "the database system is starting up", "not ready: the database system is starting up"),
        ("XX000", "oops\nforged", "error XX000: oops forged"),
    ] {
        let answers = read_postgres(&error(code, text)).unwrap();
        let [PostgresAnswer::Refused(failure)] = &*answers else { panic!("{answers:?}") };
        assert!(failure.to_string().starts_with(expected), "{failure}");
    }
}

#[test]
fn a_message_that_is_cut_or_too_long_is_none() {
    let whole = row(&[Some("t"), Some("0/0"), None, Some("1"), Some("7")]);
    for length in 0..whole.len() {
        assert_ne!(read_postgres(&whole[..length]).map(|answers| answers.len()), Some(1));
    }
    let mut buf = [&[b'D'][..], &(i32::MAX).to_be_bytes()].concat();
    assert!(next(&mut buf).is_err(), "it is not waited for");
}

proptest! {
    #[test]
    fn whatever_comes_is_read_or_refused(
        tag in prop::sample::select(b"RSKZDTCENIHGWs1".to_vec()),
        body in prop::collection::vec(any::<u8>(), 0..200),
        rest in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        read_postgres(&[message(tag, &body), rest].concat());
    }
}
