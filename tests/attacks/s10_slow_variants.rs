//! S10, in depth: slow in places where a limit is easily forgotten.

use std::thread;
use std::time::Instant;

use crate::support::{Client, DEADLINE, Evenkeel, Fault, Origin, eventually, ms, ok, pool};

/// Sends `piece` now and then until the balancer ends the connection or answers.
fn trickle(client: &mut Client, piece: &str) -> Result<u16, Fault> {
    let begun = Instant::now();
    client.patience(ms(30));
    loop {
        client.send(piece);
        match client.response("POST") {
            Err(Fault::Silent) => assert!(begun.elapsed() < 2 * DEADLINE, "{piece:?} goes on for ever"),
            other => return other.map(|response| response.status),
        }
    }
}

fn balancer(origin: &Origin) -> Evenkeel {
    Evenkeel::start(&format!(
        "[limits]\nbody_rate = 1000\n[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\n\
         timeout = {{ head = \"1s\", idle = \"1s\", body = \"1s\", write = \"1s\" }}\n{}",
        pool(&[origin], "")
    ))
}

/// What is sent at first, and what follows piece by piece.
const CASES: [(&str, &str, &str); 8] = [
    ("empty lines before a request", "", "\r\n"),
    ("a method without an end", "", "G"),
    ("fields one by one", "GET / HTTP/1.1\r\nhost: test\r\n", "x: y\r\n"),
    ("chunks of a byte", "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n", "1\r\nx\r\n"),
    ("a chunk size", "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n", "0"),
    ("an extension", "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n1;", "x"),
    ("trailers", "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", "x: y\r\n"),
    ("the preface of HTTP/2", "", "P"),
];

#[test]
fn s10_nothing_may_trickle_for_ever() {
    let origin = Origin::named("a");
    let evenkeel = balancer(&origin);
    thread::scope(|scope| {
        for (name, start, piece) in CASES {
            let evenkeel = &evenkeel;
            scope.spawn(move || {
                let mut client = evenkeel.client();
                client.send(start);
                match trickle(&mut client, piece) {
                    Ok(status) => assert!(matches!(status, 400 | 408 | 431), "{name}: {status}"),
                    Err(fault) => assert!(fault.is_end(), "{name}: {fault:?}"),
                }
            });
        }
        assert_eq!(evenkeel.get("/").text(), "a");
    });
    eventually("all are closed", || evenkeel.metric("evenkeel_connections", &[]) == 0.0);
    assert_eq!(origin.count(), 1);
}

#[test]
fn s10_connections_that_say_nothing_are_closed() {
    let origin = Origin::named("a");
    let evenkeel = balancer(&origin);
    let mut silent: Vec<_> = (0..50).map(|_| evenkeel.client()).collect();
    let mut after_one = evenkeel.client();
    assert_eq!(after_one.get("/").text(), "a");
    let mut preface_only = evenkeel.client();
    preface_only.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    for client in &mut silent {
        client.assert_closed();
    }
    after_one.assert_closed();
    assert!(preface_only.hold(), "a client that never says SETTINGS stays");
    eventually("all are closed", || evenkeel.metric("evenkeel_connections", &[]) == 0.0);
}

#[test]
fn s10_a_body_that_stops_frees_the_server_too() {
    let origin = Origin::named("a");
    let evenkeel = balancer(&origin);
    for framing in ["content-length: 100000\r\n\r\nxxx", "transfer-encoding: chunked\r\n\r\nffff\r\nxxx"] {
        let mut client = evenkeel.client();
        client.send(format!("POST / HTTP/1.1\r\nhost: test\r\n{framing}"));
        assert_eq!(client.answer("POST").status, 408, "{framing:?}");
        client.assert_closed();
    }
    eventually("the server is free", || evenkeel.metric("evenkeel_backend_in_flight", &[]) == 0.0);
    assert_eq!(origin.count(), 0, "nothing arrived as whole");
}

#[test]
fn s10_those_who_never_read_their_answers_cannot_pipeline_for_ever() {
    let origin = Origin::answering(|_| ok(&"x".repeat(10_000)));
    let evenkeel = balancer(&origin);
    let before = evenkeel.allocated();
    let mut client = Client::slow_reader(evenkeel.address());
    let requests = "GET / HTTP/1.1\r\nhost: test\r\n\r\n".repeat(1000);
    let mut sent = 0;
    while sent < 100 && client.send(&requests) {
        sent += 1;
    }
    eventually("nothing is in flight", || evenkeel.metric("evenkeel_requests_in_flight", &[]) == 0.0);
    assert!(client.hold(), "the connection has ended");
    let grown = evenkeel.allocated().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes more");
}
