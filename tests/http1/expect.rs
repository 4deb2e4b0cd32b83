//! `Expect: 100-continue` (RFC 9110, section 10.1.1).

use std::time::Instant;

use crate::support::{Evenkeel, Fault, Gate, Origin, answer, eventually, ms, ok, pool};

const HEAD: &str = "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n";

#[test]
fn the_servers_100_reaches_the_client_before_the_body_is_sent() {
    let origin = Origin::on_head(|request, wire| {
        assert_eq!(request.header("expect"), Some("100-continue"));
        wire.send("HTTP/1.1 100 Continue\r\n\r\n");
        let body = wire.body(&request.head, false).unwrap();
        wire.send(ok(&body.text()));
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    for _ in 0..2 {
        client.send(HEAD);
        assert!(client.head().unwrap().start.starts_with("HTTP/1.1 100 "));
        client.send("hello");
        assert_eq!(client.answer("POST").text(), "hello");
    }
}

#[test]
fn a_server_that_refuses_the_body_is_heard_at_once() {
    let origin = Origin::on_head(|_, wire| {
        wire.send(answer(403, "connection: close\r\n", "no"));
        wire.close();
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    client.send(HEAD);
    let response = client.answer("POST");
    assert_eq!((response.status, response.text().as_str(), response.interim.len()), (403, "no", 0));
}

#[test]
fn a_client_that_does_not_wait_for_the_100_is_served() {
    let origin = Origin::answering(|request| ok(&request.body.text()));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    client.send(format!("{HEAD}hello"));
    assert_eq!(client.answer("POST").text(), "hello");
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn an_answer_of_our_own_needs_no_100() {
    let evenkeel = Evenkeel::start("[[route]]\nrespond = { body = \"mine\" }");
    let mut client = evenkeel.client();
    client.send(HEAD);
    let response = client.answer("POST");
    assert_eq!((response.text().as_str(), response.interim.len()), ("mine", 0));
}

#[test]
fn no_100_is_made_up_while_the_server_is_silent() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::on_head(move |request, wire| {
        theirs.wait();
        wire.send("HTTP/1.1 100 Continue\r\n\r\n");
        let body = wire.body(&request.head, false).unwrap();
        wire.send(ok(&body.text()));
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    client.send(HEAD);
    eventually("the server has the head", || origin.count() == 1);
    client.patience(crate::support::ms(200));
    assert_eq!(client.head(), Err(Fault::Silent));
    client.patience(crate::support::DEADLINE);
    gate.open();
    assert!(client.head().unwrap().start.starts_with("HTTP/1.1 100 "));
    client.send("hello");
    assert_eq!(client.answer("POST").text(), "hello");
}

#[test]
fn other_expectations_are_refused() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let response = evenkeel.client().get_with("/", "expect: the-unexpected\r\n");
    assert_eq!(response.status, 417);
    assert_eq!(origin.count(), 0);
}

#[test]
fn without_a_100_an_answer_ends_the_connection() {
    // The client may send the body all the same or go on to its next request, and nobody can tell which.
    let origin = Origin::on_head(|_, wire| {
        wire.send(answer(401, "", "no"));
    });
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\npath = \"/own\"\nrespond = {{ body = \"mine\" }}\n[[route]]\npool = \"app\"\n{}",
        pool(&[&origin], "")
    ));
    for (target, status) in [("/", 401), ("/own", 200)] {
        let mut client = evenkeel.client();
        client.send(HEAD.replacen(" / ", &format!(" {target} "), 1));
        let response = client.answer("POST");
        assert_eq!((response.status, response.interim.len()), (status, 0));
        assert!(response.lists("connection", "close"), "{target}: {:?}", response.head);
        client.assert_closed();
    }
}

#[test]
fn a_body_that_was_asked_for_or_came_unasked_leaves_the_connection_open() {
    let asking = Origin::on_head(|request, wire| {
        wire.send("HTTP/1.1 100 Continue\r\n\r\n");
        let body = wire.body(&request.head, false).unwrap();
        wire.send(answer(401, "", &body.text()));
    });
    let evenkeel = Evenkeel::start(&pool(&[&asking], ""));
    let mut client = evenkeel.client();
    for _ in 0..2 {
        client.send(HEAD);
        assert!(client.head().unwrap().start.starts_with("HTTP/1.1 100 "));
        client.send("hello");
        let response = client.answer("POST");
        assert_eq!((response.status, response.text().as_str()), (401, "hello"));
        assert!(!response.lists("connection", "close"), "{:?}", response.head);
    }

    let silent = Origin::answering(|request| answer(401, "", &request.body.text()));
    let evenkeel = Evenkeel::start(&pool(&[&silent], ""));
    let mut client = evenkeel.client();
    for _ in 0..2 {
        let response = client.ask(format!("{HEAD}hello"));
        assert_eq!((response.status, response.interim.len()), (401, 0));
        assert!(!response.lists("connection", "close"), "{:?}", response.head);
    }
}

#[test]
fn an_answer_of_our_own_to_a_body_that_came_unasked_leaves_the_connection_open() {
    let evenkeel = Evenkeel::start("[[route]]\nrespond = { body = \"mine\" }");
    let mut client = evenkeel.client();
    for _ in 0..2 {
        let response = client.ask(format!("{HEAD}hello"));
        assert_eq!((response.text().as_str(), response.interim.len()), ("mine", 0));
        assert!(!response.lists("connection", "close"), "{:?}", response.head);
    }
}

/// A server that reads on without a word, and says 100 only when it has the body, which is too late to matter.
fn ignoring() -> Origin {
    Origin::on_head(|request, wire| {
        let body = wire.body(&request.head, false).unwrap();
        wire.send(format!("HTTP/1.1 100 Continue\r\n\r\n{}", ok(&body.text())));
    })
}

#[test]
fn a_server_that_ignores_the_expectation_does_not_hold_the_client() {
    let origin = ignoring();
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    for _ in 0..2 {
        let begun = Instant::now();
        client.send(HEAD);
        assert!(client.head().unwrap().start.starts_with("HTTP/1.1 100 "));
        let waited = begun.elapsed();
        assert!(waited >= ms(900) && waited < ms(5_000), "asked for after {waited:?}, where 1 s is right");
        client.send("hello");
        assert_eq!(client.answer("POST").text(), "hello");
    }
}

#[test]
fn how_long_a_server_may_think_about_an_expectation_is_the_pools() {
    let origin = ignoring();
    let evenkeel = Evenkeel::start(&pool(&[&origin], "timeout = { continue = \"100ms\" }"));
    let mut client = evenkeel.client();
    let begun = Instant::now();
    client.send(HEAD);
    assert!(client.head().unwrap().start.starts_with("HTTP/1.1 100 "));
    let waited = begun.elapsed();
    assert!(waited >= ms(90) && waited < ms(900), "asked for after {waited:?}, where 100 ms is right");
    client.send("hello");
    let response = client.answer("POST");
    assert_eq!((response.status, response.text().as_str()), (200, "hello"));
    assert!(!response.lists("connection", "close"), "{:?}", response.head);
}
