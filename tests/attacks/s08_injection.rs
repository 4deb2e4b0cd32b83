//! S8, in depth: bytes that end a line where they should not, in targets, trailers, redirects and answers.

use crate::support::{Evenkeel, Origin, pool};

const BAD_REQUESTS: [(&str, &[u8]); 16] = [
    ("NUL in the query", b"GET /?a\0b HTTP/1.1\r\nhost: test\r\n\r\n"),
    ("LF in the query", b"GET /?a\nb HTTP/1.1\r\nhost: test\r\n\r\n"),
    ("control in the query", b"GET /?\x1b[31m HTTP/1.1\r\nhost: test\r\n\r\n"),
    ("CR before the request line", b"\rGET / HTTP/1.1\r\nhost: test\r\n\r\n"),
    ("NUL before the request line", b"\0GET / HTTP/1.1\r\nhost: test\r\n\r\n"),
    ("byte order mark", b"\xef\xbb\xbfGET / HTTP/1.1\r\nhost: test\r\n\r\n"),
    ("TLS on a clear port", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n"),
    ("a name that begins with a colon", b"GET / HTTP/1.1\r\nhost: test\r\n:path: /x\r\n\r\n"),
    ("control in a name", b"GET / HTTP/1.1\r\nhost: test\r\nx\x07: a\r\n\r\n"),
    ("form feed behind a value", b"GET / HTTP/1.1\r\nhost: test\r\nx: a\x0c\r\n\r\n"),
    ("vertical tab before a value", b"GET / HTTP/1.1\r\nhost: test\r\nx:\x0ba\r\n\r\n"),
    ("CR CR LF", b"GET / HTTP/1.1\r\nhost: test\r\nx: a\r\r\ny: b\r\n\r\n"),
    ("LF CR", b"GET / HTTP/1.1\r\nhost: test\r\nx: a\n\ry: b\r\n\r\n"),
    ("a bare CR for the empty line", b"GET / HTTP/1.1\r\nhost: test\r\n\rGET / HTTP/1.1\r\n\r\n"),
    ("brackets in a name", b"GET / HTTP/1.1\r\nhost: test\r\n[x]: a\r\n\r\n"),
    ("a version in small letters", b"GET / http/1.1\r\nhost: test\r\n\r\n"),
];

const BAD_ANSWERS: [(&str, &[u8]); 9] = [
    ("bare LF behind the status line", b"HTTP/1.1 200 OK\nx: a\r\ncontent-length: 0\r\n\r\n"),
    ("CR in the reason", b"HTTP/1.1 200 O\rK\r\ncontent-length: 0\r\n\r\n"),
    ("empty name", b"HTTP/1.1 200 OK\r\n: a\r\ncontent-length: 0\r\n\r\n"),
    ("a name outside ASCII", b"HTTP/1.1 200 OK\r\nx\xe9: a\r\ncontent-length: 0\r\n\r\n"),
    ("folded with a tab", b"HTTP/1.1 200 OK\r\nx: a\r\n\tb\r\ncontent-length: 0\r\n\r\n"),
    ("DEL in a value", b"HTTP/1.1 200 OK\r\nx: a\x7f\r\ncontent-length: 0\r\n\r\n"),
    ("status of four digits", b"HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n"),
    ("status that is none", b"HTTP/1.1 2x0 OK\r\ncontent-length: 0\r\n\r\n"),
    ("HTTP/0.9", b"<html>hello</html>\r\n\r\n"),
];

#[test]
fn s8_bytes_that_readers_disagree_about_are_refused_wherever_they_stand() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for (name, bytes) in BAD_REQUESTS {
        let mut client = evenkeel.client();
        client.send(bytes);
        let status = client.answer("GET").status;
        assert!(matches!(status, 400 | 505), "{name}: {status}");
        client.assert_closed();
    }
    assert_eq!((origin.count(), origin.connections()), (0, 0));
}

#[test]
fn s8_answers_that_readers_disagree_about_are_a_502() {
    for (name, bytes) in BAD_ANSWERS {
        let origin = Origin::bytes_then_close(bytes);
        let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
        let response = evenkeel.get("/");
        assert_eq!(response.status, 502, "{name}");
        assert!(response.headers("x").is_empty(), "{name}");
    }
}

#[test]
fn s8_trailers_are_held_to_the_same() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for trailer in
        ["x: a\0b", "x: a\rb", "x: a\r\n b", "x : a", "x\0: a", ": a", "x: a\nevil: b", "x\u{e9}: a"]
    {
        let mut client = evenkeel.client();
        client.send(format!(
            "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n0\r\n{trailer}\r\n\r\n"
        ));
        assert_eq!(client.answer("POST").status, 400, "{trailer:?}");
        client.assert_closed();
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn s8_a_redirect_decodes_nothing_into_its_location() {
    let evenkeel = Evenkeel::start(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\nredirect_to_https = true\n[[route]]\nrespond = {}\n",
    );
    for target in [
        "/%0d%0aset-cookie:%20evil=1",
        "/?a=%0d%0aset-cookie:%20evil=1",
        "/a%0Db",
        "//evil.test/x",
        "/%2f/evil.test",
        "/.//evil.test",
    ] {
        let response = evenkeel.client().get_with(target, "");
        assert!(response.headers("set-cookie").is_empty(), "{target}");
        if response.status == 308 {
            let location = response.header("location").unwrap();
            assert!(location.starts_with("https://test/"), "{target}: {location}");
            assert!(!location["https://test/".len()..].starts_with('/'), "{target}: {location}");
        } else {
            assert_eq!(response.status, 400, "{target}");
        }
    }
}

#[test]
fn s8_lines_are_not_injected_through_the_log() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let forged = "x\\\",\\\"status\\\":999,\\\"a\\\":\\\"";
    let response = evenkeel.client().get_with(
        "/log?\"},{\"status\":999",
        &format!("user-agent: {forged}\"}}\t{{\"status\":999}}\r\nreferer: \"\\\"\r\n"),
    );
    assert!(matches!(response.status, 200 | 400), "{}", response.status);
    evenkeel.get("/last");
    evenkeel.record(|record| record["target"] == "/last");
    for line in evenkeel.stdout.lines() {
        let record: serde_json::Value = serde_json::from_str(&line).expect(&line);
        assert_ne!(record["status"], 999, "{line}");
    }
}
