//! A server may answer before it has read the request's body.

use crate::support::{Evenkeel, Origin, answer, eventually, ok, pool};

#[test]
fn an_answer_before_the_end_of_the_body_reaches_the_client() {
    let origin = Origin::on_head(|_, wire| {
        wire.send(answer(413, "connection: close\r\n", "too much"));
        wire.finish();
        wire.hold();
        wire.close();
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    client.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 1000000\r\n\r\nonly the first bytes of it");
    let response = client.answer("POST");
    assert_eq!((response.status, response.text().as_str()), (413, "too much"));
}

#[test]
fn what_is_left_of_a_body_is_never_taken_for_a_request() {
    let origin = Origin::on_head(|_, wire| {
        wire.send(ok("early"));
        wire.finish();
        wire.hold();
        wire.close();
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: test\r\n\r\n";
    let half = smuggled.len();
    client.send(format!("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n{smuggled}", half * 2));
    assert_eq!(client.answer("POST").text(), "early");
    client.send(smuggled);
    // The rest of the body was sent: now either the connection is closed or the next request is served.
    client.send("GET /next HTTP/1.1\r\nhost: test\r\n\r\n");
    if client.response("GET").is_ok() {
        eventually("the next request is seen", || origin.requests().iter().any(|r| r.target() == "/next"));
    }
    assert!(origin.requests().iter().all(|r| r.target() != "/smuggled"));
}

#[test]
fn a_server_that_resets_behind_its_answer_has_still_answered() {
    let origin = Origin::on_head(|_, wire| {
        wire.send(answer(401, "connection: close\r\n", "who are you"));
        // Closing with the body unread makes the kernel send a reset.
        wire.close();
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    client.send(format!(
        "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 300000\r\n\r\n{}",
        "x".repeat(100_000)
    ));
    let response = client.answer("POST");
    assert_eq!((response.status, response.text().as_str()), (401, "who are you"));
}
