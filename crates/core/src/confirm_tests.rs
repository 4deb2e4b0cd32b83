//! What counts as a jump of errors, and when a change goes back.

use super::*;

fn counts(errors: u64, requests: u64) -> Counts {
    Counts { requests, errors }
}

fn at(seconds: u64) -> Time {
    Time::ZERO + Duration::from_secs(seconds)
}

#[test]
fn a_jump_is_more_than_chance() {
    for (before, after, expected) in [
        (counts(0, 1000), counts(10, 20), true),
        (counts(0, 1000), counts(9, 18), false),
        (counts(0, 1000), counts(10, 1000), false),
        (counts(0, 1000), counts(50, 1000), true),
        // 5 % before: 10 of 100 may be chance, 12 are not.
        (counts(50, 1000), counts(10, 100), false),
        (counts(50, 1000), counts(12, 100), true),
        // What was bad already is not held against the change.
        (counts(900, 1000), counts(95, 100), false),
        (counts(900, 1000), counts(10, 1000), false),
        // Nothing to compare with.
        (counts(0, 0), counts(10, 100), true),
        (counts(0, 0), counts(0, 100), false),
    ] {
        assert_eq!(jumps(before, after), expected, "{before:?} {after:?}");
    }
}

#[test]
fn a_change_goes_back_when_its_time_is_over() {
    let mut trial = Trial::new(at(10), Duration::from_secs(60), counts(0, 100), counts(7, 5000));
    assert_eq!(trial.poll(at(11), counts(7, 5100)), None);
    assert_eq!(trial.poll(at(69), counts(9, 9000)), None);
    assert_eq!(trial.poll(at(70), counts(9, 9000)), Some(GoBack::Late(Duration::from_secs(60))));
}

#[test]
fn a_change_goes_back_at_once_when_errors_jump() {
    let mut trial = Trial::new(at(10), Duration::from_secs(60), counts(1, 100), counts(7, 5000));
    assert_eq!(trial.poll(at(11), counts(12, 5010)), None);
    let went = trial.poll(at(12), counts(27, 5020)).expect("it goes back");
    assert!(went.is_for_errors());
    assert_eq!(
        went.to_string(),
        "errors jumped: 20 of 20 requests (100.0 %) failed after the reload, 1 of 100 requests (1.0 %) within the minute before it"
    );
}

#[test]
fn errors_that_come_late_are_not_hidden_by_the_time_before() {
    let mut trial = Trial::new(at(0), Duration::from_secs(3600), counts(0, 100), counts(0, 0));
    for second in 1..3000 {
        assert_eq!(trial.poll(at(second), counts(0, second * 100)), None);
    }
    let total = 2999 * 100;
    let went =
        (1..30).find_map(|second| trial.poll(at(2999 + second), counts(second * 20, total + second * 100)));
    assert!(went.expect("it goes back").is_for_errors());
}

#[test]
fn counts_that_were_forgotten_are_no_errors() {
    assert_eq!(counts(3, 10).since(counts(5, 50)), counts(0, 0));
    let mut trial = Trial::new(at(0), Duration::from_secs(60), counts(0, 100), counts(50, 1000));
    assert_eq!(trial.poll(at(1), counts(0, 100)), None);
}

#[test]
fn the_history_holds_a_minute() {
    let mut history = History::default();
    assert_eq!(history.recent(counts(5, 5)), counts(0, 0));
    for second in (0..600).step_by(10) {
        history.note(at(second), counts(second, second * 10));
    }
    assert!(history.0.len() <= 8, "{}", history.0.len());
    let recent = history.recent(counts(590, 5900));
    assert!((600..=700).contains(&recent.requests), "{recent}");
}
