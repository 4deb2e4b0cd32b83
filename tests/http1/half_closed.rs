//! A client that has finished sending still gets its answer.

use crate::support::{Evenkeel, Gate, Origin, eventually, ok, pool};

/// A listener with this `half_close`, or the default one.
fn start(origin: &Origin, half_close: &str) -> Evenkeel {
    Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\n{half_close}\n{}",
        pool(&[origin], "")
    ))
}

const REQUEST: &str = "POST /work HTTP/1.1\r\nhost: test\r\ncontent-length: 4\r\n\r\nlast";

#[test]
fn a_client_that_half_closes_is_served_where_the_listener_says_so() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |request, wire| {
        theirs.wait();
        wire.send(ok(&format!("got {}", request.body.text())));
    });
    let evenkeel = start(&origin, "half_close = \"serve\"");
    let mut client = evenkeel.client();
    client.send(REQUEST);
    client.finish();
    eventually("the server has the request", || origin.count() == 1);
    gate.open();
    assert_eq!(client.answer("POST").text(), "got last");
    client.assert_closed();
    assert_eq!(evenkeel.record(|record| record["target"] == "/work")["ended"], "complete");
}

/// A server that works until its client gives up, upon which the gate opens.
fn worker(given_up: &Gate) -> Origin {
    let theirs = given_up.clone();
    Origin::start(move |_, wire| {
        if wire.hold() {
            theirs.open();
        }
        wire.close();
    })
}

#[test]
fn the_end_of_a_client_while_its_server_works_ends_the_request() {
    for half_close in ["", "half_close = \"abort\""] {
        let given_up = Gate::default();
        let origin = worker(&given_up);
        let evenkeel = start(&origin, half_close);
        for closes_wholly in [false, true] {
            let mut client = evenkeel.client();
            client.send(REQUEST);
            let nth = 1 + usize::from(closes_wholly);
            eventually("the server has the request", || origin.count() == nth);
            if closes_wholly {
                client.close()
            } else {
                client.finish()
            }
            eventually("it is logged", || {
                evenkeel.stdout.count(|line| line.contains("client_aborted")) == nth
            });
            assert!(given_up.opens(), "the server works on without a client");
        }
        let in_flight = || evenkeel.metric("evenkeel_requests_in_flight", &[]);
        eventually("nothing is in flight", || in_flight() == 0.0);
    }
}

#[test]
fn the_end_of_a_client_in_the_middle_of_a_response_ends_the_request() {
    let given_up = Gate::default();
    let theirs = given_up.clone();
    let origin = Origin::start(move |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n");
        if wire.hold() {
            theirs.open();
        }
        wire.close();
    });
    let evenkeel = start(&origin, "");
    let mut client = evenkeel.client();
    client.send("GET /events HTTP/1.1\r\nhost: test\r\n\r\n");
    client.head().unwrap();
    client.close();
    assert!(given_up.opens(), "the server works on without a client");
    assert_eq!(evenkeel.record(|record| record["target"] == "/events")["ended"], "client_aborted");
}

#[test]
fn the_end_of_a_client_in_the_queue_ends_its_request() {
    let gate = Gate::default();
    let origin = Origin::held("a", &gate);
    let keys = "breaker = { max_requests = 1, max_pending = 10 }\nqueue = { wait = \"1m\" }";
    let evenkeel = Evenkeel::start(&pool(&[&origin], keys));
    let mut first = evenkeel.client();
    first.send("GET /first HTTP/1.1\r\nhost: test\r\n\r\n");
    eventually("the server has the request", || origin.count() == 1);
    let mut second = evenkeel.client();
    second.send("GET /second HTTP/1.1\r\nhost: test\r\n\r\n");
    eventually("the second waits", || evenkeel.metric("evenkeel_requests_in_flight", &[]) == 2.0);
    second.finish();
    assert_eq!(evenkeel.record(|record| record["target"] == "/second")["ended"], "client_aborted");
    gate.open();
    assert_eq!(first.answer("GET").text(), "a");
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_client_that_half_closes_in_mid_body_reaches_no_server_as_whole() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for framing in ["content-length: 10\r\n\r\nhalf", "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let mut client = evenkeel.client();
        client.send(format!("POST / HTTP/1.1\r\nhost: test\r\n{framing}"));
        client.finish();
        // Whether it is told 400 or just closed is all the same to a client that broke its word.
        match client.response("POST") {
            Ok(response) => assert_eq!(response.status, 400),
            Err(fault) => assert!(fault.is_end(), "{fault:?}"),
        }
    }
    assert_eq!(origin.count(), 0);
    assert_eq!(evenkeel.get("/").text(), "a");
}

#[test]
fn a_server_that_half_closes_behind_a_whole_answer_has_answered() {
    let origin = Origin::start(|_, wire| {
        wire.send(ok("whole"));
        wire.finish();
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "whole");
    }
}
