//! What one side has sent reaches the other before more of it comes: server-sent events, long polls, uploads.

use crate::support::{Evenkeel, Gate, Origin, Wire, ok, pool};

const CHUNKED: &str = "transfer-encoding: chunked\r\n\r\n";

/// How a body is framed, its first part as sent, and the rest.
const BODIES: [(&str, &str, &str); 4] = [
    ("content-length: 11\r\n\r\n", "first", "second"),
    (CHUNKED, "5\r\nfirst\r\n", "6\r\nsecond\r\n0\r\n\r\n"),
    // The CRLF behind the data belongs to neither.
    (CHUNKED, "5\r\nfirst", "\r\n6\r\nsecond\r\n0\r\n\r\n"),
    // Nor does the beginning of a chunk that is not all there.
    (CHUNKED, "5\r\nfirst\r\n6", "\r\nsecond\r\n0\r\n\r\n"),
];

/// Reads a body until `first` was seen, however it is framed now.
fn read_until_first(wire: &mut Wire) {
    let mut seen = Vec::new();
    while !seen.windows(5).any(|part| part == b"first") {
        seen.extend(wire.some().unwrap());
    }
}

#[test]
fn the_beginning_of_an_answer_arrives_before_its_end_is_sent() {
    for (framing, first, rest) in BODIES {
        for together in [true, false] {
            let gate = Gate::default();
            let theirs = gate.clone();
            let origin = Origin::start(move |_, wire| {
                let head = format!("HTTP/1.1 200 OK\r\n{framing}");
                if together {
                    wire.send(head + first);
                } else {
                    wire.send(head);
                    wire.send(first);
                }
                theirs.wait();
                wire.send(rest);
            });
            let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
            let mut client = evenkeel.client();
            client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
            read_until_first(&mut client);
            gate.open();
            let rest = client.some().unwrap();
            assert!(!rest.is_empty(), "{framing:?} {first:?}");
        }
    }
}

#[test]
fn the_beginning_of_an_answer_without_framing_arrives_too() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\n\r\nfirst");
        theirs.wait();
        wire.close();
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for version in ["1.1", "1.0"] {
        let mut client = evenkeel.client();
        client.send(format!("GET / HTTP/{version}\r\nhost: test\r\n\r\n"));
        read_until_first(&mut client);
    }
    gate.open();
}

#[test]
fn a_head_arrives_before_its_body_is_sent() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n");
        theirs.wait();
        wire.send("body");
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(client.head().unwrap().header("content-length"), Some("4"));
    gate.open();
    assert_eq!(client.exactly(4).unwrap(), b"body");
}

#[test]
fn the_beginning_of_a_request_arrives_before_its_end_is_sent() {
    for (framing, first, rest) in BODIES {
        for together in [true, false] {
            let arrived = Gate::default();
            let theirs = arrived.clone();
            let origin = Origin::on_head(move |request, wire| {
                let mut early = Vec::new();
                while !early.windows(5).any(|part| part == b"first") {
                    let Ok(more) = wire.some() else { return };
                    early.extend(more);
                }
                theirs.open();
                while !early.windows(6).any(|part| part == b"second") {
                    let Ok(more) = wire.some() else { return };
                    early.extend(more);
                }
                wire.send(ok(&request.head.start));
                wire.hold();
            });
            let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
            let mut client = evenkeel.client();
            let head = format!("POST / HTTP/1.1\r\nhost: test\r\n{framing}");
            if together {
                client.send(head + first);
            } else {
                client.send(head);
                client.send(first);
            }
            assert!(arrived.opens(), "{framing:?} {first:?} together: {together}");
            client.send(rest);
            assert_eq!(client.answer("POST").text(), "POST / HTTP/1.1");
        }
    }
}

#[test]
fn the_last_event_arrives_while_the_stream_stays_open() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
        for n in 0..5 {
            wire.send(format!("9\r\ndata: {n}\n\n\r\n"));
        }
        theirs.wait();
        wire.close();
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    let mut text = String::new();
    while !text.contains("data: 4\n\n") {
        text += &String::from_utf8(client.some().unwrap()).unwrap();
    }
    gate.open();
}
