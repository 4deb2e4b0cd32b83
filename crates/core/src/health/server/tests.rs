//! One server: which of the things that speak against it decides, and that each change is reported once.

use std::time::Duration;

use evenkeel_config::{Health, HttpProbe, Outlier, Probe};
use evenkeel_types::Time;

use super::{Administrative, ServerHealth};
use crate::balance::Availability;
use crate::health::{Event, Failure, LiveFailure, LiveTraffic, ProbeFailure, State, Transition};

fn health() -> Health {
    Health {
        probe: Probe::Tcp,
        port: None,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        fall: 1,
        rise: 1,
        start_period: Duration::ZERO,
    }
}

fn outlier() -> Outlier {
    let window = Duration::from_secs(30);
    Outlier {
        failures: 1,
        on: evenkeel_config::FailureOn::default(),
        window,
        eject: window,
        max_ejected: 50,
        success_rate: None,
        latency: None,
        requests_min: 50,
    }
}

fn request(how: Failure) -> LiveFailure {
    LiveFailure { of: LiveTraffic::Requests, how }
}

fn second(n: u64) -> Time {
    Time::from_millis(n * 1000)
}

fn described(change: Option<Transition>) -> String {
    change.map_or("nothing".into(), |change| format!("{} -> {}: {}", change.from, change.to, change.reason))
}

#[test]
fn a_server_without_checks_is_up() {
    let server = ServerHealth::new(None, None, second(1));
    assert_eq!((server.state(), server.availability()), (State::Up, Availability::Up));
    assert_eq!((server.reason().as_str(), server.since()), ("not checked", second(1)));
    assert_eq!(server.next_probe(second(1), false, &mut fastrand::Rng::with_seed(1)), None);
}

#[test]
fn a_checked_server_is_unproven_until_it_answers() {
    let mut server = ServerHealth::new(Some(&health()), None, second(1));
    assert_eq!((server.state().as_str(), server.availability()), ("starting", Availability::Unproven));
    assert_eq!(described(server.probed(Ok(()), second(2))), "starting -> up: first check passed");
    assert_eq!((server.availability(), server.since()), (Availability::Up, second(2)));
    assert_eq!(described(server.probed(Ok(()), second(3))), "nothing");
    assert_eq!(server.since(), second(2));
    assert_eq!(
        described(server.probed(Err(ProbeFailure::Status(500)), second(4))),
        "up -> down: check failed: status 500"
    );
    assert_eq!(server.availability(), Availability::Out);
}

#[test]
fn the_operators_word_counts_first_then_active_then_passive_checks() {
    let mut server = ServerHealth::new(Some(&health()), Some(&outlier()), second(0));
    server.probed(Ok(()), second(1));
    let Some(Event::Transition(ejected)) = server.failed(request(Failure::Reset), second(2), None) else {
        panic!("one failure is enough");
    };
    assert_eq!(described(Some(ejected)), "up -> ejected: request failed: connection broken; out for 30s");
    assert_eq!(
        described(server.probed(Err(ProbeFailure::Timeout), second(3))),
        "ejected -> down: check failed: no answer in time"
    );
    assert_eq!(
        described(server.administer(Administrative::Drain, second(4))),
        "down -> draining: drained by the operator"
    );
    assert_eq!(described(server.probed(Ok(()), second(5))), "nothing");
    assert_eq!(
        described(server.administer(Administrative::Ready, second(6))),
        "draining -> ejected: out for 26s more: request failed: connection broken"
    );
    assert_eq!(server.due(), Some(second(32)));
    assert_eq!(described(server.poll(second(31))), "nothing");
    assert_eq!(described(server.poll(second(32))), "ejected -> up: ejection is over");
    assert_eq!((server.reason().as_str(), server.since()), ("ejection is over", second(32)));
}

#[test]
fn failures_on_a_server_that_is_down_do_not_eject_it() {
    let mut server = ServerHealth::new(Some(&health()), Some(&outlier()), second(0));
    server.probed(Err(ProbeFailure::Refused), second(1));
    assert_eq!(server.failed(request(Failure::Connect), second(2), None), None);
    assert_eq!(described(server.probed(Ok(()), second(3))), "down -> up: check passed");
}

#[test]
fn new_numbers_keep_the_state_and_a_new_probe_starts_over() {
    let mut server = ServerHealth::new(Some(&health()), Some(&outlier()), second(0));
    server.probed(Err(ProbeFailure::Refused), second(1));
    let slower = Health { interval: Duration::from_secs(9), ..health() };
    assert_eq!(described(server.reconfigure(Some(&slower), Some(&outlier()), second(2))), "nothing");
    assert_eq!(server.state(), State::Down);
    let elsewhere = Health { port: Some(8081), ..slower.clone() };
    assert_eq!(
        described(server.reconfigure(Some(&elsewhere), Some(&outlier()), second(3))),
        "down -> starting: not checked yet"
    );
    server.probed(Err(ProbeFailure::Refused), second(3));
    let probe = Probe::Http(HttpProbe { path: "/ok".into(), ..HttpProbe::default() });
    let other = Health { probe, ..slower };
    assert_eq!(
        described(server.reconfigure(Some(&other), Some(&outlier()), second(3))),
        "down -> starting: not checked yet"
    );
    assert_eq!(described(server.reconfigure(None, None, second(4))), "starting -> up: not checked");
}

#[test]
fn an_unchanged_outlier_keeps_an_ejection_and_a_changed_one_ends_it() {
    let mut server = ServerHealth::new(None, Some(&outlier()), second(0));
    server.failed(request(Failure::Timeout), second(1), None);
    assert_eq!(described(server.reconfigure(None, Some(&outlier()), second(2))), "nothing");
    assert_eq!(server.state(), State::Ejected);
    let other = Outlier { failures: 9, ..outlier() };
    assert_eq!(described(server.reconfigure(None, Some(&other), second(3))), "ejected -> up: not checked");
}

#[test]
fn an_ejection_that_a_failed_check_had_hidden_says_how_much_of_it_is_left() {
    let mut server = ServerHealth::new(Some(&health()), Some(&outlier()), second(0));
    server.probed(Ok(()), second(0));
    let ejected = server.failed(request(Failure::Connect), second(1), None);
    let Some(Event::Transition(ejected)) = ejected else { panic!("{ejected:?}") };
    assert_eq!(ejected.reason, "request failed: no connection; out for 30s");
    server.probed(Err(ProbeFailure::Refused), second(2));
    let left = "out for 19.5s more: request failed: no connection";
    let back = server.probed(Ok(()), Time::from_millis(11_500));
    assert_eq!(described(back), format!("down -> ejected: {left}"));
    assert_eq!((server.reason(), server.since()), (left.to_owned(), Time::from_millis(11_500)));
    assert_eq!(described(server.poll(second(31))), "ejected -> up: ejection is over");
}
