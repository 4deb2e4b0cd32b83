//! A reload while requests are in flight and wait: its limits hold from then on, nobody is forgotten, and every place comes
//! back.

use std::thread::JoinHandle;

use super::max_connections::{ask, pool_of};
use crate::support::{Evenkeel, Gate, Origin, eventually, ok, pool};

type Asked = Vec<JoinHandle<(u16, String)>>;

const QUEUE: &str = "queue = { wait = \"15s\" }";

fn reload(evenkeel: &Evenkeel, toml: &str) {
    let answer = evenkeel.reload(toml);
    assert_eq!(answer.status / 100, 2, "{}", answer.text());
}

fn waiting(evenkeel: &Evenkeel) -> f64 {
    evenkeel.metric("evenkeel_queue_length", &[])
}

fn in_flight(evenkeel: &Evenkeel) -> f64 {
    evenkeel.metric("evenkeel_backend_in_flight", &["pool=\"app\""])
}

/// Has so many be in flight at the server, and so many more wait.
fn crowd(evenkeel: &Evenkeel, server: &Origin, inside: usize, outside: usize) -> Asked {
    let mut asked: Asked = (0..inside).map(|_| ask(evenkeel, "/")).collect();
    eventually("the places are taken", || server.count() == inside);
    asked.extend((0..outside).map(|_| ask(evenkeel, "/")));
    eventually("the others wait", || waiting(evenkeel) == outside as f64);
    asked
}

/// All of these got an answer of this server.
fn served(asked: Asked, name: &str) {
    asked.into_iter().for_each(|request| assert_eq!(request.join().unwrap(), (200, name.to_owned())));
}

fn nothing_is_left(evenkeel: &Evenkeel) {
    eventually("nothing is left in flight", || {
        let pool = &evenkeel.status()["pools"][0];
        in_flight(evenkeel) == 0.0
            && waiting(evenkeel) == 0.0
            && (pool["breaker"].is_null() || pool["breaker"]["in_flight"] == 0)
    });
}

#[test]
fn a_server_that_may_take_more_gets_some_of_those_who_wait() {
    let gate = Gate::default();
    let server = Origin::held("a", &gate);
    let evenkeel = Evenkeel::start(&pool_of(&[&server], 1, QUEUE));
    let asked = crowd(&evenkeel, &server, 1, 3);
    reload(&evenkeel, &pool_of(&[&server], 3, QUEUE));
    eventually("two more are let in", || (server.count(), waiting(&evenkeel)) == (3, 1.0));
    gate.open();
    served(asked, "a");
    nothing_is_left(&evenkeel);
}

#[test]
fn a_server_with_a_lowered_limit_gets_no_request_until_enough_have_left() {
    let gates = [(); 3].map(|()| Gate::default());
    let theirs = gates.clone();
    let server = Origin::start(move |request, wire| {
        if let Ok(gate) = request.target()[1..].parse::<usize>() {
            theirs[gate].wait();
        }
        wire.send(ok("a"));
    });
    let evenkeel = Evenkeel::start(&pool_of(&[&server], 3, QUEUE));
    let mut inside: Asked = ["/0", "/1", "/2"].map(|target| ask(&evenkeel, target)).into();
    eventually("the places are taken", || server.count() == 3);
    let outside: Asked = ["/", "/"].map(|target| ask(&evenkeel, target)).into();
    eventually("the others wait", || waiting(&evenkeel) == 2.0);
    reload(&evenkeel, &pool_of(&[&server], 1, QUEUE));
    for (gate, left) in [(0, 2.0), (1, 1.0)] {
        gates[gate].open();
        served(vec![inside.remove(0)], "a");
        eventually("its place is not dealt out", || in_flight(&evenkeel) == left);
        assert_eq!((waiting(&evenkeel), server.count()), (2.0, 3));
    }
    gates[2].open();
    served(inside, "a");
    served(outside, "a");
    nothing_is_left(&evenkeel);
}

#[test]
fn a_queued_request_is_admitted_when_the_limits_go() {
    for (max, keys) in
        [(9, "breaker = { max_requests = 1 }\n"), (9, "breaker = { max_connections = 1 }\n"), (1, "")]
    {
        let gate = Gate::default();
        let server = Origin::held("a", &gate);
        let limited = pool_of(&[&server], max, &format!("{keys}{QUEUE}"));
        let evenkeel = Evenkeel::start(&limited);
        let mut asked = crowd(&evenkeel, &server, 1, 2);
        reload(&evenkeel, &pool(&[&server], ""));
        eventually("all are let in", || (server.count(), waiting(&evenkeel)) == (3, 0.0));
        reload(&evenkeel, &limited);
        asked.push(ask(&evenkeel, "/"));
        eventually("the limit holds again", || waiting(&evenkeel) == 1.0);
        gate.open();
        served(asked, "a");
        nothing_is_left(&evenkeel);
    }
}

#[test]
fn a_request_queued_for_a_removed_server_gets_it_all_the_same() {
    let gate = Gate::default();
    let (a, b) = (Origin::held("a", &gate), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool_of(&[&a], 1, QUEUE));
    let asked = crowd(&evenkeel, &a, 1, 2);
    reload(&evenkeel, &pool_of(&[&b], 1, QUEUE));
    assert_eq!(evenkeel.get("/").text(), "b", "who comes after the reload does not stand behind them");
    gate.open();
    served(asked, "a");
    assert_eq!((a.count(), b.count()), (3, 1));
    nothing_is_left(&evenkeel);
    assert_eq!(evenkeel.get("/").text(), "b");
}

#[test]
fn a_request_queued_in_a_removed_pool_is_served() {
    let gate = Gate::default();
    let (a, b) = (Origin::held("a", &gate), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool_of(&[&a], 1, QUEUE));
    let asked = crowd(&evenkeel, &a, 1, 2);
    let other = pool(&[&b], "").replace("pool.app", "pool.other");
    reload(&evenkeel, &format!("[[route]]\npool = \"other\"\n{other}"));
    assert_eq!(evenkeel.get("/").text(), "b");
    gate.open();
    served(asked, "a");
    assert_eq!(a.count(), 3);
}

#[test]
fn what_was_in_flight_before_there_was_a_limit_makes_room_for_who_waits() {
    let gate = Gate::default();
    let server = Origin::held("a", &gate);
    let evenkeel = Evenkeel::start(&pool(&[&server], ""));
    let mut asked = crowd(&evenkeel, &server, 2, 0);
    reload(&evenkeel, &pool_of(&[&server], 1, QUEUE));
    asked.push(ask(&evenkeel, "/"));
    eventually("it waits", || waiting(&evenkeel) == 1.0);
    gate.open();
    served(asked, "a");
    nothing_is_left(&evenkeel);
    assert_eq!(evenkeel.metric("evenkeel_queue_refused_total", &[]), 0.0);
}

#[test]
fn what_is_in_flight_at_a_server_that_comes_back_still_counts() {
    let gate = Gate::default();
    let (a, b, other) = (Origin::held("a", &gate), Origin::named("b"), Origin::named("other"));
    let with = |a: &Origin| pool_of(&[a, &b], 1, "algorithm = \"least-connections\"");
    let evenkeel = Evenkeel::start(&pool_of(&[&a], 1, ""));
    let asked = crowd(&evenkeel, &a, 1, 0);
    for _ in 0..2 {
        reload(&evenkeel, &pool_of(&[&b], 1, ""));
        reload(&evenkeel, &with(&a));
        assert_eq!(evenkeel.server("app", "a")["in_flight"], 1);
        (0..4).for_each(|_| assert_eq!(evenkeel.get("/").text(), "b"));
    }
    // Another server under the same name has nothing of it.
    reload(&evenkeel, &with(&other.called("a")));
    assert_eq!(evenkeel.server("app", "a")["in_flight"], 0);
    reload(&evenkeel, &with(&a));
    assert_eq!(evenkeel.server("app", "a")["in_flight"], 1);
    gate.open();
    served(asked, "a");
    nothing_is_left(&evenkeel);
}
