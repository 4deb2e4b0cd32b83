//! A pool: reloads, the last server, and random histories in which each change must be told exactly once.

use std::collections::HashMap;
use std::time::Duration;

use evenkeel_config::{Algorithm, Backend, Health, Outlier, Pool, PoolProtocol, PoolTimeout, Probe};
use evenkeel_types::{Address, BackendId, PoolName, Time};
use proptest::prelude::*;

use super::{Notice, PoolHealth};
use crate::health::{Administrative, Event, Failure, ProbeFailure, State};

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
        protocol: PoolProtocol::Http1,
        tls: None,
        keepalive: 0,
        sticky: None,
        health: is_checked.then_some(health),
        outlier: Some(Outlier {
            failures: 2,
            window: Duration::from_secs(30),
            eject: Duration::from_secs(30),
        }),
        breaker: None,
        server_breaker: None,
        queue: None,
        concurrency: None,
        timeout: PoolTimeout {
            connect: Duration::from_secs(1),
            response: Duration::from_secs(1),
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

fn told(notices: &[Notice]) -> Vec<String> {
    let words = |notice: &Notice| match &notice.event {
        Event::Transition(change) => format!("{} {} -> {}", notice.server, change.from, change.to),
        Event::Kept { .. } => format!("{} kept", notice.server),
    };
    notices.iter().map(words).collect()
}

fn fail(pool: &mut PoolHealth, server: &str, at: u64) -> Vec<String> {
    told(&pool.failed(&id(server), Failure::Connect, second(at)))
}

#[test]
fn live_traffic_never_ejects_the_last_server() {
    let mut health = PoolHealth::new(&pool(abc(), false), second(0));
    for server in ["a", "b"] {
        assert!(fail(&mut health, server, 1).is_empty());
        assert_eq!(fail(&mut health, server, 2), [format!("{server} up -> ejected")]);
    }
    assert!(fail(&mut health, "c", 3).is_empty());
    assert_eq!(fail(&mut health, "c", 4), ["c kept"]);
    assert!(fail(&mut health, "c", 5).is_empty(), "said twice");
    assert_eq!(states(&health), "a ejected, b ejected, c up");
    assert_eq!(health.due(), Some(second(32)));
    assert_eq!(told(&health.poll(second(32))), ["a ejected -> up", "b ejected -> up"]);
    assert_eq!(health.due(), None);
}

#[test]
fn an_ejected_server_comes_back_when_it_is_the_only_one() {
    let mut health = PoolHealth::new(&pool(abc(), false), second(0));
    fail(&mut health, "a", 1);
    fail(&mut health, "a", 2);
    assert_eq!(told(&health.administer(&id("b"), Administrative::Drain, second(3))), ["b up -> draining"]);
    let notices = health.administer(&id("c"), Administrative::Drain, second(4));
    assert_eq!(told(&notices), ["c up -> draining", "a ejected -> up"]);
    assert_eq!(health.server(&id("a")).unwrap().reason(), "no other server is up");
}

#[test]
fn a_server_of_weight_0_is_none_to_rely_on() {
    let mut health = PoolHealth::new(&pool(vec![backend("a", 1, 1), backend("b", 2, 0)], false), second(0));
    fail(&mut health, "a", 1);
    assert_eq!(fail(&mut health, "a", 2), ["a kept"]);
    assert!(health.weigh(&id("b"), 1, second(3)).is_empty());
    assert_eq!(fail(&mut health, "a", 4), ["a up -> ejected"]);
    assert_eq!(told(&health.weigh(&id("b"), 0, second(5))), ["a ejected -> up"]);
}

#[test]
fn a_reload_keeps_what_is_known_of_servers_that_stay() {
    let mut health = PoolHealth::new(&pool(abc(), true), second(0));
    for server in ["a", "b", "c"] {
        health.probed(&id(server), Ok(()), second(1));
    }
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
    assert_eq!(told(&health.reconfigure(&pool(moved, true), second(6))), ["b down -> starting"]);
    assert_eq!(states(&health), "a up, b starting, c draining");
    assert!(health.server(&id("d")).is_none());
    assert!(health.probed(&id("d"), Ok(()), second(7)).is_empty(), "a late answer of one that left");
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
    fn each_change_is_told_once_and_no_ejection_empties_a_pool(
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
                    health.probed(&id(names[server]), is_ok.then_some(()).ok_or(ProbeFailure::Refused), at)
                }
                Step::Fail(server) => health.failed(&id(names[server]), Failure::BadAnswer, at),
                Step::Drain(server, is_drained) => {
                    let wanted = if is_drained { Administrative::Drain } else { Administrative::Ready };
                    health.administer(&id(names[server]), wanted, at)
                }
                Step::Weigh(server, weight) => {
                    weights[server] = weight;
                    health.weigh(&id(names[server]), weight, at)
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
                    let notices = health.poll(second(now));
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
                    Event::Kept { .. } => {
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
            prop_assert!(is_up || !is_ejected, "ejected although none other is up");
        }
    }
}
