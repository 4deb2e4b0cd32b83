//! Whose turn it is on a connection of a client: responses by their urgency (RFC 9218), and requests beyond those that it may
//! have under way.

use crate::support::h2::frames::{Code, flag, headers, kind, setting, settings, window_update};
use crate::support::h2::{Peer, balancer, fields};
use crate::support::{Gate, Origin, answer, eventually, ok};

/// More than one connection's window, which is 65,535 bytes until the client opens it.
const LONG: usize = 200_000;

fn get(path: &'static str) -> Vec<u8> {
    fields::block(&[fields::GET[0], fields::GET[1], (":path", path), fields::GET[3]])
}

#[test]
fn what_a_server_says_of_the_urgency_of_its_response_counts() {
    let origin = Origin::answering(|request| {
        let priority = if request.target() == "/urgent" { "u=0" } else { "u=6" };
        answer(200, &format!("priority: {priority}\r\n"), &"x".repeat(LONG))
    });
    let evenkeel = balancer(&origin, "");
    let mut peer = Peer::greeted(evenkeel.client());
    // No stream has a window at first: both responses wait for theirs.
    peer.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 0)])).unwrap();
    peer.settings_ack().unwrap();
    let mut blocks = fields::Blocks::new();
    for (stream, path) in [(1, "/idle"), (3, "/urgent")] {
        peer.send(headers(stream, flag::WHOLE, get(path))).unwrap();
        let head = blocks.read(&peer.frame(kind::HEADERS).unwrap().payload);
        assert!(fields::values(&head, "priority")[0].starts_with("u="), "the client may know it");
    }
    peer.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 1 << 20)])).unwrap();
    let mut order = Vec::new();
    while order.len() < 4 {
        let frame = peer.frame(kind::DATA).unwrap();
        order.push(frame.stream);
        // One frame at a time: who has the next one is decided anew.
        peer.send(window_update(0, u32::try_from(frame.payload.len()).unwrap())).unwrap();
    }
    let urgent = order.iter().filter(|stream| **stream == 3).count();
    assert!(urgent >= 3, "{order:?}");
}

#[test]
fn requests_beyond_those_that_may_be_under_way_are_refused_and_logged() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |_, wire| {
        theirs.wait();
        wire.send(ok("a"));
    });
    let evenkeel = balancer(&origin, "");
    let mut peer = Peer::greeted(evenkeel.client());
    let most = u32::try_from(peer.setting(setting::MAX_CONCURRENT_STREAMS, 0)).unwrap();
    for at in 0..most {
        peer.send(headers(2 * at + 1, flag::WHOLE, get("/held"))).unwrap();
    }
    eventually("all are under way", || {
        evenkeel.metric("evenkeel_requests_in_flight", &[]) == f64::from(most)
    });
    peer.send(headers(2 * most + 1, flag::WHOLE, get("/beyond"))).unwrap();
    let reset = peer.frame(kind::RST_STREAM).unwrap();
    assert_eq!((reset.stream, Code(reset.number(0))), (2 * most + 1, Code::REFUSED));
    let record = evenkeel.record(|record| record["target"] == "/beyond");
    assert_eq!((record["ended"].as_str(), record["status"].as_u64()), (Some("refused"), Some(0)), "{record}");
    assert_eq!(record["reason"], "too many streams at a time", "{record}");
    assert_eq!(evenkeel.metric("evenkeel_requests_refused_total", &["reason=\"too_many_streams\""]), 1.0);
    gate.open();
    for _ in 0..most {
        peer.response_end().unwrap();
    }
    peer.send(headers(2 * most + 3, flag::WHOLE, get("/again"))).unwrap();
    peer.response_end().unwrap();
}

#[test]
fn a_response_with_nothing_to_send_is_not_cut_for_one_that_its_client_does_not_take() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |request, wire| {
        if request.target() == "/long" {
            wire.send(ok(&"x".repeat(LONG)));
            return;
        }
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n");
        theirs.wait();
        wire.send("late");
    });
    let evenkeel = balancer(&origin, "timeout = { write = \"1s\" }");
    let mut peer = Peer::greeted(evenkeel.client());
    peer.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 1 << 20)])).unwrap();
    peer.settings_ack().unwrap();
    // The first takes all of the connection's window, and the last waits for it for longer than the silent one could.
    for (stream, path) in [(1, "/long"), (3, "/silent"), (5, "/long")] {
        peer.send(headers(stream, flag::WHOLE, get(path))).unwrap();
        peer.frame(kind::HEADERS).unwrap();
    }
    let cut = [(); 2].map(|()| peer.frame(kind::RST_STREAM).unwrap().stream);
    assert_eq!(cut, [1, 5]);
    gate.open();
    peer.send(window_update(0, 1 << 20)).unwrap();
    let late = peer.first(|frame| frame.kind == kind::DATA && frame.stream == 3).unwrap();
    assert_eq!(late.payload, b"late");
}
