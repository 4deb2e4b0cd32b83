//! Active checks: every short history of probes, and the words that users read.

use std::time::Duration;

use evenkeel_config::{Health, Probe};
use evenkeel_types::Time;

use super::{Active, ProbeFailure};
use crate::health::State;

fn settings(fall: u32, rise: u32, start_period_s: u64) -> Health {
    Health {
        probe: Probe::Tcp,
        port: None,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        fall,
        rise,
        start_period: Duration::from_secs(start_period_s),
    }
}

fn second(n: u64) -> Time {
    Time::from_millis(n * 1000)
}

/// Feeds one result a second, `+` or `-`, and writes down the state after each.
fn run(settings: &Health, results: &str) -> String {
    let mut active = Active::new(settings, Time::ZERO);
    let states = results.chars().zip(0..).map(|(result, at)| {
        let before = active.state();
        let change =
            active.observe(if result == '+' { Ok(()) } else { Err(ProbeFailure::Refused) }, second(at));
        match &change {
            Some(change) => {
                assert_eq!((change.from, change.to, change.at), (before, active.state(), second(at)))
            }
            None => assert_eq!(before, active.state(), "a change went unreported"),
        }
        match active.state() {
            State::Starting => 's',
            State::Up => 'u',
            State::Down => 'd',
            other => panic!("{other} is no state of active checks"),
        }
    });
    states.collect()
}

#[test]
fn a_server_that_says_that_it_is_not_ready_is_down_whatever_fall_says() {
    let mut active = Active::new(&settings(3, 1, 0), Time::ZERO);
    active.observe(Ok(()), second(1));
    let change =
        active.observe(Err(ProbeFailure::NotReady("not ready: it shuts down".into())), second(2)).unwrap();
    assert_eq!((change.to, change.reason.as_str()), (State::Down, "check failed: not ready: it shuts down"));
}

#[test]
fn servers_fall_and_rise_as_documented() {
    let check = |fall, rise, start, results: &str, expected: &str| {
        assert_eq!(
            run(&settings(fall, rise, start), results),
            expected,
            "fall {fall} rise {rise} start {start}"
        );
    };
    check(3, 1, 0, "+---+", "uuudu");
    check(3, 1, 0, "+--+--+---", "uuuuuuuuud");
    check(3, 2, 0, "+---+-++", "uuuddddu");
    check(1, 1, 0, "+-+-", "udud");
    // Never proven: the first word counts.
    check(3, 3, 0, "+", "u");
    check(3, 3, 0, "-+++", "dddu");
    // Booting: failures before second 3 say nothing, the one at second 3 does.
    check(3, 1, 3, "---+", "sssu");
    check(3, 1, 3, "----", "sssd");
    // Proven within the start period: the usual rules.
    check(3, 1, 60, "-+---", "suuud");
}

/// The rule written over the history instead of with counters: a streak is the history's end.
fn oracle(fall: usize, rise: usize, start: usize, results: &str) -> String {
    let mut state = 's';
    let mut states = String::new();
    for end in 1..=results.len() {
        let history = &results[..end];
        state = match state {
            's' if history.ends_with('+') => 'u',
            's' if end > start => 'd',
            'u' if history.ends_with(&"-".repeat(fall)) => 'd',
            'd' if history.ends_with(&"+".repeat(rise)) => 'u',
            same => same,
        };
        states.push(state);
    }
    states
}

#[test]
fn every_history_of_ten_probes_follows_the_rule() {
    for bits in 0..1024u32 {
        let results: String = (0..10).map(|i| if bits >> i & 1 == 1 { '+' } else { '-' }).collect();
        for (fall, rise, start) in [(1, 1, 0), (3, 1, 0), (2, 3, 0), (3, 2, 4), (1, 1, 20)] {
            let found = run(&settings(fall, rise, start), &results);
            assert_eq!(found, oracle(fall as usize, rise as usize, start as usize, &results), "{results}");
        }
    }
}

#[test]
fn reasons_name_the_cause() {
    let mut active = Active::new(&settings(2, 1, 10), Time::ZERO);
    assert_eq!(active.reason(), "not checked yet");
    active.observe(Err(ProbeFailure::Refused), second(1));
    assert_eq!(active.reason(), "still starting: connection refused");
    active.observe(Ok(()), second(2));
    assert_eq!(active.reason(), "first check passed");
    active.observe(Err(ProbeFailure::Timeout), second(3));
    assert_eq!(active.reason(), "first check passed", "one failure of two says nothing yet");
    let down = active.observe(Err(ProbeFailure::Status(500)), second(4)).unwrap();
    assert_eq!(down.reason, "2 checks in a row failed, the last: status 500");
    active.observe(Err(ProbeFailure::Resolve("no such name".into())), second(5));
    assert_eq!(active.reason(), "check failed: name not resolved: no such name");
    let body = |searched| Err(ProbeFailure::Body { text: "ready".into(), searched });
    active.observe(body(None), second(5));
    assert_eq!(active.reason(), "check failed: its body does not contain \"ready\"");
    active.observe(body(Some(65_536)), second(5));
    assert_eq!(active.reason(), "check failed: its body does not contain \"ready\" in the first 64 KiB");
    assert_eq!(active.observe(Ok(()), second(6)).unwrap().reason, "check passed");
}

#[test]
fn probes_are_spread_by_a_tenth_and_the_first_comes_at_once() {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut active = Active::new(&settings(3, 1, 0), second(7));
    let first = active.next_probe(second(7), false, &mut rng);
    assert!(first.since(second(7)) <= Duration::from_millis(5));
    active.observe(Ok(()), second(8));
    let waits: Vec<f64> = (0..1000)
        .map(|_| active.next_probe(second(8), false, &mut rng).since(second(8)).as_secs_f64())
        .collect();
    assert!(waits.iter().all(|wait| (4.5..=5.5).contains(wait)));
    let spread = |wanted: fn(f64) -> bool| waits.iter().filter(|wait| wanted(**wait)).count();
    assert!(spread(|wait| wait < 4.75) > 150 && spread(|wait| wait > 5.25) > 150, "hardly any jitter");
    active.retune(&settings(1, 1, 0));
    assert!(active.next_probe(second(9), false, &mut rng).since(second(9)) <= Duration::from_millis(5));
    assert_eq!(active.state(), State::Up);
}
