//! How long to wait for the client: for its head, its body, its next request.

use std::time::{Duration, Instant};

use crate::support::{Evenkeel, Fault, Origin, ms, ok, pool};

fn start(origin: &Origin, timeout: &str) -> Evenkeel {
    Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\ntimeout = {timeout}\n{}",
        pool(&[origin], "")
    ))
}

/// Sends `bytes` and waits; the connection must end after `limit`, with or without a 408.
fn assert_ends(evenkeel: &Evenkeel, bytes: &str, limit: Duration) {
    let mut client = evenkeel.client();
    let begun = Instant::now();
    client.send(bytes);
    match client.response("POST") {
        Ok(response) => assert_eq!(response.status, 408, "{bytes:?}"),
        Err(fault) => assert!(fault.is_end(), "{bytes:?}: {fault:?}"),
    }
    assert!(begun.elapsed() >= limit, "{bytes:?} ended after {:?}", begun.elapsed());
    client.assert_closed();
}

#[test]
fn a_head_that_does_not_end_ends_the_connection() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin, "{ head = \"300ms\" }");
    for bytes in ["", "GET", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nhost: test\r\n"] {
        assert_ends(&evenkeel, bytes, ms(300));
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn a_second_head_has_the_same_time() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin, "{ head = \"300ms\" }");
    let mut client = evenkeel.client();
    assert_eq!(client.get("/").text(), "a");
    let begun = Instant::now();
    client.send("GET /");
    match client.response("GET") {
        Ok(response) => assert_eq!(response.status, 408),
        Err(fault) => assert!(fault.is_end(), "{fault:?}"),
    }
    assert!(begun.elapsed() >= ms(300));
}

#[test]
fn a_body_that_stalls_ends_the_connection() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin, "{ body = \"300ms\" }");
    for rest in [
        "content-length: 10\r\n\r\n",
        "content-length: 10\r\n\r\nhalf",
        "transfer-encoding: chunked\r\n\r\n5\r\nhe",
    ] {
        assert_ends(&evenkeel, &format!("POST / HTTP/1.1\r\nhost: test\r\n{rest}"), ms(300));
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin, "{ idle = \"300ms\" }");
    let mut client = evenkeel.client();
    let begun = Instant::now();
    assert_eq!(client.get("/").text(), "a");
    assert_eq!(client.some(), Err(Fault::Closed));
    assert!(begun.elapsed() >= ms(300));
}

#[test]
fn waiting_for_a_server_is_not_idling() {
    let gate = crate::support::Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |_, wire| {
        theirs.wait();
        wire.send(ok("slow"));
    });
    let evenkeel = start(&origin, "{ idle = \"200ms\", head = \"200ms\", body = \"200ms\" }");
    let mut client = evenkeel.client();
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    client.patience(ms(700));
    assert_eq!(
        client.head(),
        Err(Fault::Silent),
        "neither an answer nor an end within three times the limits"
    );
    gate.open();
    client.patience(crate::support::DEADLINE);
    assert_eq!(client.answer("GET").text(), "slow");
}

#[test]
fn empty_lines_behind_a_request_begin_no_new_one() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin, "{ head = \"300ms\" }");
    let get = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";
    for (along, later) in [("\r\n", ""), ("", "\r\n"), ("\r\n\r\n", "\r\n")] {
        let mut client = evenkeel.client();
        assert_eq!(client.ask(format!("{get}{along}")).text(), "a");
        client.send(later);
        client.patience(ms(900));
        assert_eq!(client.some(), Err(Fault::Silent), "{along:?} and {later:?} are no request to wait for");
        client.patience(crate::support::DEADLINE);
        assert_eq!(client.ask(get).text(), "a");
    }
}
