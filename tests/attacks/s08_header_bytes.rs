//! S8: control bytes and folded lines in heads, from either side.

use crate::support::{Evenkeel, Origin, pool};

const BAD_REQUESTS: [(&str, &[u8]); 16] = [
    ("NUL in a value", b"GET / HTTP/1.1\r\nhost: test\r\nx: a\0b\r\n\r\n"),
    ("CR in a value", b"GET / HTTP/1.1\r\nhost: test\r\nx: a\rb\r\n\r\n"),
    ("CR at the end of a value", b"GET / HTTP/1.1\r\nhost: test\r\nx: a\r\r\n\r\n"),
    ("another control in a value", b"GET / HTTP/1.1\r\nhost: test\r\nx: a\x01b\r\n\r\n"),
    ("DEL in a value", b"GET / HTTP/1.1\r\nhost: test\r\nx: a\x7fb\r\n\r\n"),
    ("folded with a space", b"GET / HTTP/1.1\r\nhost: test\r\nx: a\r\n b\r\n\r\n"),
    ("folded with a tab", b"GET / HTTP/1.1\r\nhost: test\r\nx: a\r\n\tb\r\n\r\n"),
    ("folded first line", b"GET / HTTP/1.1\r\n x: a\r\nhost: test\r\n\r\n"),
    ("NUL in a name", b"GET / HTTP/1.1\r\nhost: test\r\nx\0y: a\r\n\r\n"),
    ("space before the colon", b"GET / HTTP/1.1\r\nhost: test\r\nx : a\r\n\r\n"),
    ("no colon", b"GET / HTTP/1.1\r\nhost: test\r\nnonsense\r\n\r\n"),
    ("no name", b"GET / HTTP/1.1\r\nhost: test\r\n: a\r\n\r\n"),
    ("a name outside ASCII", b"GET / HTTP/1.1\r\nhost: test\r\nx\xe9: a\r\n\r\n"),
    ("NUL in the target", b"GET /\0 HTTP/1.1\r\nhost: test\r\n\r\n"),
    ("CR in the target", b"GET /\rx HTTP/1.1\r\nhost: test\r\n\r\n"),
    ("NUL in the method", b"G\0T / HTTP/1.1\r\nhost: test\r\n\r\n"),
];

const BAD_ANSWERS: [(&str, &[u8]); 10] = [
    ("NUL in a value", b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n"),
    ("CR in a value", b"HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 0\r\n\r\n"),
    ("folded line", b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 0\r\n\r\n"),
    ("NUL in a name", b"HTTP/1.1 200 OK\r\nx\0: a\r\ncontent-length: 0\r\n\r\n"),
    ("space in a name", b"HTTP/1.1 200 OK\r\nx y: a\r\ncontent-length: 0\r\n\r\n"),
    ("space before the colon", b"HTTP/1.1 200 OK\r\ncontent-length : 0\r\n\r\n"),
    ("no colon", b"HTTP/1.1 200 OK\r\nnonsense\r\ncontent-length: 0\r\n\r\n"),
    ("NUL in the reason", b"HTTP/1.1 200 O\0K\r\ncontent-length: 0\r\n\r\n"),
    ("status of two digits", b"HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n"),
    ("another protocol", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
];

#[test]
fn s8_bad_bytes_in_a_request_are_refused_and_nothing_forwarded() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for (name, bytes) in BAD_REQUESTS {
        let mut client = evenkeel.client();
        client.send(bytes);
        assert_eq!(client.answer("GET").status, 400, "{name}");
        client.assert_closed();
    }
    assert_eq!((origin.count(), origin.connections()), (0, 0));
}

/// Request lines that readers disagree about (RFC 9112, section 3).
const BAD_REQUEST_LINES: [&str; 12] = [
    "GET  / HTTP/1.1",
    "GET /  HTTP/1.1",
    "GET / HTTP/1.1 ",
    " GET / HTTP/1.1",
    "GET\t/ HTTP/1.1",
    "GET /\tHTTP/1.1",
    "GET / x HTTP/1.1",
    "G@T / HTTP/1.1",
    "GET / HTTP/1.1 x",
    "GET /",
    "GET",
    "/ HTTP/1.1",
];

#[test]
fn s8_request_lines_that_are_none_are_refused() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for line in BAD_REQUEST_LINES {
        let mut client = evenkeel.client();
        client.send(format!("{line}\r\nhost: test\r\n\r\n"));
        let status = client.answer("GET").status;
        assert!(matches!(status, 400 | 505), "{line:?}: {status}");
        client.assert_closed();
    }
    assert_eq!((origin.count(), origin.connections()), (0, 0));
}

#[test]
fn s8_bad_bytes_in_an_answer_are_a_502() {
    for (name, bytes) in BAD_ANSWERS {
        let origin = Origin::bytes(bytes);
        let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
        let response = evenkeel.get("/");
        assert_eq!(response.status, 502, "{name}");
        assert!(response.headers("x").is_empty(), "{name}");
    }
}

#[test]
fn s8_a_bare_line_feed_in_a_head_is_never_passed_on() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for text in [
        "GET / HTTP/1.1\nhost: test\n\n",
        "GET / HTTP/1.1\r\nhost: test\r\nx: a\nevil: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: test\n\r\n\r\n",
    ] {
        let mut client = evenkeel.client();
        client.send(text);
        // RFC 9112, section 2.2 lets a recipient take it for a line's end; passing it on is what must not be.
        let status = client.answer("GET").status;
        assert!(matches!(status, 200 | 400), "{text:?}: {status}");
    }
    for request in origin.requests() {
        let bare = request.raw.iter().enumerate().any(|(at, b)| *b == b'\n' && request.raw[at - 1] != b'\r');
        assert!(!bare, "{:?}", String::from_utf8_lossy(&request.raw));
    }
}
