//! S5: request smuggling by ambiguous framing.

use crate::support::{Evenkeel, Origin, ok, pool};

/// Fields (and what follows) that leave two readings of where the request ends.
const AMBIGUOUS: [(&str, &str); 23] = [
    ("CL.TE", "content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nG"),
    ("TE.CL", "transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n5c\r\nGPOST\r\n0\r\n\r\n"),
    ("TE.TE, the second obfuscated", "transfer-encoding: chunked\r\ntransfer-encoding: x\r\n\r\n0\r\n\r\n"),
    ("chunked twice", "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("chunked twice in one", "transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    ("another coding behind", "transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    ("another coding alone", "transfer-encoding: gzip\r\n\r\n"),
    ("identity", "transfer-encoding: identity\r\n\r\n"),
    ("x prefix", "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("quoted", "transfer-encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
    ("vertical tab", "transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    ("parameter", "transfer-encoding: chunked;q=1\r\n\r\n0\r\n\r\n"),
    ("empty coding", "transfer-encoding:\r\n\r\n0\r\n\r\n"),
    ("list with a hole", "transfer-encoding: ,chunked\r\n\r\n0\r\n\r\n"),
    ("two lengths", "content-length: 1\r\ncontent-length: 2\r\n\r\nab"),
    ("two lengths in one", "content-length: 1, 2\r\n\r\nab"),
    ("sign", "content-length: +1\r\n\r\na"),
    ("minus", "content-length: -1\r\n\r\na"),
    ("hexadecimal", "content-length: 0x1\r\n\r\na"),
    ("text behind", "content-length: 1a\r\n\r\na"),
    ("space within", "content-length: 1 1\r\n\r\naaaaaaaaaaa"),
    ("empty length", "content-length:\r\n\r\n"),
    ("beyond 64 bits", "content-length: 18446744073709551617\r\n\r\na"),
];

#[test]
fn s5_ambiguous_framing_is_refused_and_nothing_forwarded() {
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
fn s5_the_name_of_a_framing_field_cannot_be_hidden() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for field in [
        "content-length : 5",
        " content-length: 5",
        "transfer-encoding\t: chunked",
        "transfer\0-encoding: chunked",
    ] {
        let mut client = evenkeel.client();
        client.send(format!("POST / HTTP/1.1\r\nhost: test\r\n{field}\r\n\r\n0\r\n\r\n"));
        assert_eq!(client.answer("POST").status, 400, "{field:?}");
        client.assert_closed();
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn s5_transfer_encoding_of_an_http_1_0_client_is_refused() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    client.send("POST / HTTP/1.0\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_eq!(client.answer("POST").status, 400);
    client.assert_closed();
    assert_eq!(origin.count(), 0);
}

#[test]
fn s5_0cl_a_body_on_a_get_stays_a_body() {
    let origin = Origin::answering(|request| ok(&request.body.text()));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: test\r\n\r\n";
    let mut client = evenkeel.client();
    let first = client
        .ask(format!("GET / HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n{smuggled}", smuggled.len()));
    assert_eq!(first.text(), smuggled);
    assert_eq!(client.get("/next").status, 200);
    let targets: Vec<String> = origin.requests().iter().map(|r| r.target().to_owned()).collect();
    assert_eq!(targets, ["/", "/next"]);
}

#[test]
fn s5_the_body_of_a_request_we_answer_ourselves_is_never_a_request() {
    let origin = Origin::named("a");
    let evenkeel =
        Evenkeel::start(&format!("{}[[route]]\npath = \"/own\"\nrespond = {{}}", pool(&[&origin], "")));
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: test\r\n\r\n";
    let mut client = evenkeel.client();
    client.send(format!(
        "POST /own HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n{smuggled}\
         GET /next HTTP/1.1\r\nhost: test\r\n\r\n",
        smuggled.len()
    ));
    assert_eq!(client.answer("POST").status, 200);
    // Drained or closed: both keep the body from being read as a request.
    if let Ok(next) = client.response("GET") {
        assert_eq!(next.text(), "a");
        client.finish();
        client.assert_closed();
    }
    assert!(origin.requests().iter().all(|r| r.target() == "/next"));
}

#[test]
fn s5_equal_lengths_are_one_or_refused_but_never_two() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for fields in ["content-length: 2\r\ncontent-length: 2\r\n", "content-length: 2, 2\r\n"] {
        let response = evenkeel.ask(format!("POST / HTTP/1.1\r\nhost: test\r\n{fields}\r\nhi"));
        assert!(matches!(response.status, 200 | 400), "{}", response.status);
    }
    // The server's reader refuses repeated fields, so what it has counted was sent with one.
    assert!(origin.requests().iter().all(|r| r.body.text() == "hi"));
}

#[test]
fn s5_blank_lines_before_a_request_change_nothing() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    assert_eq!(client.ask("\r\nGET / HTTP/1.1\r\nhost: test\r\n\r\n").text(), "a");
}

#[test]
fn s5_a_coding_before_chunked_is_not_implemented_and_nothing_forwarded() {
    // RFC 9112, section 6.1: where the body ends is clear, what is in it is not.
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for fields in [
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: gzip\r\ntransfer-encoding: chunked",
        "transfer-encoding: deflate, gzip, chunked",
        "transfer-encoding: x-unknown, chunked",
    ] {
        let mut client = evenkeel.client();
        client.send(format!("POST / HTTP/1.1\r\nhost: test\r\n{fields}\r\n\r\n0\r\n\r\n"));
        assert_eq!(client.answer("POST").status, 501, "{fields}");
        client.assert_closed();
    }
    assert_eq!((origin.count(), origin.connections()), (0, 0));
}
