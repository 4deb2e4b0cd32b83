//! S17: forged PROXY headers: only peers that the listener names may send one, these must, and a malformed one ends the
//! connection.

use std::fmt::Write as _;

use crate::support::{Client, Evenkeel, Fault, Origin, eventually, pool};

const LINE: &str = "PROXY TCP4 203.0.113.7 198.51.100.1 4711 443\r\n";
const REQUEST: &str = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A listener that takes headers from 127.0.0.2 and 127.0.0.3.
fn start(origin: &Origin, keys: &str) -> Evenkeel {
    Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\naccept_proxy_protocol = [\"127.0.0.2/31\"]\n{keys}\n{}",
        pool(&[origin], "")
    ))
}

fn sender(evenkeel: &Evenkeel) -> Client {
    Client::from([127, 0, 0, 2], evenkeel.address())
}

fn count(evenkeel: &Evenkeel, result: &str) -> f64 {
    evenkeel.metric("evenkeel_proxy_headers_total", &[&format!("result=\"{result}\"")])
}

#[test]
fn s17_a_header_of_a_peer_that_may_not_send_one_is_a_malformed_request() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin, "");
    let response = Client::from([127, 0, 0, 9], evenkeel.address()).ask(format!("{LINE}{REQUEST}"));
    assert_eq!(response.status, 400);
    let binary = [SIGNATURE, b"\x21\x11\0\x0c\xcb\0\x71\x07\xc6\x33\x64\x01\x12\x67\x01\xbb"].concat();
    let mut client = Client::from([127, 0, 0, 9], evenkeel.address());
    client.send([&binary[..], REQUEST.as_bytes()].concat());
    match client.response("GET") {
        Ok(response) => assert_eq!(response.status, 400),
        Err(fault) => assert!(matches!(fault, Fault::Closed | Fault::Reset), "{fault:?}"),
    }
    assert_eq!(origin.count(), 0);
    // Without one it is served as any other client is, under its own address.
    Client::from([127, 0, 0, 9], evenkeel.address()).get("/");
    assert_eq!(origin.last().header("x-forwarded-for"), Some("127.0.0.9"));
}

#[test]
fn s17_a_listener_that_names_no_peer_takes_no_header() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    assert_eq!(evenkeel.ask(format!("{LINE}{REQUEST}")).status, 400);
    assert_eq!(origin.count(), 0);
}

#[test]
fn s17_a_peer_that_must_send_a_header_is_not_served_without() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin, "");
    for request in [
        REQUEST,
        "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut client = sender(&evenkeel);
        client.send(request);
        client.assert_closed();
    }
    assert_eq!(origin.count(), 0);
    assert_eq!(count(&evenkeel, "missing"), 3.0);
    let lines = evenkeel.stderr.count(|line| line.contains("accept_proxy_protocol"));
    assert_eq!(lines, 1, "one message a minute: {}", evenkeel.stderr.text());
}

#[test]
fn s17_malformed_headers_end_the_connection() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin, "");
    let mut endless = String::from("PROXY UNKNOWN ");
    (0..200).for_each(|_| endless.push('x'));
    let v2 = |tail: &[u8]| [SIGNATURE, tail].concat();
    let cases: Vec<Vec<u8>> = vec![
        b"PROXY TCP4 203.0.113.7 198.51.100.1 4711\r\n".into(),
        b"PROXY TCP4 203.0.113.7 198.51.100.1 4711 443 1\r\n".into(),
        b"PROXY TCP4 203.0.113.7 198.51.100.1 99999 443\r\n".into(),
        b"PROXY TCP4 203.0.113.7\t198.51.100.1 4711 443\r\n".into(),
        b"PROXY TCP4 203.0.113.7 198.51.100.1 4711 443\n".into(),
        b"PROXY TCP4 203.0.113.7, 6.6.6.6 198.51.100.1 4711 443\r\n".into(),
        endless.into(),
        v2(b"\x31\x11\0\x0c\xcb\0\x71\x07\xc6\x33\x64\x01\x12\x67\x01\xbb"),
        v2(b"\x2f\x11\0\x0c\xcb\0\x71\x07\xc6\x33\x64\x01\x12\x67\x01\xbb"),
        v2(b"\x21\x41\0\x0c\xcb\0\x71\x07\xc6\x33\x64\x01\x12\x67\x01\xbb"),
        v2(b"\x21\x11\0\x08\xcb\0\x71\x07\xc6\x33\x64\x01"),
        v2(b"\x21\x11\xff\xff\xcb\0\x71\x07\xc6\x33\x64\x01\x12\x67\x01\xbb"),
        v2(b"\x21\x11\0\x10\xcb\0\x71\x07\xc6\x33\x64\x01\x12\x67\x01\xbb\x05\0\x09x"),
        v2(b"\x21\x11\0\x13\xcb\0\x71\x07\xc6\x33\x64\x01\x12\x67\x01\xbb\x03\0\x04\0\0\0\0"),
    ];
    for header in &cases {
        let mut client = sender(&evenkeel);
        client.send([header, REQUEST.as_bytes()].concat());
        client.assert_closed();
    }
    assert_eq!(origin.count(), 0);
    assert_eq!(count(&evenkeel, "malformed"), cases.len() as f64);
}

#[test]
fn s17_a_header_that_does_not_end_in_time_ends_the_connection() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin, "timeout = { head = \"300ms\" }");
    let starts: [&[u8]; 4] =
        [b"", b"PROXY TCP4 203.0.113.7", SIGNATURE, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0"];
    let clients = starts.map(|start| {
        let mut client = sender(&evenkeel);
        client.send(start);
        client
    });
    for mut client in clients {
        client.assert_closed();
    }
    assert_eq!(count(&evenkeel, "timeout"), 4.0);
    // One that ends within the header.
    let mut client = sender(&evenkeel);
    client.send("PROXY TCP4");
    client.finish();
    client.assert_closed();
    eventually("it is counted", || count(&evenkeel, "closed") == 1.0);
    assert_eq!(origin.count(), 0);
}

#[test]
fn s17_only_the_first_header_counts() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin, "");
    let mut client = sender(&evenkeel);
    let response = client.ask(format!("{LINE}PROXY TCP4 6.6.6.6 6.6.6.6 1 2\r\n{REQUEST}"));
    assert_eq!(response.status, 400);
    let mut client = sender(&evenkeel);
    assert_eq!(client.ask(format!("{LINE}{REQUEST}")).status, 200);
    assert_eq!(client.ask(format!("{LINE}{REQUEST}")).status, 400);
    assert_eq!(origin.count(), 1);
}

#[test]
fn s17_the_sender_vouches_for_the_address_alone() {
    // The fields come from the client, whatever relays its bytes.
    let origin = Origin::named("a");
    let evenkeel = start(&origin, "trusted_proxies = [\"127.0.0.2\", \"203.0.113.0/28\"]");
    let ask = |client: &str| {
        let mut request = format!("PROXY TCP4 {client} 198.51.100.1 4711 443\r\n");
        let _ = write!(request, "GET / HTTP/1.1\r\nhost: test\r\nx-forwarded-for: 6.6.6.6\r\n\r\n");
        assert_eq!(sender(&evenkeel).ask(request).status, 200);
        origin.last().header("x-forwarded-for").map(str::to_owned)
    };
    assert_eq!(ask("192.0.2.1").as_deref(), Some("192.0.2.1"), "from a client behind a trusted relay");
    assert_eq!(ask("203.0.113.7").as_deref(), Some("6.6.6.6, 203.0.113.7"), "from a trusted proxy behind it");
}
