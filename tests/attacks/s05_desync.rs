//! S5, in depth: framing hidden in names, values, expectations and early answers.

use crate::support::{Evenkeel, Fault, Origin, answer, ok, pool};

/// Fields (and what follows) of a POST that leave two readings of where it ends.
const AMBIGUOUS: [(&str, &str); 20] = [
    ("TE before CL, equal in effect", "transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n"),
    ("chunked, then identity", "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    ("identity, then chunked", "transfer-encoding: identity, chunked\r\n\r\n0\r\n\r\n"),
    ("two fields, the first empty", "transfer-encoding:\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("comma behind", "transfer-encoding: chunked,\r\n\r\n0\r\n\r\n"),
    ("form feed", "transfer-encoding: \x0cchunked\r\n\r\n0\r\n\r\n"),
    ("NUL behind", "transfer-encoding: chunked\0\r\n\r\n0\r\n\r\n"),
    ("folded value", "transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    ("folded field before", "x: y\r\n transfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("look-alike letter", "transfer-encoding: \u{212a}chunked\r\n\r\n0\r\n\r\n"),
    ("single quotes", "transfer-encoding: 'chunked'\r\n\r\n0\r\n\r\n"),
    ("semicolon", "content-length: 5;\r\n\r\nhello"),
    ("quoted length", "content-length: \"5\"\r\n\r\nhello"),
    ("exponent", "content-length: 5e0\r\n\r\nhello"),
    ("fraction", "content-length: 5.0\r\n\r\nhello"),
    ("octal", "content-length: 0o5\r\n\r\nhello"),
    ("comma behind the length", "content-length: 5,\r\n\r\nhello"),
    ("list of equal lengths with a hole", "content-length: 5,,5\r\n\r\nhello"),
    ("digits of another script", "content-length: \u{ff15}\r\n\r\nhello"),
    ("vertical tab before the length", "content-length: \x0b5\r\n\r\nhello"),
];

/// The server's connections must hold what the client meant, and nothing of its own.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: test\r\n\r\n";

fn assert_nothing_smuggled(origin: &Origin) {
    let targets: Vec<String> = origin.requests().iter().map(|r| r.target().to_owned()).collect();
    assert!(!targets.iter().any(|target| target.contains("smuggled")), "{targets:?}");
}

#[test]
fn s5_ambiguous_framing_is_refused_in_every_disguise() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for (name, rest) in AMBIGUOUS {
        let mut client = evenkeel.client();
        client.send(format!("POST / HTTP/1.1\r\nhost: test\r\n{rest}"));
        assert_eq!(client.answer("POST").status, 400, "{name}");
        client.assert_closed();
    }
    assert_eq!((origin.count(), origin.connections()), (0, 0));
}

#[test]
fn s5_framing_that_is_right_but_odd_is_forwarded_in_its_plain_form() {
    let origin = Origin::answering(|request| ok(&request.body.text()));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for rest in [
        "Transfer-Encoding: cHuNkEd\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "TRANSFER-ENCODING:\t chunked \t\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "Content-Length:   00005\t\r\n\r\nhello",
    ] {
        let mut client = evenkeel.client();
        let first = client.ask(format!("POST / HTTP/1.1\r\nhost: test\r\n{rest}"));
        assert_eq!((first.status, first.text().as_str()), (200, "hello"), "{rest:?}");
        assert_eq!(client.get("/next").status, 200, "{rest:?}");
        let post = &origin.requests()[origin.count() - 2];
        for value in [post.headers("transfer-encoding"), post.headers("content-length")].concat() {
            assert!(matches!(value, "chunked" | "5"), "{value:?}");
        }
    }
}

#[test]
fn s5_a_body_of_any_method_stays_a_body() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for method in ["GET", "HEAD", "OPTIONS", "DELETE", "TRACE", "PATCH", "FOO"] {
        for framing in [
            format!("content-length: {}\r\n\r\n{SMUGGLED}", SMUGGLED.len()),
            format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len()),
        ] {
            let mut client = evenkeel.client();
            client.send(format!("{method} /first HTTP/1.1\r\nhost: test\r\n{framing}"));
            // The server's answers to HEAD have a body that does not belong there; it is thrown away.
            let _ = client.response(method);
            assert_eq!(evenkeel.get("/next").text(), "a", "{method}");
        }
    }
    assert_nothing_smuggled(&origin);
}

#[test]
fn s5_an_expectation_does_not_part_a_request_from_its_body() {
    // The server answers without having asked for the body; whether it comes is up to the client.
    let origin = Origin::on_head(|_, wire| {
        wire.send(answer(417, "", "no"));
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for method in ["GET", "POST", "HEAD", "OPTIONS"] {
        let mut client = evenkeel.client();
        client.send(format!(
            "{method} /first HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
            SMUGGLED.len()
        ));
        let _ = client.response(method);
        client.send(SMUGGLED);
        // Body, or nobody's: never a request.
        match client.response("GET") {
            Err(fault) => assert!(fault.is_end() || fault == Fault::Silent, "{method}: {fault:?}"),
            Ok(response) => panic!("{method}: the body was answered with {}", response.status),
        }
        evenkeel.get("/next");
    }
    assert_nothing_smuggled(&origin);
}

#[test]
fn s5_obfuscated_expectations_are_refused() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for expect in ["y 100-continue", "100-continue, x", "100-continue=1", "100-continu", "\"100-continue\""] {
        let mut client = evenkeel.client();
        client.send(format!(
            "POST / HTTP/1.1\r\nhost: test\r\nexpect: {expect}\r\ncontent-length: 5\r\n\r\nhello"
        ));
        let status = client.answer("POST").status;
        assert!(matches!(status, 400 | 417), "{expect}: {status}");
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn s5_trailers_cannot_say_how_long_the_body_was() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    let response = client.ask(
        "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\
         content-length: 100\r\ntransfer-encoding: chunked\r\nhost: evil.test\r\nx-forwarded-for: 6.6.6.6\r\n\
         authorization: x\r\nconnection: close\r\n\r\n",
    );
    assert_eq!(response.status, 200);
    let trailers = origin.last().body.trailers;
    assert!(trailers.is_empty(), "{trailers:?}");
    assert_eq!(client.get("/next").text(), "a");
}

#[test]
fn s5_an_early_answer_does_not_leave_its_body_to_the_next_request() {
    let origin = Origin::on_head(|request, wire| {
        wire.send(ok(request.target()));
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for _ in 0..3 {
        let mut client = evenkeel.client();
        client.send(format!(
            "POST /first HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n",
            SMUGGLED.len()
        ));
        assert_eq!(client.answer("POST").text(), "/first");
        // The server's connection still waits for a body: nobody else's request may become it.
        assert_eq!(evenkeel.get("/next").text(), "/next");
        client.send(SMUGGLED);
        assert_eq!(evenkeel.get("/next").text(), "/next");
    }
    assert_nothing_smuggled(&origin);
}
