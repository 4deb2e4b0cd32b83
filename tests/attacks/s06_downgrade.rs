//! S6: HTTP/2 requests that a server of HTTP/1.1 would read in another way than we do.

use crate::support::h2::fields::{self, Field, GET, POST};
use crate::support::h2::frames::{Code, data, flag, headers, kind};
use crate::support::h2::{Expect, Peer, balancer};
use crate::support::{Evenkeel, Origin};

const MALFORMED: Expect = Expect::StreamError(&[Code::PROTOCOL]);

/// What somebody would like the server to take for a request of its own.
const EVIL: &str = "GET /evil HTTP/1.1\r\nhost: test\r\n\r\n";

/// A field of a plain GET, and what is wrong with it.
const BAD_FIELDS: [(&str, Field); 29] = [
    ("CR and LF in a value", ("x-test", "a\r\nx-evil: 1")),
    ("CR in a value", ("x-test", "a\rx-evil: 1")),
    ("LF in a value", ("x-test", "a\nx-evil: 1")),
    ("NUL in a value", ("x-test", "a\0b")),
    ("another control in a value", ("x-test", "a\u{1}b")),
    ("DEL in a value", ("x-test", "a\u{7f}b")),
    ("a request in a value", ("x-test", "a\r\n\r\nGET /evil HTTP/1.1\r\nhost: test")),
    ("a space before a value", ("x-test", " a")),
    ("a tab behind a value", ("x-test", "a\t")),
    ("CR and LF in a name", ("x-test: a\r\nx-evil", "1")),
    ("LF in a name", ("x\nx-evil", "1")),
    ("NUL in a name", ("x\0y", "1")),
    ("a space in a name", ("x y", "1")),
    ("a space behind a name", ("content-length ", "5")),
    ("a colon in a name", ("transfer-encoding: chunked\r\nx", "1")),
    ("a name in upper case", ("Transfer-Encoding", "chunked")),
    ("a quotation mark in a name", ("x\"y", "1")),
    ("a name outside ASCII", ("x\u{e9}", "1")),
    ("no name", ("", "1")),
    ("connection", ("connection", "close")),
    ("connection that nominates", ("connection", "x-forwarded-for")),
    ("keep-alive", ("keep-alive", "timeout=5")),
    ("proxy-connection", ("proxy-connection", "close")),
    ("transfer-encoding", ("transfer-encoding", "chunked")),
    ("upgrade", ("upgrade", "websocket")),
    ("te", ("te", "gzip")),
    ("a list of lengths", ("content-length", "0, 5")),
    ("a signed length", ("content-length", "+0")),
    ("an empty length", ("content-length", "")),
];

/// The pseudo-header fields of a request, and what is wrong with them.
const BAD_HEADS: [(&str, [Field; 4]); 10] = [
    (
        "a request in the path",
        [GET[0], GET[1], (":path", "/ HTTP/1.1\r\nhost: test\r\n\r\nGET /evil"), GET[3]],
    ),
    ("a space in the path", [GET[0], GET[1], (":path", "/ HTTP/1.1"), GET[3]]),
    ("NUL in the path", [GET[0], GET[1], (":path", "/\0"), GET[3]]),
    ("an absolute form for a path", [GET[0], GET[1], (":path", "http://evil/"), GET[3]]),
    ("a request in the method", [(":method", "GET / HTTP/1.1\r\n\r\nGET"), GET[1], GET[2], GET[3]]),
    ("a space in the method", [(":method", "GET /evil"), GET[1], GET[2], GET[3]]),
    ("a line in the authority", [GET[0], GET[1], GET[2], (":authority", "test\r\nx-evil: 1")]),
    ("a space in the authority", [GET[0], GET[1], GET[2], (":authority", "test evil")]),
    ("a path in the authority", [GET[0], GET[1], GET[2], (":authority", "test/evil")]),
    ("a line in the scheme", [GET[0], (":scheme", "http\r\nx-evil: 1"), GET[2], GET[3]]),
];

/// What HEADERS say of the length, and what comes as DATA, frame by frame.
const BAD_BODIES: [(&str, &[Field], &[&str]); 8] = [
    ("more than was said", &[("content-length", "1")], &["test"]),
    ("more than was said, in a frame of its own", &[("content-length", "4")], &["test", EVIL]),
    ("more than nothing", &[("content-length", "0")], &[EVIL]),
    ("less than was said", &[("content-length", "40")], &["test"]),
    ("nothing of what was said", &[("content-length", "4")], &[]),
    ("two lengths", &[("content-length", "4"), ("content-length", "0")], &["test"]),
    ("length and coding", &[("content-length", "4"), ("transfer-encoding", "chunked")], &["test"]),
    ("chunks", &[("transfer-encoding", "chunked")], &["0\r\n\r\n", EVIL]),
];

/// The frames of a POST.
fn post(fields: &[Field], pieces: &[&str]) -> Vec<u8> {
    let block = [fields::post(), fields::block(fields)].concat();
    let mut frames = headers(1, if pieces.is_empty() { flag::WHOLE } else { flag::END_HEADERS }, block);
    for (i, piece) in pieces.iter().enumerate() {
        let last = if i + 1 == pieces.len() { flag::END_STREAM } else { flag::NONE };
        frames.extend(data(1, last, piece));
    }
    frames
}

/// Sends `frames`, to which an error of the stream must be the answer.
#[track_caller]
fn assert_refused(evenkeel: &Evenkeel, name: &str, frames: &[u8]) {
    let mut peer = Peer::greeted(evenkeel.client());
    peer.send(frames).unwrap();
    let seen = MALFORMED.follows(&mut peer).err();
    assert_eq!(seen, None, "{name}");
}

/// Sends `frames`, waits for the whole response, and returns its status.
fn ask(evenkeel: &Evenkeel, frames: &[u8]) -> String {
    let mut peer = Peer::greeted(evenkeel.client());
    peer.send(frames).unwrap();
    let response = peer.frame(kind::HEADERS).unwrap();
    if !response.has(flag::END_STREAM) {
        peer.response_end().unwrap();
    }
    fields::status(&response.payload).unwrap()
}

#[test]
fn s6_what_is_no_head_of_http_1_is_refused_and_nothing_forwarded() {
    let origin = Origin::named("a");
    let evenkeel = balancer(&origin, "");
    for (name, field) in BAD_FIELDS {
        let block = [fields::get(), fields::block(&[field])].concat();
        assert_refused(&evenkeel, name, &headers(1, flag::WHOLE, block));
    }
    for (name, head) in BAD_HEADS {
        assert_refused(&evenkeel, name, &headers(1, flag::WHOLE, fields::block(&head)));
    }
    assert_eq!((origin.count(), origin.connections()), (0, 0));
    assert_eq!(ask(&evenkeel, &headers(1, flag::WHOLE, fields::get())), "200");
}

#[test]
fn s6_data_unlike_what_was_said_is_refused_and_no_second_request_forwarded() {
    let origin = Origin::named("a");
    let evenkeel = balancer(&origin, "");
    for (name, fields, pieces) in BAD_BODIES {
        assert_refused(&evenkeel, name, &post(fields, pieces));
    }
    for (name, value) in [("x-test", "a\r\nx-evil: 1"), ("x y", "1"), ("x\"y", "1"), ("x-test", "a\0b")] {
        let trailers = headers(1, flag::WHOLE, fields::literal(name, value));
        let frames = [headers(1, flag::END_HEADERS, fields::post()), trailers].concat();
        let mut peer = Peer::greeted(evenkeel.client());
        peer.send(frames).unwrap();
        assert_eq!(Expect::Refused.follows(&mut peer).err(), None, "{name:?}: {value:?} as a trailer");
    }
    assert_eq!(ask(&evenkeel, &headers(1, flag::WHOLE, fields::get())), "200");
    for request in origin.requests() {
        // Whole before it was known what follows, and then nothing else came over.
        let whole = [("GET", "", ""), ("POST", "0", ""), ("POST", "4", "test")];
        let length = request.header("content-length").unwrap_or_default();
        assert!(whole.contains(&(request.method(), length, &request.body.text())), "{request:?}");
    }
}

#[test]
fn s6_a_body_that_looks_like_a_request_stays_a_body() {
    let origin = Origin::named("a");
    let evenkeel = balancer(&origin, "");
    let body = format!("0\r\n\r\n{EVIL}");
    let length: &'static str = body.len().to_string().leak();
    for (said, length, coding) in
        [(&[("content-length", length)][..], Some(length), None), (&[], None, Some("chunked"))]
    {
        assert_eq!(ask(&evenkeel, &post(said, &[&body[..9], &body[9..]])), "200");
        let request = origin.last();
        assert_eq!(request.body.text(), body);
        assert_eq!((request.header("content-length"), request.header("transfer-encoding")), (length, coding));
    }
    assert_eq!(origin.count(), 2);
}

#[test]
fn s6_a_head_is_written_so_that_it_can_be_read_in_one_way() {
    let origin = Origin::named("a");
    let evenkeel = balancer(&origin, "");
    let more = [
        ("cookie", "a=1"),
        ("te", "trailers"),
        ("x-test", "%0d%0ax-evil: 1"),
        ("cookie", "b=2"),
        ("x-test", "a: b"),
        ("host", "test"),
    ];
    let block = [fields::block(&POST), fields::block(&more)].concat();
    assert_eq!(ask(&evenkeel, &headers(1, flag::WHOLE, block)), "200");
    let request = origin.last();
    assert_eq!(request.start, "POST / HTTP/1.1");
    assert_eq!(request.headers("host"), ["test"]);
    assert_eq!(request.headers("cookie"), ["a=1; b=2"]);
    assert_eq!(request.headers("x-test"), ["%0d%0ax-evil: 1", "a: b"]);
    assert!(request.fields.iter().all(|(name, _)| !name.starts_with(':')));
}

#[test]
fn s6_a_tunnel_that_cannot_be_is_no_plain_request() {
    let origin = Origin::named("a");
    let evenkeel = balancer(&origin, "");
    for (protocol, expected) in [
        ("h2c", Expect::RefusedWith("501")),
        ("a\r\nx-evil: 1", MALFORMED),
        ("web socket", MALFORMED),
        ("websocket, h2c", MALFORMED),
        ("websocket/13", MALFORMED),
        ("", MALFORMED),
    ] {
        let mut peer = Peer::greeted(evenkeel.client());
        peer.send(headers(1, flag::END_HEADERS, tunnel(protocol))).unwrap();
        assert_eq!(expected.follows(&mut peer).err(), None, "{protocol:?}");
    }
    assert_eq!((origin.count(), origin.connections()), (0, 0));
}

#[test]
fn s6_only_a_websocket_is_given_the_key_of_one() {
    let origin = Origin::named("a");
    let evenkeel = balancer(&origin, "");
    for (protocol, has_key) in [("websocket", true), ("WebSocket", true), ("connect-udp", false)] {
        let mut peer = Peer::greeted(evenkeel.client());
        peer.send(headers(1, flag::END_HEADERS, tunnel(protocol))).unwrap();
        // The server declines, which is no answer to who asked for a tunnel.
        assert_eq!(Expect::RefusedWith("502").follows(&mut peer).err(), None, "{protocol}");
        let request = origin.last();
        assert_eq!(request.header("upgrade"), Some(protocol));
        assert_eq!(request.header("sec-websocket-key").is_some(), has_key, "{protocol}");
    }
}

/// The head of a request for a tunnel (RFC 8441, 4).
fn tunnel(protocol: &'static str) -> Vec<u8> {
    fields::block(&[(":method", "CONNECT"), GET[1], GET[2], GET[3], (":protocol", protocol)])
}
