//! S25, in depth: answers that begin, end or are framed in ways that two readers take differently.

use crate::support::{Evenkeel, Framing, Origin, answer, eventually, ok, pool};

const BAD: [(&str, &str); 16] = [
    ("two equal lengths in one", "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nab"),
    ("empty length", "HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\nab"),
    ("negative length", "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nab"),
    ("hexadecimal length", "HTTP/1.1 200 OK\r\ncontent-length: 0x2\r\n\r\nab"),
    ("chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("chunked before another", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    ("chunked in quotes", "HTTP/1.1 200 OK\r\ntransfer-encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
    ("a hidden second field", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length : 4\r\n\r\nabcd"),
    ("a folded length", "HTTP/1.1 200 OK\r\ncontent-length:\r\n 2\r\n\r\nab"),
    ("HTTP/2.0", "HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\nab"),
    ("HTTP/3", "HTTP/3 200 OK\r\ncontent-length: 2\r\n\r\nab"),
    ("status 000", "HTTP/1.1 000 OK\r\ncontent-length: 2\r\n\r\nab"),
    ("status 099", "HTTP/1.1 099 OK\r\ncontent-length: 2\r\n\r\nab"),
    ("a request", "GET / HTTP/1.1\r\nhost: test\r\n\r\n"),
    ("only interim responses", "HTTP/1.1 100 Continue\r\n\r\n"),
    ("an interim response with a length", "HTTP/1.1 103 Early Hints\r\ncontent-length: 38\r\n\r\n"),
];

#[test]
fn s25_what_two_readers_take_differently_is_a_502() {
    for (name, text) in BAD {
        let origin = Origin::bytes_then_close(text);
        let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
        let response = evenkeel.get("/");
        assert_eq!(response.status, 502, "{name}");
    }
}

#[test]
fn s25_answers_without_a_body_have_none_whatever_they_claim() {
    for (method, status, claim) in [
        ("GET", 204, "transfer-encoding: chunked\r\n"),
        ("GET", 204, "content-length: 40\r\n"),
        ("GET", 304, "content-length: 40\r\n"),
        ("GET", 304, "transfer-encoding: chunked\r\n"),
        ("HEAD", 200, "transfer-encoding: chunked\r\n"),
        ("HEAD", 200, "content-length: 40\r\n"),
        ("HEAD", 404, "content-length: 40\r\n"),
    ] {
        let evil = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
        let origin = Origin::start(move |request, wire| {
            if request.target() == "/first" {
                wire.send(format!("HTTP/1.1 {status} Status\r\n{claim}\r\n{evil}"));
            } else {
                wire.send(ok("good"));
            }
        });
        let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
        let mut client = evenkeel.client();
        let first = client.ask(format!("{method} /first HTTP/1.1\r\nhost: test\r\n\r\n"));
        assert!(matches!(first.status, 502) || first.status == status, "{claim}: {}", first.status);
        assert_ne!(first.text(), "evil");
        assert_eq!(evenkeel.get("/next").text(), "good", "{method} {status} {claim}");
    }
}

#[test]
fn s25_a_server_that_speaks_first_poisons_no_client() {
    // Its words lie in the socket before the request is sent.
    let origin = Origin::start(|request, wire| {
        wire.send(ok(if request.connection == 0 { "first" } else { "good" }));
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\npoi");
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    for _ in 0..5 {
        let text = client.get("/").text();
        assert!(matches!(text.as_str(), "first" | "good"), "{text}");
        eventually("the talking connection is given up", || {
            evenkeel.metric("evenkeel_backend_connections_idle", &[]) == 0.0
        });
    }
}

#[test]
fn s25_an_answer_of_http_1_0_ends_with_its_connection() {
    for (name, text) in [
        ("no framing", "HTTP/1.0 200 OK\r\n\r\nhello"),
        ("a length", "HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello"),
        (
            "a length and keep-alive",
            "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 5\r\n\r\nhello",
        ),
        ("close", "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello"),
    ] {
        let origin = Origin::bytes_then_close(text);
        let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
        let response = evenkeel.get("/");
        assert_eq!((response.status, response.text().as_str()), (200, "hello"), "{name}");
        assert_ne!(response.body.framing, Framing::UntilClose, "{name}: its end must be told");
    }
}

#[test]
fn s25_fields_of_the_framing_are_never_passed_on_twice() {
    let origin = Origin::bytes("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nContent-Length: 2\r\n\r\nab");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let response = evenkeel.get("/");
    assert!(response.status == 502 || response.headers("content-length") == ["2"], "{:?}", response.head);
}

#[test]
fn s25_clients_of_both_versions_see_an_early_end() {
    use crate::support::chaos::{Ask, Asker, Seen, Version};
    let origin = Origin::start(|request, wire| {
        if request.target() == "/whole" {
            wire.send(answer(200, "", "whole"));
        } else {
            wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
            wire.close();
        }
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for version in [Version::Http1, Version::Http2] {
        let mut asker = Asker::new(evenkeel.client(), version);
        let seen = asker.ask(Ask::Get, "/cut", "");
        assert!(matches!(seen, Seen::Cut(_) | Seen::Answer(502, _)), "{version:?}: {seen:?}");
        let mut asker = Asker::new(evenkeel.client(), version);
        assert_eq!(asker.ask(Ask::Get, "/whole", ""), Seen::Answer(200, "whole".to_owned()));
    }
}
