//! Leaving in good order: what is in flight ends, nothing new begins.

use std::net::TcpStream;
use std::time::Instant;

use rustix::process::Signal;

use crate::support::{Client, Evenkeel, Gate, Origin, eventually, ms, ok, pool};

/// Answers at once, but `/held` only when the gate opens.
fn held(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |request, wire| {
        if request.target() == "/held" {
            gate.wait();
        }
        wire.send(ok("done"));
    })
}

#[test]
fn a_request_in_flight_is_answered_with_connection_close() {
    for signal in [Signal::TERM, Signal::INT] {
        let gate = Gate::default();
        let origin = held(&gate);
        let mut evenkeel = Evenkeel::start(&pool(&[&origin], ""));
        let mut client = evenkeel.client();
        client.send("GET /held HTTP/1.1\r\nhost: test\r\n\r\n");
        eventually("the server is asked", || origin.count() == 1);
        evenkeel.signal(signal);
        let address = evenkeel.address();
        eventually("new connections are refused", || TcpStream::connect(address).is_err());
        assert!(evenkeel.is_running());
        gate.open();
        let response = client.answer("GET");
        assert_eq!(response.text(), "done");
        assert!(response.lists("connection", "close"), "{:?}", response.head);
        client.assert_closed();
        assert_eq!(evenkeel.wait_exit().code(), Some(0));
    }
}

#[test]
fn idle_connections_are_closed_and_the_process_ends_at_once() {
    let origin = Origin::named("a");
    let mut evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    assert_eq!(client.get("/").text(), "a");
    let begun = Instant::now();
    evenkeel.signal(Signal::TERM);
    client.assert_closed();
    assert_eq!(evenkeel.wait_exit().code(), Some(0));
    assert!(begun.elapsed() < crate::support::DEADLINE / 2, "the grace of 30 s is for those who need it");
}

#[test]
fn grace_has_an_end() {
    let gate = Gate::default();
    let origin = held(&gate);
    let mut evenkeel =
        Evenkeel::start(&format!("[server]\nworkers = 1\ngrace = \"400ms\"\n{}", pool(&[&origin], "")));
    let mut client = evenkeel.client();
    client.send("GET /held HTTP/1.1\r\nhost: test\r\n\r\n");
    eventually("the server is asked", || origin.count() == 1);
    let begun = Instant::now();
    evenkeel.signal(Signal::TERM);
    evenkeel.wait_exit();
    assert!(begun.elapsed() >= ms(400));
    assert!(client.hold());
}

#[test]
fn the_admin_api_says_so_while_leaving() {
    let gate = Gate::default();
    let origin = held(&gate);
    let mut evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    client.send("GET /held HTTP/1.1\r\nhost: test\r\n\r\n");
    eventually("the server is asked", || origin.count() == 1);
    assert_eq!(evenkeel.admin("GET", "/readyz", "").status, 200);
    evenkeel.signal(Signal::TERM);
    eventually("it is no longer ready", || evenkeel.admin("GET", "/readyz", "").status == 503);
    assert_eq!(evenkeel.admin("GET", "/healthz", "").status, 200);
    gate.open();
    assert_eq!(client.answer("GET").text(), "done");
    assert_eq!(evenkeel.wait_exit().code(), Some(0));
}

#[test]
fn a_body_in_flight_arrives_whole() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfirst");
        theirs.wait();
        wire.send("later");
    });
    let mut evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    client.head().unwrap();
    assert_eq!(client.exactly(5).unwrap(), b"first");
    evenkeel.signal(Signal::TERM);
    let address = evenkeel.address();
    eventually("new connections are refused", || TcpStream::connect(address).is_err());
    gate.open();
    assert_eq!(client.exactly(5).unwrap(), b"later");
    assert_eq!(evenkeel.wait_exit().code(), Some(0));
}

#[test]
fn every_line_of_the_access_log_is_written() {
    let origin = Origin::named("a");
    let mut evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    for _ in 0..500 {
        client.get("/");
    }
    evenkeel.signal(Signal::TERM);
    evenkeel.wait_exit();
    assert_eq!(evenkeel.stdout.lines().len(), 500);
}

#[test]
fn a_tunnel_lives_until_the_grace_is_over() {
    let origin = Origin::start(|_, wire| {
        wire.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
        while let Ok(bytes) = wire.some() {
            wire.send(bytes);
        }
        wire.close();
    });
    let mut evenkeel =
        Evenkeel::start(&format!("[server]\nworkers = 1\ngrace = \"1s\"\n{}", pool(&[&origin], "")));
    let mut client = evenkeel.client();
    let response = client.get_with("/", "connection: upgrade\r\nupgrade: echo\r\n");
    assert_eq!(response.status, 101);
    evenkeel.signal(Signal::TERM);
    let address = evenkeel.address();
    eventually("new connections are refused", || TcpStream::connect(address).is_err());
    client.send("still here");
    assert_eq!(client.exactly(10).unwrap(), b"still here");
    assert!(client.hold(), "closed when the grace is over");
    evenkeel.wait_exit();
}

#[test]
fn connections_from_before_the_signal_are_served() {
    // One worker alone has more waiting than it accepts in one turn.
    for (workers, waiting) in [(1, 400), (2, 100)] {
        let origin = Origin::named("a");
        let server = format!("[server]\nworkers = {workers}\n");
        let mut evenkeel = Evenkeel::start(&format!("{server}{}", pool(&[&origin], "")));
        // While the process stands still, the kernel completes connections that nobody has accepted.
        evenkeel.signal(Signal::STOP);
        let connect = |_| {
            let mut client = evenkeel.client();
            client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
            client
        };
        let mut clients: Vec<Client> = (0..waiting).map(connect).collect();
        evenkeel.signal(Signal::TERM);
        evenkeel.signal(Signal::CONT);
        let lost: Vec<_> = clients.iter_mut().filter_map(|client| client.response("GET").err()).collect();
        assert!(lost.is_empty(), "{} of {waiting} lost by {workers} workers: {:?}", lost.len(), lost[0]);
        assert_eq!(origin.count(), waiting);
        drop(clients);
        assert_eq!(evenkeel.wait_exit().code(), Some(0));
    }
}

#[test]
fn a_connection_without_a_request_does_not_hold_up_the_end() {
    // As long as a whole head's buffer, so that the last read leaves nothing to learn that there is no more.
    let filler = "x".repeat(2560 - "GET / HTTP/1.1\r\nhost: test\r\nx: \r\n\r\n".len());
    let exact = format!("GET / HTTP/1.1\r\nhost: test\r\nx: {filler}\r\n\r\n");
    assert_eq!(exact.len(), 2560);
    for request in ["", exact.as_str()] {
        let origin = Origin::named("a");
        let mut evenkeel = Evenkeel::start(&pool(&[&origin], ""));
        let mut client = evenkeel.client();
        if !request.is_empty() {
            assert_eq!(client.ask(request).text(), "a");
        }
        eventually("the connection is known", || evenkeel.metric("evenkeel_connections", &[]) == 1.0);
        let begun = Instant::now();
        evenkeel.signal(Signal::TERM);
        assert_eq!(evenkeel.wait_exit().code(), Some(0));
        assert!(begun.elapsed() < ms(5000), "{} bytes: {:?}", request.len(), begun.elapsed());
        client.assert_closed();
    }
}
