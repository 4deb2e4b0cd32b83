//! Passive checks: when failures eject a server, for how long, and what is forgotten.

use std::time::Duration;

use evenkeel_config::Outlier;
use evenkeel_types::Time;
use proptest::prelude::*;

use super::{EjectionCause, Failure, Hold, LiveFailure, LiveTraffic, Passive, PassiveVerdict};

fn settings(failures: u32) -> Outlier {
    let window = Duration::from_secs(30);
    Outlier {
        on: evenkeel_config::FailureOn::default(),
        failures,
        window,
        eject: window,
        max_ejected: 50,
        success_rate: None,
        latency: None,
        requests_min: 50,
    }
}

fn second(n: u64) -> Time {
    Time::from_millis(n * 1000)
}

fn failure(of: LiveTraffic, how: Failure) -> LiveFailure {
    LiveFailure { of, how }
}

fn is_ejected_by(passive: &mut Passive, at: u64) -> bool {
    matches!(
        passive.failure(failure(LiveTraffic::Requests, Failure::Connect), second(at), None),
        PassiveVerdict::Ejected(_)
    )
}

/// Seconds for which one failure at `at` ejects a server of `failures = 1`.
fn ejection(passive: &mut Passive, at: u64) -> u64 {
    assert!(is_ejected_by(passive, at));
    let until = passive.due().unwrap();
    assert_eq!(passive.poll(Time::from_nanos(until.as_nanos() - 1)), None, "back before its time");
    assert!(passive.poll(until).is_some());
    assert_eq!(passive.poll(until), None, "reported twice");
    until.since(second(at)).as_secs()
}

#[test]
fn enough_failures_within_the_window_eject() {
    let mut passive = Passive::new(&settings(3));
    assert!(!is_ejected_by(&mut passive, 100));
    assert!(!is_ejected_by(&mut passive, 110));
    // The first one is now 31 s old.
    assert!(!is_ejected_by(&mut passive, 131));
    assert!(is_ejected_by(&mut passive, 140));
    assert!(passive.is_ejected());
    assert_eq!(passive.reason(), "3 requests failed within 30s, the last: no connection; out for 30s");
    assert!(!is_ejected_by(&mut passive, 141), "what was in flight counts for nothing");
    let back = passive.poll(second(170)).unwrap();
    assert_eq!(back.reason, "ejection is over");
    assert!(!is_ejected_by(&mut passive, 171), "failures of before the ejection still count");
}

#[test]
fn the_reason_says_what_has_failed() {
    use LiveTraffic::{Connections, Requests, Sessions};
    for (of, what) in [
        ([Requests, Requests], "2 requests"),
        ([Connections, Connections], "2 connections"),
        ([Sessions, Sessions], "2 sessions"),
        ([Requests, Connections], "2 tries"),
    ] {
        let mut passive = Passive::new(&settings(2));
        for of in of {
            passive.failure(failure(of, Failure::Connect), second(1), None);
        }
        assert_eq!(
            passive.reason(),
            format!("{what} failed within 30s, the last: no connection; out for 30s")
        );
    }
    for (of, what) in [(Requests, "request"), (Connections, "connection"), (Sessions, "session")] {
        let mut passive = Passive::new(&settings(1));
        passive.failure(failure(of, Failure::Connect), second(1), None);
        assert_eq!(passive.reason(), format!("{what} failed: no connection; out for 30s"));
    }
}

#[test]
fn ejections_double_up_to_ten_times_and_repeats_are_forgotten() {
    let mut passive = Passive::new(&settings(1));
    let mut at = 1000;
    for expected in [30, 60, 120, 240, 300, 300, 300] {
        assert_eq!(ejection(&mut passive, at), expected);
        at += expected + 1;
    }
    // Just short of 300 s of quiet forget nothing, 300 s forget one repeat, 3000 s all.
    assert_eq!(ejection(&mut passive, at + 298), 300);
    at += 298 + 300;
    assert_eq!(ejection(&mut passive, at + 300), 240);
    at += 300 + 240;
    assert_eq!(ejection(&mut passive, at + 3000), 30);
}

#[test]
fn the_last_server_is_kept_and_that_is_said_once_a_spell() {
    for failures in [1, 3] {
        let mut passive = Passive::new(&settings(failures));
        let mut said = Vec::new();
        let hold = Some(Hold::LastUp);
        for at in (100..150).chain(300..320) {
            if let PassiveVerdict::Kept { .. } =
                passive.failure(failure(LiveTraffic::Requests, Failure::Status(503)), second(at), hold)
            {
                said.push(at);
            }
        }
        let first = u64::from(failures) - 1;
        assert_eq!(said, [100 + first, 300 + first]);
        assert!(!passive.is_ejected());
        assert!(is_ejected_by(&mut passive, 320), "another server came back: the next failure ejects");
    }
}

#[test]
fn a_server_that_stands_out_is_ejected_like_one_that_fails() {
    let mut passive = Passive::new(&settings(3));
    let stand_out = |passive: &mut Passive, at, hold| {
        passive.outlier(EjectionCause::Latency, "slow".into(), second(at), hold)
    };
    let kept = PassiveVerdict::Kept { reason: "slow".into(), hold: Hold::MaxEjected };
    assert_eq!(stand_out(&mut passive, 1, Some(Hold::MaxEjected)), kept);
    assert_eq!(stand_out(&mut passive, 2, Some(Hold::MaxEjected)), PassiveVerdict::Counted, "said twice");
    assert_eq!(passive.cause(), None);
    assert!(matches!(stand_out(&mut passive, 3, None), PassiveVerdict::Ejected(_)));
    assert_eq!((passive.cause(), passive.reason()), (Some(EjectionCause::Latency), "slow; out for 30s"));
    assert_eq!(stand_out(&mut passive, 4, None), PassiveVerdict::Counted);
}

proptest! {
    #[test]
    fn ejected_exactly_when_the_window_holds_enough(
        gaps in prop::collection::vec(0..20u64, 1..200),
        failures in 1..6u32,
    ) {
        let mut passive = Passive::new(&settings(failures));
        let mut now = 0;
        let mut since_back: Vec<u64> = Vec::new();
        for gap in gaps {
            now += gap;
            let was_out = passive.is_ejected() && passive.poll(second(now)).is_none();
            if !was_out {
                since_back.push(now);
            }
            let recent = since_back.iter().filter(|at| now - **at <= 30).count();
            let expected = !was_out && recent >= failures as usize;
            prop_assert_eq!(is_ejected_by(&mut passive, now), expected);
            if expected {
                since_back.clear();
            }
            prop_assert!(passive.failures.len() <= failures as usize);
        }
    }
}
