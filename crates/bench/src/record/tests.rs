//! How requests are counted, and corrected for coordinated omission.

use super::*;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn turn(intended: u64, sent: u64) -> Turn {
    Turn { intended: ms(intended), sent: ms(sent), lateness: Duration::ZERO, waited: sent > intended }
}

fn answer(status: u16, server: Option<&str>) -> Result<Answer, Failure> {
    Ok(Answer { status, bytes: 10, server: server.map(str::to_owned) })
}

fn counted(record: &mut Record, turn: Turn, done: u64, result: &Result<Answer, Failure>) {
    record.count(&Ended { request: 0, turn, done: ms(done), result });
}

/// Within the precision of three digits.
fn about(micros: u64, expected_ms: u64) -> bool {
    micros.abs_diff(expected_ms * 1_000) <= expected_ms * 2
}

#[test]
fn a_stall_counts_for_every_request_that_should_have_started_in_it() {
    // 200 a second over one connection: the first takes 300 ms, and all others are answered at once.
    let mut record = Record::new(1, Duration::ZERO, ms(100), false);
    for number in 0..100 {
        let intended = number * 5;
        let (sent, done) = if number == 0 { (0, 300) } else { (intended.max(300), intended.max(300) + 1) };
        counted(&mut record, turn(intended, sent), done, &answer(200, None));
    }
    let corrected = &record.total.latency;
    assert!(about(corrected.value_at_quantile(0.9), 251), "{}", corrected.value_at_quantile(0.9));
    assert!(about(corrected.value_at_quantile(0.5), 51), "{}", corrected.value_at_quantile(0.5));
    assert!(about(record.from_sent.value_at_quantile(0.99), 1));
    assert!(about(record.from_sent.max(), 300));
    assert_eq!(record.waited, 59);
}

#[test]
fn the_warm_up_does_not_count() {
    let mut record = Record::new(1, ms(1_000), ms(100), false);
    counted(&mut record, turn(999, 999), 1_500, &answer(200, None));
    counted(&mut record, turn(1_000, 1_000), 1_250, &answer(200, None));
    assert_eq!(record.total.requests(), 1);
    assert_eq!(record.intervals.len(), 3);
    assert_eq!(record.intervals[2].responses, 1);
}

#[test]
fn errors_are_told_apart_and_those_without_a_response_have_no_latency() {
    let mut record = Record::new(1, Duration::ZERO, ms(100), false);
    let failure = |fault, why: &str| Err(Failure { fault, why: why.to_owned() });
    for result in [
        answer(200, None),
        answer(404, None),
        answer(503, None),
        failure(Fault::Reset, "first"),
        failure(Fault::Reset, "second"),
        failure(Fault::Timeout, "late"),
    ] {
        counted(&mut record, turn(0, 0), 10, &result);
    }
    let total = &record.total;
    assert_eq!((total.requests(), total.responses(), total.errors()), (6, 3, 5));
    assert_eq!(total.faults, [0, 0, 1, 2, 0]);
    assert_eq!(total.latency.len(), 3);
    assert_eq!(record.first_failures[Fault::Reset as usize].as_deref(), Some("first"));
    assert_eq!((record.intervals[0].responses, record.intervals[0].errors), (3, 5));
}

#[test]
fn servers_are_told_apart_up_to_a_bound() {
    let mut record = Record::new(1, Duration::ZERO, ms(100), true);
    counted(&mut record, turn(0, 0), 10, &answer(200, None));
    for number in 0..150 {
        counted(&mut record, turn(0, 0), 10, &answer(200, Some(&format!("server-{number}"))));
    }
    assert_eq!(record.by_server.len(), SERVERS_MAX + 1);
    assert_eq!(record.by_server[UNNAMED].requests(), 1);
    assert_eq!(record.by_server[OTHERS].requests(), 51);
}

#[test]
fn threads_are_added_up() {
    let mut sum = Record::new(1, Duration::ZERO, ms(100), true);
    for (server, done) in [("a", 10), ("b", 250)] {
        let mut record = Record::new(1, Duration::ZERO, ms(100), true);
        record.connections = 2;
        counted(&mut record, turn(0, 5), done, &answer(200, Some(server)));
        sum.add(&record);
    }
    assert_eq!((sum.total.requests(), sum.total.bytes, sum.waited, sum.connections), (2, 20, 2, 4));
    assert!(about(sum.total.latency.max(), 250) && about(sum.from_sent.max(), 245));
    assert_eq!(sum.intervals.iter().map(|interval| interval.responses).collect::<Vec<_>>(), [1, 0, 1]);
    assert_eq!(sum.by_server.keys().map(String::as_str).collect::<Vec<_>>(), ["a", "b"]);
}
