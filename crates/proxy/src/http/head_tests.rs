//! Tests of head parsing.

use super::*;

const LIMITS: HeadLimits = HeadLimits { bytes: 1024, fields: 10, uri: 64 };

fn request(text: &str) -> Result<Option<RequestHead>, HeadError> {
    parse_request(text.as_bytes(), LIMITS, &mut Vec::new())
}

#[test]
fn a_request_is_read_as_positions() {
    let text = "GET /a?b=c HTTP/1.1\r\nHost: x\r\nEmpty:\r\n\r\nrest";
    let mut fields = Vec::new();
    let head = parse_request(text.as_bytes(), LIMITS, &mut fields).unwrap().unwrap();
    assert_eq!(head.len, text.len() - 4);
    assert_eq!(head.method.of_bytes(text.as_bytes()), b"GET");
    assert_eq!(head.target.of_bytes(text.as_bytes()), b"/a?b=c");
    assert_eq!(head.version, Version::Http11);
    assert_eq!(fields[0].known, Known::Host);
    assert_eq!(fields[0].value.of_bytes(text.as_bytes()), b"x");
    assert_eq!(fields[1].value.of_bytes(text.as_bytes()), b"");
}

#[test]
fn every_prefix_of_a_request_asks_for_more() {
    let text = "POST /a HTTP/1.1\r\nHost: x\r\n\r\n";
    for end in 0..text.len() {
        assert!(matches!(request(&text[..end]), Ok(None)), "{:?}", &text[..end]);
    }
}

#[test]
fn malformed_requests_are_refused() {
    for bad in [
        "GET / HTTP/1.1\nHost: x\n\n",
        "GET / HTTP/1.1\r\nHost: x\n\r\n",
        "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: x\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\0c\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
        "GET / HTTP/1.1\r\n: b\r\n\r\n",
        "GET / HTTP/1.1\r\nA b: c\r\n\r\n",
        "G@T / HTTP/1.1\r\n\r\n",
        "GET /\r\n\r\n",
    ] {
        assert!(matches!(request(bad), Err(HeadError::Malformed(_))), "{bad:?} gave {:?}", request(bad));
    }
}

#[test]
fn limits_have_their_own_errors() {
    let target = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(64));
    assert_eq!(request(&target).unwrap_err(), HeadError::TargetTooLong);
    assert_eq!(request(&target[..80]).unwrap_err(), HeadError::TargetTooLong);
    let large = format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(1024));
    assert_eq!(request(&large).unwrap_err(), HeadError::TooLarge);
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(11));
    assert_eq!(request(&many).unwrap_err(), HeadError::TooLarge);
    assert_eq!(request("GET / HTTP/2.0\r\n\r\n").unwrap_err(), HeadError::Version);
}

#[test]
fn more_fields_than_usual_are_read_when_allowed() {
    let text = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(500));
    let limits = HeadLimits { bytes: 1 << 20, fields: 500, uri: 64 };
    let mut fields = Vec::new();
    assert!(parse_request(text.as_bytes(), limits, &mut fields).unwrap().is_some());
    assert_eq!(fields.len(), 500);
}

#[test]
fn responses_are_read_and_refused() {
    let read = |text: &str| parse_response(text.as_bytes(), LIMITS, &mut Vec::new());
    let head = read("HTTP/1.1 200 OK\r\nA: b\r\n\r\n").unwrap().unwrap();
    assert_eq!(head.status, 200);
    assert_eq!(read("HTTP/1.0 404\r\n\r\n").unwrap().unwrap().status, 404);
    for bad in [
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 099 x\r\n\r\n",
        "HTTP/1.1 200 OK\nA: b\n\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "hello",
    ] {
        assert!(read(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn trailers_are_fields_and_nothing_else() {
    let mut fields = Vec::new();
    parse_trailers(b"A: b\r\nC: d\r\n\r\n", LIMITS, &mut fields).unwrap();
    assert_eq!(fields.len(), 2);
    assert!(parse_trailers(b"A: b\n\r\n", LIMITS, &mut fields).is_err());
    assert!(parse_trailers(b"A b\r\n\r\n", LIMITS, &mut fields).is_err());
    assert!(parse_trailers(b"A: b\r\n\r\nC: d\r\n\r\n", LIMITS, &mut fields).is_err());
}
