//! What the quick reader takes, the full reader takes as well, and reads the same.

use std::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::http::head::{full_request, full_response};

const LIMITS: HeadLimits = HeadLimits { bytes: 400, fields: 8, uri: 64 };

type Place = Option<Range<usize>>;

/// A span with its place; the place of an empty one says nothing.
fn place(span: Span) -> Place {
    Some(Range::from(span)).filter(|range| !range.is_empty())
}

fn places(fields: &[Field]) -> Vec<(Known, Place, Place)> {
    fields.iter().map(|field| (field.known, place(field.name), place(field.value))).collect()
}

/// Returns whether the quick reader took it.
fn compare_request(bytes: &[u8]) -> bool {
    let (mut fields, mut of_full) = (Vec::new(), Vec::new());
    let Some(quick) = request(bytes, LIMITS, &mut fields) else { return false };
    let full = full_request(bytes, LIMITS, &mut of_full).expect("taken").expect("complete");
    assert_eq!((quick.len, quick.version, quick.known), (full.len, full.version, full.known));
    assert_eq!((place(quick.method), place(quick.target)), (place(full.method), place(full.target)));
    assert_eq!(places(&fields), places(&of_full));
    true
}

fn compare_response(bytes: &[u8]) -> bool {
    let (mut fields, mut of_full) = (Vec::new(), Vec::new());
    let Some(quick) = response(bytes, LIMITS, &mut fields) else { return false };
    let full = full_response(bytes, LIMITS, &mut of_full).expect("taken").expect("complete");
    assert_eq!((quick.len, quick.version, quick.status), (full.len, full.version, full.status));
    assert_eq!(place(quick.reason), place(full.reason));
    assert_eq!(places(&fields), places(&of_full));
    true
}

/// What heads are made of, and what breaks them.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let texts = [
        "GET /",
        "POST",
        " ",
        "  ",
        " HTTP/1.1\r\n",
        " HTTP/1.0\r\n",
        " HTTP/2.0\r\n",
        "HTTP/1.1 ",
        "200 OK\r\n",
        "099 x\r\n",
        "404 \r\n",
        "204\r\n",
        "Host: a\r\n",
        "host:b\r\n",
        "a: \r\n",
        "a:\t b \t\r\n",
        "b: \t\r\n",
        "User-Agent: something of more than eight bytes\r\n",
        "x : y\r\n",
        " folded\r\n",
        ": z\r\n",
        "\r\n",
        "\r\n\r\n",
        "\n",
        "\r",
        "\t",
        "\0",
        "\x7f",
        "q: \"quoted, with \\ and more\"\r\n",
        "Content-Length: 3\r\n",
        "#?%20",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "é",
    ];
    let raw = prop::collection::vec(any::<u8>(), 1..12);
    prop_oneof![8 => prop::sample::select(texts.to_vec()).prop_map(|text| text.as_bytes().to_vec()), 1 => raw]
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(piece(), 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_request_is_read_as_the_full_reader_reads_it(before in prop::bool::ANY, rest in pieces()) {
        let start: &[u8] = if before { b"GET /index HTTP/1.1\r\n" } else { b"" };
        compare_request(&[start, &rest, b"\r\n\r\n"].concat());
    }

    #[test]
    fn a_response_is_read_as_the_full_reader_reads_it(before in prop::bool::ANY, rest in pieces()) {
        let start: &[u8] = if before { b"HTTP/1.1 200 OK\r\n" } else { b"" };
        compare_response(&[start, &rest, b"\r\n\r\n"].concat());
    }

    #[test]
    fn one_byte_of_any_kind_in_any_place(at in 0_usize..90, byte in any::<u8>()) {
        let mut text = *b"GET /some/path?with=query HTTP/1.1\r\nHost: example.com\r\nAccept: text/html, */*;q=0.1\r\n\r\n";
        let at = at.min(text.len() - 1);
        text[at] = byte;
        compare_request(&text);
        let mut text = *b"HTTP/1.1 206 Partial Content\r\nServer: some server of ours\r\nContent-Length: 12\r\n\r\nHello world!";
        let at = at.min(text.len() - 1);
        text[at] = byte;
        compare_response(&text);
    }
}

#[test]
fn usual_heads_are_taken() {
    for text in [
        "GET / HTTP/1.1\r\nHost: x\r\n\r\nrest",
        "POST /a?b=c HTTP/1.0\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: example.com\r\nUser-Agent: \"x\" \\ y \r\nEmpty:\r\nAccept:\t*/*\r\n\r\n",
    ] {
        assert!(compare_request(text.as_bytes()), "{text:?}");
    }
    for text in [
        "HTTP/1.1 200 OK\r\nA: b\r\nDate: now\r\n\r\n",
        "HTTP/1.0 404 \r\n\r\n",
        "HTTP/1.1 999 Not Known\r\nA:\r\n\r\n",
    ] {
        assert!(compare_response(text.as_bytes()), "{text:?}");
    }
}

#[test]
fn no_prefix_is_taken() {
    let (request_text, response_text) =
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    assert!((0..request_text.len()).all(|end| !compare_request(&request_text[..end])));
    assert!((0..response_text.len()).all(|end| !compare_response(&response_text[..end])));
}

#[test]
fn limits_hold() {
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(9));
    let long = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(400));
    let target = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(64));
    assert!([many, long, target].iter().all(|text| !compare_request(text.as_bytes())));
}
