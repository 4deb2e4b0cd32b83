//! `breaker` of a pool: limits for all of its servers together.

use super::max_connections::ask;
use crate::support::{Client, Evenkeel, Gate, Origin, eventually, pool};

fn check(keys: &str, reason: &str, why: &str) {
    let gate = Gate::default();
    let (a, b) = (Origin::held("a", &gate), Origin::held("b", &gate));
    let evenkeel = Evenkeel::start(&pool(&[&a, &b], keys));
    let held = [ask(&evenkeel, "/"), ask(&evenkeel, "/")];
    eventually("two are in flight", || a.count() + b.count() == 2);
    let status = evenkeel.status();
    let breaker = &status["pools"][0]["breaker"];
    assert_eq!((&breaker["in_flight"], &breaker["limit"]), (&2.into(), &2.into()), "{breaker}");
    let refused = evenkeel.get("/third");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    let reason = format!("reason=\"{reason}\"");
    assert_eq!(evenkeel.metric("evenkeel_breaker_refused_total", &["pool=\"app\"", &reason]), 1.0);
    assert_eq!(evenkeel.metric("evenkeel_requests_refused_total", &["reason=\"no_place\""]), 1.0);
    assert_eq!(evenkeel.record(|record| record["target"] == "/third")["reason"], why);
    gate.open();
    held.into_iter().for_each(|request| assert_eq!(request.join().unwrap().0, 200));
    assert_eq!(evenkeel.get("/").status, 200);
}

#[test]
fn requests_in_flight() {
    check("breaker = { max_requests = 2 }", "max_requests", "breaker.max_requests is reached");
}

#[test]
fn connections_in_use() {
    check("breaker = { max_connections = 2 }", "max_connections", "breaker.max_connections is reached");
}

#[test]
fn a_client_that_leaves_gives_its_place_back() {
    let gate = Gate::default();
    let server = Origin::held("a", &gate);
    let evenkeel = Evenkeel::start(&pool(&[&server], "breaker = { max_requests = 1 }"));
    let mut client = Client::connect(evenkeel.address());
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    eventually("it is in flight", || server.count() == 1);
    client.reset();
    drop(client);
    gate.open();
    eventually("its place is free", || evenkeel.get("/").status == 200);
}

#[test]
fn a_limit_that_a_reload_brings_holds_and_one_that_it_takes_away_does_not() {
    let gate = Gate::default();
    let server = Origin::held("a", &gate);
    let evenkeel = Evenkeel::start(&pool(&[&server], "breaker = { max_requests = 1 }"));
    let first = ask(&evenkeel, "/");
    eventually("it is in flight", || server.count() == 1);
    assert_eq!(evenkeel.get("/").status, 503);
    assert_eq!(evenkeel.reload(&pool(&[&server], "breaker = { max_requests = 2 }")).status / 100, 2);
    let second = ask(&evenkeel, "/");
    eventually("there is one more place", || server.count() == 2);
    assert_eq!(evenkeel.get("/").status, 503);
    gate.open();
    assert_eq!((first.join().unwrap().0, second.join().unwrap().0), (200, 200));
}
