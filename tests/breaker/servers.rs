//! `server_breaker` of a pool: a circuit breaker for each server.

use std::sync::atomic::Ordering::SeqCst;

use super::trip::fragile;
use crate::support::{Evenkeel, Origin, eventually, pool};

#[test]
fn a_server_whose_circuit_breaker_is_open_is_passed_over_until_its_trials_succeed() {
    let (bad, sick) = fragile("bad");
    let good = Origin::named("good");
    let keys = "server_breaker = { failures = \"50%\", requests_min = 3, open_for = \"200ms\", trials = 1 }";
    let evenkeel = Evenkeel::start(&pool(&[&bad, &good], keys));
    let mut client = evenkeel.client();
    eventually("it opens", || {
        client.get("/");
        evenkeel.server("app", "bad")["breaker"] == "open"
    });
    assert_eq!(evenkeel.metric("evenkeel_breaker_state", &["backend=\"bad\""]), 1.0);
    assert_eq!(evenkeel.metric("evenkeel_breaker_state", &["backend=\"good\""]), 0.0);
    assert_eq!(evenkeel.server("app", "good")["breaker"], "closed");
    sick.store(false, SeqCst);
    eventually("it closes", || {
        client.get("/");
        evenkeel.server("app", "bad")["breaker"] == "closed"
    });
    eventually("it serves again", || client.get("/").text() == "bad");
}

#[test]
fn an_open_server_gets_nothing() {
    let (bad, _) = fragile("bad");
    let good = Origin::named("good");
    let keys = "server_breaker = { failures = \"50%\", requests_min = 3, open_for = \"1h\" }";
    let evenkeel = Evenkeel::start(&pool(&[&bad, &good], keys));
    let mut client = evenkeel.client();
    (0..6).for_each(|_| drop(client.get("/")));
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "good");
    }
    assert_eq!(bad.count(), 3);
}

#[test]
fn when_those_of_all_servers_are_open_requests_are_refused() {
    let ((a, _), (b, _)) = (fragile("a"), fragile("b"));
    let keys = "server_breaker = { failures = \"50%\", requests_min = 2, open_for = \"1h\" }";
    let evenkeel = Evenkeel::start(&pool(&[&a, &b], keys));
    let mut client = evenkeel.client();
    (0..4).for_each(|_| assert_eq!(client.get("/").text(), "sick"));
    let refused = client.get("/");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert!(refused.text().contains("the circuit breakers of all servers are open"), "{}", refused.text());
    assert_eq!(evenkeel.metric("evenkeel_breaker_refused_total", &["reason=\"servers_open\""]), 1.0);
    assert_eq!((a.count(), b.count()), (2, 2));
}
