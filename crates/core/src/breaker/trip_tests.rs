//! Tests of the circuit breaker: when it opens, what it lets through then, and how it closes.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::health::LiveTraffic;

fn settings() -> Settings {
    Settings {
        on: evenkeel_config::FailureOn::default(),
        failures: Some(50),
        slow: Some(50),
        slow_after: Duration::from_secs(2),
        window: Duration::from_secs(10),
        requests_min: 4,
        open_for: Duration::from_secs(10),
        trials: 2,
    }
}

const BAD: Outcome = Outcome::Ended { of: LiveTraffic::Requests, failed: true, took: Duration::ZERO };
const GOOD: Outcome = Outcome::Ended { of: LiveTraffic::Requests, failed: false, took: Duration::ZERO };
const SLOW: Outcome =
    Outcome::Ended { of: LiveTraffic::Requests, failed: false, took: Duration::from_secs(2) };

fn at(seconds: u64) -> Time {
    Time::from_millis(seconds * 1000)
}

fn admit(trip: &Trip, now: Time) -> Result<Pass, Refused> {
    trip.admit(&settings(), now).0
}

/// A request that ends at once.
fn end(trip: &Trip, outcome: Outcome, now: Time) -> Option<CircuitChange> {
    let pass = admit(trip, now).expect("the circuit lets it through");
    trip.settle(pass, outcome, &settings(), now)
}

/// A circuit that opened at `now`.
fn opened(now: Time) -> Trip {
    let trip = Trip::default();
    (0..3).for_each(|_| assert_eq!(end(&trip, BAD, now), None));
    let change = end(&trip, BAD, now).expect("the fourth failure opens it");
    assert_eq!((change.from, change.to), (CircuitState::Closed, CircuitState::Open));
    assert!(change.reason.contains("4 of 4 requests failed"), "{}", change.reason);
    trip
}

#[test]
fn it_opens_at_the_share_of_failures_and_not_below() {
    let trip = Trip::default();
    for outcome in [GOOD, GOOD, GOOD, BAD, BAD] {
        assert_eq!(end(&trip, outcome, at(1)), None, "at most two of five");
    }
    assert!(end(&trip, BAD, at(1)).is_some(), "three of six");
    assert_eq!(admit(&trip, at(2)), Err(Refused { after: Duration::from_secs(9) }));
}

#[test]
fn it_tells_since_when_and_why_it_is_open() {
    assert_eq!(Trip::default().description(at(1)), None);
    let trip = opened(at(1));
    let why = "opened 3.0s ago, for 7.0s more: 4 of 4 requests failed within 10s; open for 10s";
    assert_eq!(trip.description(at(4)).as_deref(), Some(why));
    assert!(admit(&trip, at(11)).is_ok());
    let trials = "half open for 1.0s, and its trials are under way";
    assert_eq!(trip.description(at(12)).as_deref(), Some(trials));
}

#[test]
fn it_opens_at_the_share_of_slow_requests() {
    let trip = Trip::default();
    for outcome in [GOOD, SLOW, GOOD] {
        assert_eq!(end(&trip, outcome, at(1)), None);
    }
    assert!(end(&trip, SLOW, at(1)).is_some_and(|change| change.reason.contains("took 2s or longer")));
}

#[test]
fn its_reason_names_what_has_failed() {
    for (of, failed, slow) in [
        (LiveTraffic::Requests, "4 of 4 requests failed within 10s", "4 of 4 requests took 2s or longer"),
        (LiveTraffic::Connections, "4 of 4 connections failed within 10s", "4 of 4 connections took 2s"),
        (LiveTraffic::Sessions, "4 of 4 sessions failed within 10s", "4 of 4 sessions took 2s or longer"),
    ] {
        for (is_failed, expected) in [(true, failed), (false, slow)] {
            let (trip, took) = (Trip::default(), Duration::from_secs(2));
            let outcome = Outcome::Ended { of, failed: is_failed, took };
            let changes = [(); 4].map(|()| end(&trip, outcome, at(1)));
            let reason = &changes[3].as_ref().unwrap().reason;
            assert!(reason.contains(expected), "{reason}");
        }
    }
}

#[test]
fn what_is_not_configured_does_not_trip() {
    let (trip, deaf) = (Trip::default(), Settings { failures: None, slow: None, ..settings() });
    for outcome in [BAD, SLOW].repeat(20) {
        let pass = trip.admit(&deaf, at(1)).0.expect("closed");
        assert_eq!(trip.settle(pass, outcome, &deaf, at(1)), None);
    }
}

#[test]
fn failures_of_long_ago_do_not_count() {
    let trip = Trip::default();
    (0..3).for_each(|_| drop(end(&trip, BAD, at(1))));
    assert_eq!(end(&trip, BAD, at(12)), None);
}

#[test]
fn it_lets_trials_through_after_its_time_and_closes_when_all_succeed() {
    let trip = opened(at(0));
    assert!(admit(&trip, at(9)).is_err());
    let (first, change) = trip.admit(&settings(), at(10));
    assert_eq!(change.map(|change| change.to), Some(CircuitState::HalfOpen));
    let (first, second) = (first.expect("a trial"), admit(&trip, at(10)).expect("another"));
    assert!(admit(&trip, at(10)).is_err(), "no third at the same time");
    assert_eq!(trip.settle(first, GOOD, &settings(), at(11)), None);
    let change = trip.settle(second, GOOD, &settings(), at(11)).expect("both have succeeded");
    assert_eq!((change.to, trip.is_closed()), (CircuitState::Closed, true));
    assert_eq!(end(&trip, BAD, at(11)), None, "it has forgotten the failures before");
}

#[test]
fn a_failed_trial_opens_it_again_for_twice_as_long_up_to_ten_times() {
    let trip = opened(at(0));
    let mut now = 10;
    for open_for in [20, 40, 80, 100, 100] {
        let change = end(&trip, BAD, at(now)).expect("a failed trial");
        assert!(change.reason.contains(&format!("open for {open_for}s")), "{}", change.reason);
        assert!(admit(&trip, at(now + open_for - 1)).is_err());
        now += open_for;
    }
    (0..2).for_each(|_| drop(end(&trip, GOOD, at(now))));
    (0..3).for_each(|_| drop(end(&trip, BAD, at(now))));
    assert!(end(&trip, BAD, at(now)).is_some_and(|change| change.reason.contains("open for 10s")));
}

#[test]
fn a_trial_whose_client_left_gives_its_place_back() {
    let trip = opened(at(0));
    for _ in 0..5 {
        assert_eq!(end(&trip, Outcome::Unknown, at(10)), None);
    }
    assert_eq!(trip.state().0, CircuitState::HalfOpen);
}

#[test]
fn what_began_before_it_opened_changes_nothing() {
    let trip = Trip::default();
    let before: Vec<Pass> = (0..8).map(|_| admit(&trip, at(0)).expect("closed")).collect();
    (0..4).for_each(|_| drop(end(&trip, BAD, at(0))));
    (0..2).for_each(|_| drop(end(&trip, GOOD, at(10))));
    assert!(trip.is_closed());
    for pass in before {
        assert_eq!(trip.settle(pass, BAD, &settings(), at(10)), None);
    }
    assert!(trip.is_closed());
}

proptest! {
    /// Whatever happens: what it admits while it is not closed are trials, never more at a time than allowed; it opens
    /// only upon enough bad ends; and each change begins where the one before ended.
    #[test]
    fn its_states_follow_one_another(
        steps in prop::collection::vec((0_u64..4_000, 0_u8..5, any::<prop::sample::Index>()), 1..300)
    ) {
        let (trip, settings) = (Trip::default(), settings());
        let (mut now, mut held, mut state) = (Time::ZERO, Vec::<Pass>::new(), CircuitState::Closed);
        for (step, what, which) in steps {
            now = now + Duration::from_millis(step);
            let change = if what == 0 || held.is_empty() {
                let (admitted, change) = trip.admit(&settings, now);
                let after = change.as_ref().map_or(state, |change| change.to);
                match admitted {
                    Ok(pass) => {
                        prop_assert_eq!(pass.is_trial, after == CircuitState::HalfOpen);
                        held.push(pass);
                    }
                    Err(_) => prop_assert_ne!(after, CircuitState::Closed),
                }
                change
            } else {
                let pass = held.swap_remove(which.index(held.len()));
                let outcome = [GOOD, BAD, SLOW, Outcome::Unknown][usize::from(what) - 1];
                trip.settle(pass, outcome, &settings, now)
            };
            if let Some(change) = change {
                prop_assert_eq!(change.from, state);
                state = change.to;
            }
            prop_assert_eq!(trip.state().0, state);
            prop_assert_eq!(trip.is_closed(), state == CircuitState::Closed);
            let round = (trip.glance.load(Acquire) >> 1) as u32;
            let trials = held.iter().filter(|pass| pass.is_trial && pass.round == round).count();
            prop_assert!(state != CircuitState::HalfOpen || trials <= settings.trials as usize);
        }
    }
}

#[test]
fn a_pass_is_honoured_until_the_circuit_changes() {
    let trip = Trip::default();
    let before = admit(&trip, at(0)).unwrap();
    assert!(trip.honours(before));
    (0..4).for_each(|_| drop(end(&trip, BAD, at(0))));
    assert!(!trip.honours(before), "it is open");
    let trial = admit(&trip, at(10)).unwrap();
    assert!(trip.honours(trial) && !trip.honours(before), "it is half open");
    assert!(trip.settle(admit(&trip, at(10)).unwrap(), BAD, &settings(), at(10)).is_some());
    assert!(!trip.honours(trial), "it is open again");
    let trials = [(); 2].map(|()| admit(&trip, at(60)).unwrap());
    for trial in trials {
        trip.settle(trial, GOOD, &settings(), at(60));
    }
    assert!(trip.is_closed() && !trip.honours(trials[0]) && trip.honours(admit(&trip, at(60)).unwrap()));
}
