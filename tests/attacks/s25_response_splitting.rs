//! S25: bad servers that answer more, less or other than they should.

use crate::support::{Evenkeel, Fault, Framing, Origin, answer, eventually, ok, pool};

const SURPLUS: [(&str, &str); 6] = [
    ("behind a length", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
    ("behind chunks", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    ("behind an empty body", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    ("behind a 204", "HTTP/1.1 204 No Content\r\n\r\n"),
    ("behind a 304", "HTTP/1.1 304 Not Modified\r\n\r\n"),
    ("behind a 204 that claims a length", "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello"),
];

const AMBIGUOUS: [(&str, &str); 11] = [
    ("both framings", "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("two lengths", "content-length: 1\r\ncontent-length: 2\r\n\r\nab"),
    ("two lengths in one", "content-length: 1, 2\r\n\r\nab"),
    ("length with a sign", "content-length: +2\r\n\r\nab"),
    ("length that is none", "content-length: two\r\n\r\nab"),
    ("length beyond 64 bits", "content-length: 18446744073709551618\r\n\r\nab"),
    ("chunked twice", "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("another coding behind", "transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    ("another coding alone", "transfer-encoding: gzip\r\n\r\nab"),
    ("chunked in disguise", "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("empty coding", "transfer-encoding:\r\n\r\n0\r\n\r\n"),
];

#[test]
fn s25_surplus_bytes_reach_no_client_and_end_the_connection() {
    for (name, text) in SURPLUS {
        let origin = Origin::start(move |request, wire| {
            let evil = answer(200, "x-evil: 1\r\n", "evil");
            wire.send(if request.target() == "/first" { format!("{text}{evil}") } else { ok("good") });
        });
        let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
        let mut client = evenkeel.client();
        client.send("GET /first HTTP/1.1\r\nhost: test\r\n\r\n");
        let first = client.answer("GET");
        assert_ne!(first.text(), "evil", "{name}");
        let next = evenkeel.get("/next");
        assert_eq!(next.text(), "good", "{name}");
        assert_eq!(origin.connections(), 2, "{name}: the connection was used again");
    }
}

#[test]
fn s25_an_unrequested_answer_reaches_no_client() {
    let origin = Origin::start(|request, wire| {
        if request.connection == 0 {
            // The second one lies in wait on the idle connection.
            wire.send(ok("first"));
            wire.send(ok("poison"));
        } else {
            wire.send(ok("good"));
        }
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    assert_eq!(client.get("/").text(), "first");
    // Whatever comes before the next request is sent is nobody's; what comes after would be taken for its answer.
    eventually("the talking connection is given up", || {
        evenkeel.metric("evenkeel_backend_connections_idle", &[]) == 0.0
    });
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "good");
    }
}

#[test]
fn s25_ambiguous_framing_is_a_502() {
    for (name, rest) in AMBIGUOUS {
        let origin = Origin::bytes_then_close(format!("HTTP/1.1 200 OK\r\nx-evil: 1\r\n{rest}"));
        let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
        let response = evenkeel.get("/");
        assert_eq!(response.status, 502, "{name}");
        assert!(response.headers("x-evil").is_empty(), "{name}");
    }
}

#[test]
fn s25_a_cut_body_is_passed_on_as_cut() {
    let cases = [
        ("length", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this"),
        ("chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\nonly this"),
        ("between chunks", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nonly this\r\n"),
        ("trailers", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nonly this\r\n0\r\nx: y\r\n"),
    ];
    for (name, text) in cases {
        for version in ["1.1", "1.0"] {
            let origin = Origin::bytes_then_close(text);
            let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
            let mut client = evenkeel.client();
            client.send(format!("GET / HTTP/{version}\r\nhost: test\r\n\r\n"));
            match client.response("GET") {
                Ok(response) => assert_eq!(response.status, 502, "{name} {version}: passed off as whole"),
                Err(fault) => {
                    assert!(matches!(fault, Fault::Cut | Fault::Reset | Fault::Closed), "{name}: {fault:?}")
                }
            }
        }
    }
}

#[test]
fn s25_a_head_that_ends_early_is_a_502() {
    for text in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n"] {
        let origin = Origin::bytes_then_close(text);
        let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
        let response = evenkeel.ask("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(response.status, 502, "{text:?}");
    }
}

#[test]
fn s25_a_cut_answer_leaves_no_trace_on_the_next_request() {
    let origin = Origin::start(|request, wire| {
        if request.target() == "/cut" {
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\npart");
            wire.close();
        } else {
            wire.send(ok("whole"));
        }
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for _ in 0..3 {
        let mut client = evenkeel.client();
        client.send("GET /cut HTTP/1.1\r\nhost: test\r\n\r\n");
        assert!(client.response("GET").is_err());
        let response = evenkeel.get("/whole");
        assert_eq!((response.text().as_str(), response.body.framing), ("whole", Framing::Length));
    }
}

#[test]
fn s25_a_body_in_the_answer_to_head_reaches_no_client() {
    let origin = Origin::answering(|request| ok(if request.method() == "HEAD" { "evil" } else { "good" }));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    for _ in 0..3 {
        assert_eq!(client.ask("HEAD / HTTP/1.1\r\nhost: test\r\n\r\n").status, 200);
        assert_eq!(client.get("/").text(), "good");
    }
}
