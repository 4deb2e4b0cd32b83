//! A client that has finished sending still gets its answer.

use crate::support::{Evenkeel, Gate, Origin, eventually, ok, pool};

#[test]
fn a_client_that_half_closes_gets_its_answer() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |request, wire| {
        theirs.wait();
        wire.send(ok(&format!("got {}", request.body.text())));
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    client.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 4\r\n\r\nlast");
    client.finish();
    eventually("the server has the request", || origin.count() == 1);
    gate.open();
    assert_eq!(client.answer("POST").text(), "got last");
    client.assert_closed();
}

#[test]
fn a_client_that_half_closes_in_mid_body_reaches_no_server_as_whole() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for framing in ["content-length: 10\r\n\r\nhalf", "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let mut client = evenkeel.client();
        client.send(format!("POST / HTTP/1.1\r\nhost: test\r\n{framing}"));
        client.finish();
        // Whether it is told 400 or just closed is all the same to a client that broke its word.
        match client.response("POST") {
            Ok(response) => assert_eq!(response.status, 400),
            Err(fault) => assert!(fault.is_end(), "{fault:?}"),
        }
    }
    assert_eq!(origin.count(), 0);
    assert_eq!(evenkeel.get("/").text(), "a");
}

#[test]
fn a_server_that_half_closes_behind_a_whole_answer_has_answered() {
    let origin = Origin::start(|_, wire| {
        wire.send(ok("whole"));
        wire.finish();
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "whole");
    }
}
