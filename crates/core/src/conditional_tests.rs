//! Conditions in their order, and how tags and dates are compared.

use super::*;

type Lines<'a> = &'a [(&'a str, &'a str)];

const MODIFIED: Wall = Wall::from_secs(1_577_836_800);
const AT: &str = "Wed, 01 Jan 2020 00:00:00 GMT";
const BEFORE: &str = "Tue, 31 Dec 2019 23:59:59 GMT";
const AFTER: &str = "Wed, 01 Jan 2020 00:00:01 GMT";

fn of(etag: &str) -> Representation<'_> {
    let date = Some(MODIFIED.plus_millis(60_000));
    Representation { etag: Some(etag.as_bytes()), last_modified: Some(MODIFIED), date }
}

fn full(evaluator: Evaluator, safe: bool, head: Lines<'_>) -> Outcome {
    evaluate(head, evaluator, (safe, 200), &of("\"a\""))
}

#[test]
fn tags_that_match_are_not_modified() {
    let check = |etag: &str, asked: Lines<'_>, expected: Outcome| {
        assert_eq!(evaluate(asked, Evaluator::Cache, (true, 200), &of(etag)), expected, "{etag} {asked:?}");
    };
    for same in [
        "\"a\"",
        "W/\"a\"",
        "*",
        "\"b\", \"a\"",
        "\"a\" , \"b\"",
        "\"b\",W/\"a\",\"c\"",
        ",, \"a\"",
        "\"x,y\", \"a\"",
    ] {
        check("\"a\"", &[("if-none-match", same)], Outcome::NotModified);
        check("W/\"a\"", &[("if-none-match", same)], Outcome::NotModified);
    }
    for other in ["\"b\"", "a", "\"A\"", "\"a", "w/\"a\"", "\"\"", "", "\"b, \"a\"\""] {
        check("\"a\"", &[("if-none-match", other)], Outcome::Full);
    }
    check("\"a\"", &[("if-none-match", "\"b\""), ("if-none-match", "\"a\"")], Outcome::NotModified);
    check("\"a\\\"", &[("if-none-match", "\"a\\\", \"c\"")], Outcome::NotModified);
    check("\"\u{fc}\"", &[("if-none-match", "\"\u{fc}\"")], Outcome::NotModified);
}

#[test]
fn dates_count_only_without_tags() {
    let check = |asked: Lines<'_>, expected: Outcome| {
        assert_eq!(full(Evaluator::Cache, true, asked), expected, "{asked:?}");
    };
    check(&[("if-modified-since", AT)], Outcome::NotModified);
    check(&[("if-modified-since", AFTER)], Outcome::NotModified);
    check(&[("if-modified-since", "Wednesday, 01-Jan-20 00:00:00 GMT")], Outcome::NotModified);
    check(&[("if-modified-since", BEFORE)], Outcome::Full);
    check(&[("if-modified-since", "soon")], Outcome::Full);
    check(&[("if-modified-since", AT), ("if-modified-since", AT)], Outcome::Full);
    check(&[("if-none-match", "\"b\""), ("if-modified-since", AT)], Outcome::Full);
    check(&[("if-none-match", "\"a\""), ("if-modified-since", BEFORE)], Outcome::NotModified);
    // Without Last-Modified, the Date stands in.
    let dated = Representation { last_modified: None, ..of("\"a\"") };
    let asked =
        |since: &str| evaluate(&[("if-modified-since", since)][..], Evaluator::Cache, (true, 200), &dated);
    assert_eq!(asked(AFTER), Outcome::Full);
    assert_eq!(asked("Wed, 01 Jan 2020 00:01:00 GMT"), Outcome::NotModified);
}

#[test]
fn preconditions_are_for_our_own_answers() {
    let check = |asked: Lines<'_>, safe: bool, expected: Outcome| {
        assert_eq!(full(Evaluator::Origin, safe, asked), expected, "{asked:?}");
    };
    check(&[("if-match", "\"a\"")], true, Outcome::Full);
    check(&[("if-match", "*")], true, Outcome::Full);
    check(&[("if-match", "\"b\"")], true, Outcome::PreconditionFailed);
    check(&[("if-match", "W/\"a\"")], true, Outcome::PreconditionFailed);
    check(&[("if-match", "\"a\""), ("if-unmodified-since", BEFORE)], true, Outcome::Full);
    check(&[("if-unmodified-since", BEFORE)], true, Outcome::PreconditionFailed);
    check(&[("if-unmodified-since", AT)], true, Outcome::Full);
    check(&[("if-unmodified-since", "soon")], true, Outcome::Full);
    check(&[("if-match", "\"a\""), ("if-none-match", "\"a\"")], true, Outcome::NotModified);
    check(&[("if-none-match", "\"a\"")], false, Outcome::PreconditionFailed);
    check(&[("if-modified-since", AT)], false, Outcome::Full);
    assert_eq!(full(Evaluator::Cache, true, &[("if-match", "\"b\"")]), Outcome::Full);
    let errors = evaluate(&[("if-none-match", "*")][..], Evaluator::Origin, (true, 404), &of("\"a\""));
    assert_eq!(errors, Outcome::Full, "an error is sent whatever the client has");
    let nothing =
        evaluate(&[("if-match", "\"a\"")][..], Evaluator::Origin, (true, 200), &Representation::default());
    assert_eq!(nothing, Outcome::PreconditionFailed);
}

#[test]
fn a_range_is_heeded_if_the_client_has_the_rest_of_the_same() {
    let check = |etag: &str, asked: Lines<'_>, expected: bool| {
        assert_eq!(range_applies(asked, &of(etag)), expected, "{etag} {asked:?}");
    };
    check("\"a\"", &[], true);
    check("\"a\"", &[("if-range", "\"a\"")], true);
    check("\"a\"", &[("if-range", "\"b\"")], false);
    check("\"a\"", &[("if-range", "W/\"a\"")], false);
    check("W/\"a\"", &[("if-range", "W/\"a\"")], false);
    check("\"a\"", &[("if-range", AT)], true);
    check("\"a\"", &[("if-range", AFTER)], false);
    check("\"a\"", &[("if-range", BEFORE)], false);
    check("\"a\"", &[("if-range", "soon")], false);
    check("\"a\"", &[("if-range", "\"a\""), ("if-range", "\"a\"")], false);
    let fresh = Representation { date: Some(MODIFIED), ..of("\"a\"") };
    assert!(!range_applies(&[("if-range", AT)][..], &fresh), "it may have changed within that second");
}

#[test]
fn no_list_of_tags_makes_it_panic() {
    let mut rng = fastrand::Rng::with_seed(5);
    let parts: [&[u8]; 8] = [b"\"", b"W/", b",", b" ", b"a", b"*", b"\\", b"\xff"];
    for _ in 0..50_000 {
        let line: Vec<u8> =
            (0..rng.usize(..10)).flat_map(|_| parts[rng.usize(..parts.len())].to_vec()).collect();
        let head = [(b"if-none-match".to_vec(), line)];
        evaluate(&head[..], Evaluator::Origin, (true, 200), &of("\"a\""));
    }
}
