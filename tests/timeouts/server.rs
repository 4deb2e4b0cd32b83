//! What waits for a server: the connection, the answer, the rest of the answer.

use std::time::Instant;

use crate::support::{Evenkeel, Origin, Port, ms, ok, pool};

#[test]
fn a_server_that_accepts_nothing_is_given_up() {
    let port = Port::reserve();
    let hang = port.hang();
    let evenkeel = Evenkeel::start(&format!(
        "[pool.app]\nbackends = [\"{}\"]\ntimeout = {{ connect = \"300ms\" }}",
        port.address()
    ));
    let begun = Instant::now();
    let status = evenkeel.get("/").status;
    assert!(matches!(status, 502 | 504), "{status}");
    assert!(begun.elapsed() >= ms(300));
    drop(hang);
}

#[test]
fn another_server_is_tried_when_one_accepts_nothing() {
    let (port, other) = (Port::reserve(), Origin::named("other"));
    let hang = port.hang();
    let evenkeel = Evenkeel::start(&format!(
        "[pool.app]\nbackends = [\"{}\", \"{}\"]\ntimeout = {{ connect = \"300ms\" }}",
        port.address(),
        other.address()
    ));
    for _ in 0..4 {
        assert_eq!(evenkeel.get("/").text(), "other");
    }
    drop(hang);
}

#[test]
fn after_three_connect_timeouts_the_reason_says_that_another_server_is_left() {
    let ports = [(); 3].map(|()| Port::reserve());
    let hangs = ports.each_ref().map(Port::hang);
    let left = Origin::named("left");
    let [a, b, c] = ports.each_ref().map(Port::address);
    let evenkeel = Evenkeel::start(&format!(
        "[pool.app]\nbackends = [\"{a}\", \"{b}\", \"{c}\", {{ address = \"{}\", backup = true }}]\n\
         timeout = {{ connect = \"100ms\" }}",
        left.address()
    ));
    assert_eq!((evenkeel.get("/").status, left.count()), (504, 0));
    let reason = evenkeel.record(|record| record["status"] == 504)["reason"].clone();
    assert_eq!(reason, "connect timeout; not retried: too many servers could not be reached");
    let labels = ["cause=\"connect\"", "outcome=\"unreachable\""];
    assert_eq!(evenkeel.metric("evenkeel_retries_total", &labels), 1.0);
    drop(hangs);
}

#[test]
fn a_server_that_does_not_answer_is_a_504() {
    let origin = Origin::start(|request, wire| {
        if request.target() == "/stall" {
            wire.hold();
            wire.close();
        } else {
            wire.send(ok("a"));
        }
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], "timeout = { response = \"300ms\" }"));
    let mut client = evenkeel.client();
    assert_eq!(client.get("/").text(), "a");
    let begun = Instant::now();
    let response = client.get("/stall");
    assert_eq!(response.status, 504);
    assert!(begun.elapsed() >= ms(300));
    assert_eq!(origin.requests().iter().filter(|r| r.target() == "/stall").count(), 1, "not sent twice");
    assert_eq!(client.get("/").text(), "a");
}

#[test]
fn a_server_that_stalls_in_its_head_is_a_504() {
    let origin = Origin::start(|_, wire| {
        wire.send("HTTP/1.1 200 OK\r\ncontent-le");
        wire.hold();
        wire.close();
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], "timeout = { response = \"300ms\" }"));
    assert_eq!(evenkeel.get("/").status, 504);
}

#[test]
fn a_server_that_stalls_in_its_body_leaves_a_cut_answer() {
    let origin = Origin::start(|_, wire| {
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
        wire.hold();
        wire.close();
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], "timeout = { response = \"300ms\" }"));
    let mut client = evenkeel.client();
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    let fault = client.response("GET").unwrap_err();
    assert!(fault.is_end(), "{fault:?}");
}

#[test]
fn idle_connections_to_a_server_are_closed() {
    let ended = crate::support::Gate::default();
    let theirs = ended.clone();
    let origin = Origin::start(move |_, wire| {
        wire.send(ok("a"));
        if wire.hold() {
            theirs.open();
        }
        wire.close();
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], "timeout = { idle = \"300ms\" }"));
    let mut client = evenkeel.client();
    let begun = Instant::now();
    assert_eq!(client.get("/").text(), "a");
    assert!(ended.opens());
    assert!(
        begun.elapsed() >= ms(300) && begun.elapsed() < crate::support::DEADLINE,
        "{:?}",
        begun.elapsed()
    );
}
