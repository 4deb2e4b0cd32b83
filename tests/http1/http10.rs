//! HTTP/1.0 on either side.

use crate::support::{Evenkeel, Fault, Origin, Response, chunked, ok, pool};

/// What a client that knows nothing but HTTP/1.0 gets.
fn ask(evenkeel: &Evenkeel, request: &str) -> (Result<Response, Fault>, crate::support::Client) {
    let mut client = evenkeel.client();
    client.send(request);
    (client.response("GET"), client)
}

#[test]
fn the_connection_is_closed_by_default() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let (response, mut client) = ask(&evenkeel, "GET / HTTP/1.0\r\nhost: test\r\n\r\n");
    assert_eq!(response.unwrap().text(), "a");
    client.assert_closed();
}

#[test]
fn no_host_is_needed() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let (response, _) = ask(&evenkeel, "GET / HTTP/1.0\r\n\r\n");
    assert_eq!(response.unwrap().text(), "a");
    assert_eq!(origin.last().headers("host").len(), 1, "HTTP/1.1 needs one: {:?}", origin.last().head);
}

#[test]
fn a_chunked_answer_is_decoded_since_the_client_cannot() {
    let origin = Origin::bytes(chunked(&["hello, ", "world"], "x-trailer: 1\r\n"));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let (response, _) = ask(&evenkeel, "GET / HTTP/1.0\r\nhost: test\r\n\r\n");
    let response = response.unwrap();
    assert!(response.headers("transfer-encoding").is_empty(), "{:?}", response.head);
    assert_eq!(response.text(), "hello, world");
}

#[test]
fn keep_alive_is_granted_to_whom_asks_for_it_only_with_a_length() {
    let origin = Origin::start(|request, wire| {
        let text = if request.target() == "/chunked" { chunked(&["a"], "") } else { ok("a") };
        wire.send(text);
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    let first = client.ask("GET / HTTP/1.0\r\nhost: test\r\nconnection: keep-alive\r\n\r\n");
    assert_eq!(first.text(), "a");
    if first.lists("connection", "keep-alive") {
        let second = client.ask("GET /chunked HTTP/1.0\r\nhost: test\r\nconnection: keep-alive\r\n\r\n");
        assert_eq!(second.text(), "a");
        assert!(!second.lists("connection", "keep-alive"), "its end is the only end of the body");
    }
    client.assert_closed();
}

#[test]
fn no_interim_answer_is_sent_to_it() {
    let origin = Origin::bytes(format!("HTTP/1.1 103 Early Hints\r\n\r\n{}", ok("a")));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let (response, _) = ask(&evenkeel, "GET / HTTP/1.0\r\nhost: test\r\n\r\n");
    let response = response.unwrap();
    assert_eq!((response.interim.len(), response.text().as_str()), (0, "a"));
}

#[test]
fn a_server_of_1_0_is_understood() {
    let origin = Origin::bytes_then_close("HTTP/1.0 200 OK\r\ncontent-type: text/x\r\n\r\nold");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    let response = client.get("/");
    assert_eq!((response.text().as_str(), response.header("content-type")), ("old", Some("text/x")));
    assert!(response.head.start.starts_with("HTTP/1.1 "), "{}", response.head.start);
    assert!(
        origin.last().head.start.ends_with(" HTTP/1.1"),
        "we speak 1.1 to servers: {:?}",
        origin.last().head
    );
}

#[test]
fn other_versions_are_refused() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for version in ["HTTP/0.9", "HTTP/2.0", "HTTP/11", "http/1.1", "HTTP/1.1x", "HTTP/01.1"] {
        let mut client = evenkeel.client();
        client.send(format!("GET / {version}\r\nhost: test\r\n\r\n"));
        let status = client.answer("GET").status;
        assert!(matches!(status, 400 | 505), "{version}: {status}");
        client.assert_closed();
    }
    assert_eq!(origin.count(), 0);
}
