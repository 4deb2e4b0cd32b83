//! A pool: reloads, the last server, and random histories in which each change must be reported exactly once.

use std::collections::HashMap;
use std::time::Duration;

use evenkeel_config::{Algorithm, Backend, Health, Outlier, Pool, PoolProtocol, PoolTimeout, Probe};
use evenkeel_types::{Address, BackendId, PoolName, Time};
use proptest::prelude::*;

use super::{HealthNotice, Panic, PoolHealth};
use crate::balance::Availability;
use crate::health::{
    Administrative, EjectionCause, Event, FULL, Failure, Figures, Finding, Hold, LiveFailure, LiveTraffic,
    ProbeFailure, State,
};

fn request(how: Failure) -> LiveFailure {
    LiveFailure { of: LiveTraffic::Requests, how }
}

fn second(n: u64) -> Time {
    Time::from_millis(n * 1000)
}

fn backend(id: &str, port: u16, weight: u32) -> Backend {
    let address = Address::backend(&port.to_string()).unwrap();
    Backend { id: BackendId::from(id), address, weight, backup: false, max_connections: None }
}

fn pool(backends: Vec<Backend>, is_checked: bool) -> Pool {
    let health = Health {
        probe: Probe::Tcp,
        port: None,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        fall: 2,
        rise: 1,
        start_period: Duration::ZERO,
    };
    Pool {
        name: PoolName::from("api"),
        algorithm: Algorithm::RoundRobin,
        backends,
        discover: None,
        protocol: PoolProtocol::Http1,
        proxy_protocol: None,
        bind_from: Vec::new(),
        tcp_keepalive: None,
        tls: None,
        keepalive: evenkeel_config::Keepalive::default(),
        via: true,
        sticky: None,
        health: is_checked.then_some(health),
        wait_for_server: None,
        outlier: Some(Outlier {
            failures: 2,
            on: evenkeel_config::FailureOn::default(),
            window: Duration::from_secs(30),
            eject: Duration::from_secs(30),
            max_ejected: 100,
            success_rate: Some(1.9),
            latency: None,
            requests_min: 50,
        }),
        panic: 50,
        slow_start: Some(Duration::from_secs(32)),
        breaker: None,
        server_breaker: None,
        queue: None,
        concurrency: None,
        timeout: PoolTimeout {
            connect: Duration::from_secs(1),
            response: Duration::from_secs(1),
            continue_after: Duration::from_secs(1),
            idle: Duration::from_secs(1),
        },
    }
}

fn abc() -> Vec<Backend> {
    vec![backend("a", 1, 1), backend("b", 2, 1), backend("c", 3, 1)]
}

fn id(name: &str) -> BackendId {
    BackendId::from(name)
}

fn states(pool: &PoolHealth) -> String {
    let told: Vec<String> = pool.servers().map(|(id, health)| format!("{id} {}", health.state())).collect();
    told.join(", ")
}

fn described(notices: &[HealthNotice]) -> Vec<String> {
    let words = |notice: &HealthNotice| match &notice.event {
        Event::Transition(change) => format!("{} {} -> {}", notice.server, change.from, change.to),
        Event::Kept { hold, .. } => format!("{} kept, {hold}", notice.server),
    };
    notices.iter().map(words).collect()
}

/// The servers that may be chosen.
fn usable(pool: &PoolHealth) -> String {
    let up = pool.servers().zip(pool.standings()).filter(|(_, standing)| standing.1 == Availability::Up);
    up.map(|((id, _), _)| id.as_str()).collect::<Vec<_>>().join(" ")
}

fn pass(pool: &mut PoolHealth, servers: &[&str], at: u64) {
    for server in servers {
        pool.probed(&id(server), Ok(Finding::Well), second(at));
    }
}

/// What becomes due by then.
fn wait(pool: &mut PoolHealth, until: u64) -> Vec<String> {
    described(&pool.poll(second(until), |_| Figures::default()))
}

fn fail(pool: &mut PoolHealth, server: &str, at: u64) -> Vec<String> {
    described(&pool.failed(&id(server), request(Failure::Connect), second(at)))
}

#[test]
fn live_traffic_never_ejects_the_last_server() {
    let mut health = PoolHealth::new(&pool(abc(), false), second(0));
    for server in ["a", "b"] {
        assert!(fail(&mut health, server, 1).is_empty());
        assert_eq!(fail(&mut health, server, 2), [format!("{server} up -> ejected")]);
    }
    assert!(fail(&mut health, "c", 3).is_empty());
    assert_eq!(fail(&mut health, "c", 4), ["c kept, no other is up"]);
    assert!(fail(&mut health, "c", 5).is_empty(), "said twice");
    assert_eq!(states(&health), "a ejected, b ejected, c up");
    assert_eq!(wait(&mut health, 32), ["a ejected -> up", "b ejected -> up"]);
}

#[test]
fn ejected_servers_are_used_when_none_is_left() {
    let mut health = PoolHealth::new(&Pool { panic: 0, ..pool(abc(), false) }, second(0));
    fail(&mut health, "a", 1);
    fail(&mut health, "a", 2);
    assert_eq!(
        described(&health.administer(&id("b"), Administrative::Drain, second(3))),
        ["b up -> draining"]
    );
    assert_eq!((health.panic(), usable(&health)), (None, "c".into()));
    assert_eq!(
        described(&health.administer(&id("c"), Administrative::Drain, second(4))),
        ["c up -> draining"]
    );
    assert_eq!(health.panic(), Some(Panic { since: second(4) }));
    assert_eq!((states(&health), usable(&health)), ("a ejected, b draining, c draining".into(), "a".into()));
    wait(&mut health, 32);
    assert_eq!((health.panic(), usable(&health)), (None, "a".into()));
}

#[test]
fn a_pool_panics_when_ejections_leave_less_than_its_threshold() {
    let backends = || vec![backend("a", 1, 1), backend("b", 2, 1), backend("c", 3, 1), backend("d", 4, 1)];
    let mut health = PoolHealth::new(&pool(backends(), true), second(0));
    pass(&mut health, &["a", "b", "c", "d"], 1);
    for server in ["a", "b"] {
        fail(&mut health, server, 2);
        fail(&mut health, server, 2);
    }
    assert_eq!((health.panic(), usable(&health)), (None, "c d".into()), "half of them is not below half");
    for at in [3, 4] {
        health.probed(&id("c"), Err(ProbeFailure::Refused), second(at));
    }
    assert_eq!(health.panic(), Some(Panic { since: second(4) }));
    assert_eq!(usable(&health), "a b d", "one that its checks found down stays out");
    let version = health.version();
    health.probed(&id("c"), Ok(Finding::Well), second(5));
    assert_eq!((health.panic(), usable(&health)), (None, "c d".into()));
    assert!(health.version() > version);
}

#[test]
fn no_more_servers_are_ejected_than_allowed_but_one_always_may() {
    let capped = |backends: Vec<Backend>, max_ejected| {
        let pool = pool(backends, false);
        let outlier = Outlier { max_ejected, ..pool.outlier.clone().unwrap() };
        PoolHealth::new(&Pool { outlier: Some(outlier), ..pool }, second(0))
    };
    let mut health = capped(abc(), 10);
    fail(&mut health, "a", 1);
    assert_eq!(fail(&mut health, "a", 2), ["a up -> ejected"]);
    fail(&mut health, "b", 1);
    assert_eq!(fail(&mut health, "b", 2), ["b kept, as many are out as max_ejected allows"]);
    wait(&mut health, 32);
    fail(&mut health, "b", 33);
    assert_eq!(fail(&mut health, "b", 34), ["b up -> ejected"], "a is back");
    let mut health = capped(abc(), 67);
    for server in ["a", "b"] {
        fail(&mut health, server, 1);
        assert_eq!(fail(&mut health, server, 2).len(), 1);
    }
    assert_eq!(states(&health), "a ejected, b ejected, c up");
}

#[test]
fn a_server_that_does_worse_than_the_others_is_ejected_once_for_one_window() {
    let mut health = PoolHealth::new(&pool(abc(), false), second(0));
    // Each does 10 requests a second, of which b fails 4 until it is out and after that none.
    let figures = |at: u64| {
        move |server: &BackendId| {
            let failures = if server.as_str() == "b" { 4 * at.min(6) } else { 0 };
            Figures { requests: 10 * at, failures, ..Figures::default() }
        }
    };
    let mut changes = Vec::new();
    for at in 1..120 {
        changes.extend(health.poll(second(at), figures(at)).into_iter().map(|notice| (at, notice)));
    }
    let at: Vec<u64> = changes.iter().map(|(at, _)| *at).collect();
    // A tick of 3 s, and the first that spans 50 requests.
    assert_eq!(at, [9, 39]);
    let notices: Vec<HealthNotice> = changes.into_iter().map(|(_, notice)| notice).collect();
    assert_eq!(described(&notices), ["b up -> ejected", "b ejected -> up"]);
    let Event::Transition(change) = &notices[0].event else { panic!("not kept") };
    assert_eq!(change.reason, "success rate 80 % where the others have 100 %, of 60 requests; out for 30s");
    assert_eq!(health.server(&id("b")).unwrap().cause(), Some(EjectionCause::SuccessRate));
}

#[test]
fn servers_that_come_start_slowly_and_those_of_the_first_hour_do_not() {
    let parts = |health: &PoolHealth| health.standings().map(|(part, _)| part).collect::<Vec<_>>();
    let mut health = PoolHealth::new(&pool(abc(), true), second(0));
    pass(&mut health, &["a", "b", "c"], 1);
    assert_eq!(parts(&health), [FULL; 3]);
    // A new one is unproven first; then it comes.
    let more = || vec![backend("a", 1, 1), backend("b", 2, 1), backend("c", 3, 1), backend("d", 4, 1)];
    health.reconfigure(&pool(more(), true), second(10));
    assert_eq!(parts(&health), [FULL; 4]);
    health.probed(&id("d"), Ok(Finding::Well), second(10));
    assert_eq!(parts(&health), [FULL, FULL, FULL, 3]);
    // Another comes back from an ejection, which ends at 42 s.
    fail(&mut health, "a", 12);
    fail(&mut health, "a", 12);
    wait(&mut health, 26);
    assert_eq!(parts(&health), [FULL, FULL, FULL, 17]);
    let version = health.version();
    wait(&mut health, 27);
    assert_eq!((parts(&health)[3], health.version()), (17, version), "no step, no change");
    wait(&mut health, 42);
    assert_eq!((parts(&health), health.version() > version), (vec![3, FULL, FULL, FULL], true));
    // An operator's drain ends in the same way; one without checks, whose address changed, is up at once and new.
    health.administer(&id("b"), Administrative::Drain, second(43));
    health.administer(&id("b"), Administrative::Ready, second(44));
    assert_eq!(parts(&health), [4, 3, FULL, FULL]);
    let moved = vec![backend("a", 11, 1), backend("c", 3, 1), backend("e", 5, 1)];
    let mut unchecked = PoolHealth::new(&pool(abc(), false), second(0));
    unchecked.reconfigure(&pool(moved.clone(), false), second(60));
    assert_eq!(parts(&unchecked), [3, FULL, 3]);
    unchecked.reconfigure(&Pool { slow_start: None, ..pool(moved, false) }, second(61));
    assert_eq!(parts(&unchecked), [FULL; 3]);
}

#[test]
fn a_step_that_was_polled_late_stays_due() {
    let mut health = PoolHealth::new(&pool(abc()[..2].to_vec(), true), second(0));
    pass(&mut health, &["a", "b"], 1);
    health.administer(&id("b"), Administrative::Drain, second(2));
    health.administer(&id("b"), Administrative::Ready, second(2));
    wait(&mut health, 33);
    // The step of 34 s is the last. A probe comes in right behind it, before the poll that was meant for it.
    assert_eq!(health.due(), Some(second(34)));
    pass(&mut health, &["b"], 35);
    assert_eq!(health.due(), Some(second(34)));
    wait(&mut health, 35);
    assert!(health.standings().all(|(part, _)| part == FULL));
}

#[test]
fn a_server_that_was_used_in_a_panic_does_not_start_slowly_after_it() {
    let mut health = PoolHealth::new(&pool(vec![backend("a", 1, 1), backend("b", 2, 1)], false), second(0));
    fail(&mut health, "a", 1);
    fail(&mut health, "a", 2);
    health.administer(&id("b"), Administrative::Drain, second(3));
    assert!(health.panic().is_some());
    assert_eq!(wait(&mut health, 32), ["a ejected -> up"]);
    assert_eq!(health.standings().next(), Some((FULL, Availability::Up)));
}

#[test]
fn a_server_of_weight_0_is_none_to_rely_on() {
    let mut health = PoolHealth::new(&pool(vec![backend("a", 1, 1), backend("b", 2, 0)], false), second(0));
    fail(&mut health, "a", 1);
    assert_eq!(fail(&mut health, "a", 2), ["a kept, no other is up"]);
    health.weigh(&id("b"), 1, second(3));
    assert_eq!(fail(&mut health, "a", 4), ["a up -> ejected"]);
    health.weigh(&id("b"), 0, second(5));
    assert!(health.panic().is_some());
    assert_eq!(health.standings().next(), Some((FULL, Availability::Up)));
}

#[test]
fn a_reload_keeps_what_is_known_of_servers_that_stay() {
    let mut health = PoolHealth::new(&pool(abc(), true), second(0));
    pass(&mut health, &["a", "b", "c"], 1);
    for at in [2, 3] {
        health.probed(&id("b"), Err(ProbeFailure::Refused), second(at));
    }
    health.administer(&id("c"), Administrative::Drain, second(4));
    fail(&mut health, "a", 4);
    let after = vec![backend("d", 4, 1), backend("c", 3, 5), backend("a", 1, 1), backend("b", 2, 1)];
    assert!(health.reconfigure(&pool(after, true), second(5)).is_empty());
    assert_eq!(states(&health), "d starting, c draining, a up, b down");
    assert_eq!(health.server(&id("b")).unwrap().since(), second(3));
    // Another machine under the same id is a new server, and still drained when the id was.
    let moved = vec![backend("a", 1, 1), backend("b", 22, 1), backend("c", 33, 1)];
    assert_eq!(described(&health.reconfigure(&pool(moved, true), second(6))), ["b down -> starting"]);
    assert_eq!(states(&health), "a up, b starting, c draining");
    assert!(health.server(&id("d")).is_none());
    assert!(
        health.probed(&id("d"), Ok(Finding::Well), second(7)).is_empty(),
        "a late answer of one that left"
    );
    // A drain is not undone by leaving checks out.
    health.reconfigure(&pool(abc(), false), second(8));
    assert_eq!(states(&health), "a up, b up, c draining");
}

/// One thing that happens to a pool of a, b, c and d.
#[derive(Debug, Clone)]
enum Step {
    Probe(usize, bool),
    Fail(usize),
    Drain(usize, bool),
    Weigh(usize, u32),
    Reload(usize, bool),
    Wait(u64),
}

fn some_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..4usize, any::<bool>()).prop_map(|(server, is_ok)| Step::Probe(server, is_ok)),
        6 => (0..4usize).prop_map(Step::Fail),
        1 => (0..4usize, any::<bool>()).prop_map(|(server, is_drained)| Step::Drain(server, is_drained)),
        1 => (0..4usize, 0..2u32).prop_map(|(server, weight)| Step::Weigh(server, weight)),
        1 => (1..=4usize, any::<bool>()).prop_map(|(size, is_checked)| Step::Reload(size, is_checked)),
        2 => (0..60u64).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn each_change_is_reported_once_and_no_ejection_empties_a_pool(
        steps in prop::collection::vec(some_step(), 0..120),
        is_checked in any::<bool>(),
    ) {
        let names = ["a", "b", "c", "d"];
        let all: Vec<Backend> = names.iter().zip(1..).map(|(name, port)| backend(name, port, 1)).collect();
        let mut health = PoolHealth::new(&pool(all.clone(), is_checked), Time::ZERO);
        let mut weights = [1; 4];
        let mut seen: HashMap<BackendId, State> =
            health.servers().map(|(id, server)| (id.clone(), server.state())).collect();
        let mut now = 0;
        for step in steps {
            let at = second(now);
            let notices = match step {
                Step::Probe(server, is_ok) => {
                    health.probed(&id(names[server]), is_ok.then_some(Finding::Well).ok_or(ProbeFailure::Refused), at)
                }
                Step::Fail(server) => health.failed(&id(names[server]), request(Failure::BadAnswer), at),
                Step::Drain(server, is_drained) => {
                    let wanted = if is_drained { Administrative::Drain } else { Administrative::Ready };
                    health.administer(&id(names[server]), wanted, at)
                }
                Step::Weigh(server, weight) => {
                    weights[server] = weight;
                    health.weigh(&id(names[server]), weight, at);
                    Vec::new()
                }
                Step::Reload(size, is_checked) => {
                    weights = [1; 4];
                    let notices = health.reconfigure(&pool(all[..size].to_vec(), is_checked), at);
                    seen.retain(|id, _| health.server(id).is_some());
                    for (id, server) in health.servers() {
                        seen.entry(id.clone()).or_insert(server.state());
                    }
                    notices
                }
                Step::Wait(seconds) => {
                    now += seconds;
                    let notices = health.poll(second(now), |_| Figures::default());
                    prop_assert!(health.due().is_none_or(|due| due > second(now)));
                    notices
                }
            };
            for notice in notices {
                match notice.event {
                    Event::Transition(change) => {
                        prop_assert_ne!(change.from, change.to);
                        prop_assert!(!change.reason.is_empty());
                        prop_assert_eq!(seen.insert(notice.server, change.to), Some(change.from));
                    }
                    Event::Kept { hold: Hold::MaxEjected, .. } => prop_assert!(false, "all may be ejected but one"),
                    Event::Kept { hold: Hold::LastUp, .. } => {
                        let up = health.servers().filter(|(id, server)| {
                            let weight = weights[names.iter().position(|name| *name == id.as_str()).unwrap()];
                            weight > 0 && **id != notice.server && server.state() == State::Up
                        });
                        prop_assert_eq!(up.count(), 0, "kept although another one is up");
                    }
                }
            }
            let mut is_up = false;
            let mut is_ejected = false;
            for (i, (id, server)) in health.servers().enumerate() {
                prop_assert_eq!(Some(&server.state()), seen.get(id));
                is_up |= weights[i] > 0 && server.state() == State::Up;
                is_ejected |= weights[i] > 0 && server.state() == State::Ejected;
            }
            let is_usable = |(at, (_, standing)): (usize, (u32, Availability))| {
                weights[at] > 0 && standing == Availability::Up
            };
            prop_assert!(!is_ejected || health.standings().enumerate().any(is_usable), "an ejection empties it");
            prop_assert!(!is_up || health.standings().enumerate().any(is_usable));
            prop_assert!(health.standings().all(|(part, _)| (1..=FULL).contains(&part)));
        }
    }
}
