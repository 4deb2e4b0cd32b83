//! Retries in a pool with limits: no more of them than `max_retries`, and each holds a place at one server at a time.

use super::max_connections::ask;
use crate::support::{Evenkeel, Gate, Origin, answer, eventually, ok};

/// The pool `app`: `first`, and `second` for what the first has failed; one request at a time at each, if `max` says so.
fn start(first: &Origin, second: &Origin, max: &str, keys: &str) -> Evenkeel {
    let (a, b) = (first.address(), second.address());
    Evenkeel::start(&format!(
        "[[route]]\npool = \"app\"\nretry = {{ on = [\"connect\", \"reset\", \"503\"] }}\n[pool.app]\nbackends = [\n\
         {{ address = \"{a}\", name = \"first\"{max} }},\n\
         {{ address = \"{b}\", name = \"second\", backup = true{max} }}]\n{keys}\n"
    ))
}

const ONE: &str = ", max_connections = 1";

fn closing() -> Origin {
    Origin::start(|_, wire| wire.close())
}

/// Answers 503, but for `/ok`.
fn sick() -> Origin {
    Origin::answering(|request| if request.target() == "/ok" { ok("first") } else { answer(503, "", "sick") })
}

/// Holds `/hold` until the gate opens.
fn holding(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |request, wire| {
        if request.target() == "/hold" {
            gate.wait();
        }
        wire.send(ok("second"));
    })
}

fn reason(evenkeel: &Evenkeel, target: &str) -> String {
    evenkeel.record(|record| record["target"] == target)["reason"].as_str().unwrap().to_owned()
}

fn in_flight(evenkeel: &Evenkeel, server: &str) -> u64 {
    evenkeel.server("app", server)["in_flight"].as_u64().unwrap()
}

/// Has a request take the place at `second`.
fn take_second(evenkeel: &Evenkeel, second: &Origin) -> std::thread::JoinHandle<(u16, String)> {
    evenkeel.set_server("app", "first", "{\"state\": \"drain\"}");
    let held = ask(evenkeel, "/hold");
    eventually("the place is taken", || second.count() == 1);
    evenkeel.set_server("app", "first", "{\"state\": \"ready\"}");
    evenkeel.wait_for_state("first", "up");
    held
}

#[test]
fn beyond_as_many_as_may_be_under_way_there_is_none() {
    let gate = Gate::default();
    let (first, second) = (closing(), holding(&gate));
    let evenkeel = start(&first, &second, "", "breaker = { max_retries = 1 }");
    let retried = ask(&evenkeel, "/hold");
    eventually("a retry is under way", || second.count() == 1);
    assert_eq!(evenkeel.get("/limited").status, 502);
    assert_eq!(evenkeel.metric("evenkeel_breaker_refused_total", &["reason=\"max_retries\""]), 1.0);
    assert_eq!(evenkeel.metric("evenkeel_retries_total", &["cause=\"reset\"", "outcome=\"limit\""]), 1.0);
    let reason = reason(&evenkeel, "/limited");
    assert!(reason.ends_with("not retried: breaker.max_retries is reached"), "{reason}");
    gate.open();
    assert_eq!(retried.join().unwrap(), (200, "second".to_owned()));
    assert_eq!(evenkeel.get("/").status, 200, "its place among the retries is free again");
    assert_eq!((first.count(), second.count()), (3, 2));
}

#[test]
fn none_at_all_may_be_made() {
    let (first, second) = (closing(), Origin::named("second"));
    let evenkeel = start(&first, &second, "", "breaker = { max_retries = 0 }");
    assert_eq!(evenkeel.get("/").status, 502);
    first.stop();
    assert_eq!(evenkeel.get("/").status, 200, "what was not sent is not retried, but sent");
}

#[test]
fn a_retry_is_over_when_its_answer_begins() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let second = Origin::start(move |request, wire| {
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsec");
        if request.target() == "/long" {
            theirs.wait();
        }
        wire.send("ond");
    });
    let first = closing();
    let evenkeel = start(&first, &second, "", "breaker = { max_retries = 1 }");
    let mut client = evenkeel.client();
    client.send("GET /long HTTP/1.1\r\nhost: test\r\n\r\n");
    assert!(client.head().unwrap().start.contains("200"));
    assert_eq!(evenkeel.get("/").text(), "second");
    gate.open();
    assert_eq!(client.exactly(6).unwrap(), b"second");
}

#[test]
fn the_place_at_the_first_server_is_given_back_before_the_second_is_asked() {
    let gate = Gate::default();
    let (first, second) = (closing(), holding(&gate));
    let evenkeel = start(&first, &second, ONE, "");
    let retried = ask(&evenkeel, "/hold");
    eventually("the second is asked", || second.count() == 1);
    assert_eq!((in_flight(&evenkeel, "first"), in_flight(&evenkeel, "second")), (0, 1));
    assert_eq!(evenkeel.get("/full").status, 502, "the first fails, the second is full");
    assert_eq!(first.count(), 2);
    assert_eq!(
        reason(&evenkeel, "/full").split("not retried: ").nth(1),
        Some("every server is at its max_connections")
    );
    gate.open();
    assert_eq!(retried.join().unwrap().0, 200);
    eventually("no place is held", || evenkeel.metric("evenkeel_backend_in_flight", &[]) == 0.0);
}

#[test]
fn an_answer_that_waits_for_a_better_one_holds_no_place() {
    let gate = Gate::default();
    let (first, second) = (sick(), holding(&gate));
    let evenkeel = start(&first, &second, ONE, "queue = { wait = \"15s\" }");
    let held = take_second(&evenkeel, &second);
    let retried = ask(&evenkeel, "/retried");
    eventually("it waits for the second", || evenkeel.metric("evenkeel_queue_length", &[]) == 1.0);
    assert_eq!(in_flight(&evenkeel, "first"), 0);
    assert_eq!(evenkeel.get("/ok").text(), "first");
    gate.open();
    assert_eq!((held.join().unwrap().0, retried.join().unwrap()), (200, (200, "second".to_owned())));
    eventually("no place is held", || evenkeel.metric("evenkeel_backend_in_flight", &[]) == 0.0);
}

#[test]
fn an_answer_is_passed_on_when_there_is_no_place_for_a_better_one() {
    for (queue, why) in [
        ("", "every server is at its max_connections"),
        (
            "queue = { wait = \"50ms\" }",
            "every server is at its max_connections, and there was no place within 50ms",
        ),
    ] {
        let gate = Gate::default();
        let (first, second) = (sick(), holding(&gate));
        let evenkeel = start(&first, &second, ONE, queue);
        let held = take_second(&evenkeel, &second);
        let passed_on = evenkeel.get("/retried");
        assert_eq!((passed_on.status, passed_on.text().as_str()), (503, "sick"), "{queue}");
        let reason = reason(&evenkeel, "/retried");
        assert!(reason.ends_with(&format!("passed on, not retried: {why}")), "{reason}");
        gate.open();
        assert_eq!(held.join().unwrap().0, 200);
        eventually("no place is held", || evenkeel.metric("evenkeel_backend_in_flight", &[]) == 0.0);
    }
}
