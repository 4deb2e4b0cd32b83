//! Answers that end with the server's connection.

use crate::support::{Evenkeel, Fault, Framing, Origin, ok, pool};

#[test]
fn an_answer_without_framing_arrives_whole() {
    let body = "until the end ".repeat(10_000);
    let origin = Origin::bytes_then_close(format!("HTTP/1.1 200 OK\r\n\r\n{body}"));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    let response = client.get("/");
    assert_eq!(response.text(), body);
    if matches!(response.body.framing, Framing::Chunked(_)) {
        assert_eq!(client.get("/").text(), body, "framed anew, the connection goes on");
    }
}

#[test]
fn an_answer_that_ends_with_a_reset_is_not_whole() {
    let origin = Origin::start(|request, wire| {
        if request.target() == "/whole" {
            wire.send(ok("whole"));
            return;
        }
        wire.send("HTTP/1.1 200 OK\r\n\r\nthe first part");
        wire.reset();
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    match client.response("GET") {
        Ok(response) => assert_eq!(response.status, 502),
        Err(fault) => assert!(matches!(fault, Fault::Cut | Fault::Reset | Fault::Closed), "{fault:?}"),
    }
    assert_eq!(evenkeel.get("/whole").text(), "whole");
}
