//! Stale responses that may still be used: while a fresh one is fetched, and when the servers fail (RFC 5861).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::cache::{answers, assert_said, config, crowd, fresh, is_hit, stale, start};
use crate::support::{Evenkeel, Gate, Origin, answer, eventually};

/// Answers the first request with something stale; those behind it wait for the gate, and get something fresh.
fn slow_to_refresh(directives: &'static str, gate: &Gate) -> Origin {
    let (gate, asked) = (gate.clone(), AtomicUsize::new(0));
    Origin::start(move |_, wire| {
        if asked.fetch_add(1, Ordering::SeqCst) == 0 {
            wire.send(stale(directives, "one", "old"));
        } else {
            gate.wait();
            wire.send(fresh("", "new"));
        }
    })
}

#[test]
fn clients_are_not_held_up_while_one_fetch_refreshes() {
    let gate = Gate::default();
    let origin = slow_to_refresh(", stale-while-revalidate=600", &gate);
    let evenkeel = start(&origin, "true");
    assert_eq!(evenkeel.get("/").text(), "old");
    let clients = crowd(&evenkeel, 50, "GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    for response in answers(clients) {
        assert_eq!(response.text(), "old");
        assert_said(&response, "hit");
        assert_said(&response, "detail=stale-while-revalidate");
    }
    eventually("the server is asked", || origin.count() == 2);
    gate.open();
    eventually("the fresh one is there", || evenkeel.get("/").text() == "new");
    assert_eq!(origin.count(), 2, "one fetch in the background");
    let record = evenkeel.record(|record| record["cache"] == "updating");
    assert_eq!(record["cache_reason"], "stale-while-revalidate");
}

#[test]
fn the_fetch_in_the_background_outlives_the_client_that_began_it() {
    let gate = Gate::default();
    let origin = slow_to_refresh(", stale-while-revalidate=600", &gate);
    let evenkeel = start(&origin, "true");
    evenkeel.get("/");
    let mut client = evenkeel.client();
    assert_eq!(client.get("/").text(), "old");
    drop(client);
    eventually("the server is asked", || origin.count() == 2);
    gate.open();
    eventually("the fresh one is there", || evenkeel.get("/").text() == "new");
    assert_eq!(origin.count(), 2);
}

#[test]
fn a_background_fetch_that_fails_leaves_the_stale_response_and_is_tried_again() {
    let origin = Origin::answering(|_| stale(", stale-while-revalidate=600", "one", "old"));
    let evenkeel = start(&origin, "true");
    evenkeel.get("/");
    origin.stop();
    for _ in 0..5 {
        let response = evenkeel.get("/");
        assert_eq!(response.text(), "old");
    }
    origin.resume();
    let before = origin.count();
    eventually("the server is asked again", || {
        assert_eq!(evenkeel.get("/").text(), "old");
        origin.count() > before
    });
}

#[test]
fn the_route_says_how_long_stale_responses_are_used() {
    let origin = Origin::answering(|_| stale("", "one", "old"));
    let evenkeel = start(&origin, "{ stale_while_revalidate = \"10m\" }");
    evenkeel.get("/");
    assert_said(&evenkeel.get("/"), "detail=stale-while-revalidate");
    let beyond = Origin::answering(|_| stale(", stale-while-revalidate=2", "one", "old"));
    let evenkeel = start(&beyond, "{ stale_while_revalidate = \"10m\" }");
    evenkeel.get("/");
    assert!(!is_hit(&evenkeel.get("/")), "what the response says counts more");
}

/// How a server fails: what it does with the requests behind the first one.
#[derive(Clone, Copy, Debug)]
enum Fails {
    Refuses,
    Hangs,
    Closes,
    Cuts,
    Status(u16),
    Malformed,
}

fn failing(how: Fails, directives: &'static str) -> (Origin, Evenkeel) {
    let asked = AtomicUsize::new(0);
    let origin = Origin::start(move |_, wire| {
        if asked.fetch_add(1, Ordering::SeqCst) == 0 {
            wire.send(stale(directives, "one", "old"));
            return;
        }
        match how {
            Fails::Refuses | Fails::Hangs => {
                wire.hold();
            }
            Fails::Closes => wire.close(),
            Fails::Cuts => {
                wire.send("HTTP/1.1 200 OK\r\ncontent-le");
                wire.close();
            }
            Fails::Status(status) => {
                wire.send(answer(status, "", "error"));
            }
            Fails::Malformed => {
                wire.send("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab");
            }
        }
    });
    let text = config(&[&origin], "true").replace("cache =", "timeout = { request = \"500ms\" }\ncache =");
    let evenkeel = Evenkeel::start(&text);
    assert_eq!(evenkeel.get("/").text(), "old");
    if matches!(how, Fails::Refuses) {
        origin.stop();
    }
    (origin, evenkeel)
}

const FAILURES: [Fails; 8] = [
    Fails::Refuses,
    Fails::Hangs,
    Fails::Closes,
    Fails::Cuts,
    Fails::Status(500),
    Fails::Status(502),
    Fails::Status(503),
    Fails::Malformed,
];

#[test]
fn a_stale_response_stands_in_for_a_server_that_fails() {
    for how in FAILURES {
        let (_origin, evenkeel) = failing(how, ", stale-if-error=600");
        for _ in 0..2 {
            let response = evenkeel.get("/");
            assert_eq!((response.status, response.text().as_str()), (200, "old"), "{how:?}");
            assert_said(&response, "detail=stale-if-error");
        }
        let record = evenkeel.record(|record| record["cache"] == "stale");
        assert_eq!(record["cache_reason"], "stale-if-error");
    }
}

#[test]
fn all_that_wait_for_a_revalidation_that_fails_get_the_stale_response() {
    for how in [Fails::Hangs, Fails::Status(503)] {
        let (_origin, evenkeel) = failing(how, ", stale-if-error=600");
        let clients = crowd(&evenkeel, 20, "GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        for response in answers(clients) {
            assert_eq!((response.status, response.text().as_str()), (200, "old"), "{how:?}");
        }
    }
}

#[test]
fn nothing_stands_in_where_it_is_forbidden_or_not_asked_for() {
    for directives in [
        "",
        ", must-revalidate, stale-if-error=600",
        ", proxy-revalidate, stale-if-error=600",
        ", stale-if-error=1",
    ] {
        for how in [Fails::Refuses, Fails::Status(503)] {
            let (_origin, evenkeel) = failing(how, directives);
            let response = evenkeel.get("/");
            assert!(response.status >= 500, "{directives} {how:?}: {}", response.status);
            assert_ne!(response.text(), "old");
        }
    }
}

#[test]
fn other_errors_of_a_server_are_passed_on() {
    for status in [404, 403, 429, 501] {
        let (_origin, evenkeel) = failing(Fails::Status(status), ", stale-if-error=600");
        assert_eq!(evenkeel.get("/").status, status);
    }
}

#[test]
fn nothing_waits_for_servers_that_are_known_to_be_down() {
    let sick = Arc::new(AtomicUsize::new(0));
    let theirs = sick.clone();
    let origin = Origin::start(move |request, wire| {
        let is_sick = theirs.load(Ordering::SeqCst) == 1;
        if request.target() == "/health" {
            wire.send(answer(if is_sick { 500 } else { 200 }, "", ""));
        } else if is_sick {
            wire.hold();
        } else {
            wire.send(stale(", stale-if-error=600", "one", "old"));
        }
    });
    let health = "health = { path = \"/health\", interval = \"50ms\", timeout = \"1s\", fall = 2, rise = 2 }\nhealth_panic = 0\n";
    let text = config(&[&origin], "true") + health.lines().next().unwrap() + "\n";
    let evenkeel = Evenkeel::start(&text);
    evenkeel.wait_for_state(&origin.name, "up");
    evenkeel.get("/");
    sick.store(1, Ordering::SeqCst);
    evenkeel.wait_for_state(&origin.name, "down");
    let asked = || origin.requests().iter().filter(|request| request.target() == "/").count();
    let before = asked();
    for _ in 0..5 {
        let response = evenkeel.get("/");
        assert_eq!(response.text(), "old");
        assert_said(&response, "hit");
        assert_said(&response, "detail=stale-if-error");
    }
    assert_eq!(asked(), before);
}

#[test]
fn nothing_waits_while_the_circuit_breaker_is_open() {
    let origin = Origin::answering(|request| {
        if request.target() == "/" {
            stale(", stale-if-error=600", "one", "old")
        } else {
            answer(503, "", "sick")
        }
    });
    let text = config(&[&origin], "true")
        + "breaker = { failures = \"50%\", requests_min = 4, window = \"1h\", open_for = \"1h\" }\n";
    let evenkeel = Evenkeel::start(&text);
    evenkeel.get("/");
    for at in 0..8 {
        evenkeel.get(&format!("/sick{at}"));
    }
    eventually("the circuit breaker is open", || evenkeel.status()["pools"][0]["breaker"]["state"] == "open");
    let before = origin.count();
    let response = evenkeel.get("/");
    assert_eq!(response.text(), "old");
    assert_said(&response, "detail=stale-if-error");
    assert_eq!(origin.count(), before);
    assert_eq!(evenkeel.get("/nothing").status, 503);
}

#[test]
fn a_client_may_accept_what_is_stale() {
    let origin = Origin::answering(|_| stale("", "one", "old"));
    let evenkeel = start(&origin, "true");
    evenkeel.get("/");
    let response = evenkeel.client().get_with("/", "cache-control: max-stale=60\r\n");
    assert_said(&response, "detail=max-stale");
    let response = evenkeel.client().get_with("/", "cache-control: max-stale=2\r\n");
    assert!(!is_hit(&response));
}
