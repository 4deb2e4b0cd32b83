//! A kept connection that died in the meantime: safe requests are sent again, others are not.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Evenkeel, Origin, ok, pool};

/// Answers the first request of each connection and drops the second one unanswered.
fn forgetful() -> Origin {
    let served = AtomicUsize::new(usize::MAX);
    Origin::start(move |request, wire| {
        if served.swap(request.connection, Ordering::SeqCst) == request.connection {
            wire.close();
        } else {
            wire.send(ok("a"));
        }
    })
}

#[test]
fn an_idempotent_request_is_sent_again_on_a_fresh_connection() {
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let origin = forgetful();
        let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
        let mut client = evenkeel.client();
        for _ in 0..3 {
            let response = client.ask(format!("{method} / HTTP/1.1\r\nhost: test\r\n\r\n"));
            assert_eq!(response.status, 200, "{method}");
        }
        assert_eq!(origin.connections(), 3, "{method}");
    }
}

#[test]
fn a_post_is_not_sent_twice() {
    let origin = forgetful();
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    let post = "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\nhi";
    assert_eq!(client.ask(post).status, 200);
    assert_eq!(client.ask(post).status, 502);
    assert_eq!(origin.requests().iter().filter(|r| r.method() == "POST").count(), 2, "not three");
}

#[test]
fn a_server_that_ends_idle_connections_loses_no_get() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    for round in 1..=5 {
        assert_eq!(client.get("/").text(), "a");
        origin.cut();
        assert_eq!(origin.connections(), round);
    }
}

#[test]
fn a_fresh_connection_that_dies_is_a_bad_answer() {
    let origin = Origin::start(|_, wire| wire.close());
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    assert_eq!(evenkeel.ask("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n").status, 502);
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_small_body_goes_along_when_a_request_is_sent_again() {
    let origin = forgetful();
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    for framing in
        ["content-length: 5\r\n\r\nhello", "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
    {
        for _ in 0..3 {
            let response = client.ask(format!("PUT / HTTP/1.1\r\nhost: test\r\n{framing}"));
            assert_eq!(response.status, 200, "{framing:?}");
        }
    }
    assert!(origin.requests().iter().all(|request| request.body.text() == "hello"));
}

#[test]
fn a_body_that_cannot_be_sent_again_is_never_sent_in_part() {
    let origin = forgetful();
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let body = "x".repeat(3_000_000);
    let put = format!("PUT / HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    for _ in 0..4 {
        let mut client = evenkeel.client();
        client.send(&put);
        match client.response("PUT") {
            Ok(response) => assert!(matches!(response.status, 200 | 502), "{}", response.status),
            Err(fault) => assert!(fault.is_end(), "{fault:?}"),
        }
    }
    assert!(origin.requests().iter().all(|request| request.body.bytes.len() == body.len()));
}

#[test]
fn a_dead_connection_is_noticed_behind_many_pipelined_requests() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\npath = \"/own\"\nrespond = {{ body = \"mine\" }}\n[[route]]\npool = \"app\"\n{}",
        pool(&[&origin], "")
    ));
    // About as many as a task may do in one turn before everything seems to be pending.
    for count in 119..=131 {
        let mut client = evenkeel.client();
        assert_eq!(client.get("/").text(), "a");
        origin.cut();
        let own = "GET /own HTTP/1.1\r\nhost: test\r\n\r\n".repeat(count);
        client.send(format!("{own}POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n"));
        for _ in 0..count {
            assert_eq!(client.answer("GET").text(), "mine");
        }
        assert_eq!(client.answer("POST").status, 200, "behind {count} requests");
    }
}
