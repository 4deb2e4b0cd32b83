//! A head that came over HTTP/2 either is refused, or is written as lines that say the same and nothing else.
#![no_main]

use evenkeel_http2::{Config, Connection, Event, Head, PREFACE};
use evenkeel_proxy::Version;
use evenkeel_proxy::http::field::{Field, Known};
use evenkeel_proxy::http::head::{HeadLimits, RequestHead, parse_request};
use evenkeel_proxy::http::lines;
use evenkeel_types::Time;
use libfuzzer_sys::fuzz_target;

mod admitted;
mod http2;
mod strict;

const LIMITS: HeadLimits = HeadLimits { bytes: 4096, fields: 32, uri: 1024 };

fuzz_target!(|input: &[u8]| {
    let Some(head) = request(input) else { return };
    let (mut bytes, mut fields) = (Vec::new(), Vec::new());
    let Ok(lines) = lines::of_head(&head, LIMITS, b"", &mut bytes, &mut fields) else { return };
    assert!(lines.len == bytes.len() && lines.len <= LIMITS.bytes && fields.len() <= LIMITS.fields);
    assert_eq!(lines.version, Version::Http2);
    strict::check_fields(&bytes, &fields);
    check_host(&head, &bytes, &fields);
    check_as_http1(&bytes, &lines, &fields);
    check_way_back(&head, &bytes);
    admitted::check(&bytes, &lines, &fields);
});

/// A request that a server of HTTP/2 makes of fields; `None` where it refuses it.
fn request(input: &[u8]) -> Option<Head> {
    let now = Time::from_millis(1);
    let mut server = Connection::server(Config::server(), now);
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let bytes = [PREFACE.as_slice(), &settings, &http2::headers(input, 5)?].concat();
    let (mut head, mut taken) = (Head::new(), 0);
    loop {
        let received = server.receive(&bytes[taken..], &mut head, now).ok()?;
        taken += received.taken;
        match received.event {
            Some(Event::Head { .. }) => return Some(head),
            Some(Event::Settings) => {}
            _ => return None,
        }
    }
}

/// There is one host at most, and it is whom the request is for.
fn check_host(head: &Head, bytes: &[u8], fields: &[Field]) {
    let hosts: Vec<&[u8]> =
        fields.iter().filter(|f| f.known == Known::Host).map(|f| f.value.of_bytes(bytes)).collect();
    assert!(hosts.len() <= 1, "more than one host");
    for said in
        head.fields().filter(|field| field.name == b"host").map(|field| field.value).chain(head.authority())
    {
        assert!(hosts[0].eq_ignore_ascii_case(said), "another host");
    }
}

/// A reader of HTTP/1.1 finds what we say is there.
fn check_as_http1(bytes: &[u8], head: &RequestHead, fields: &[Field]) {
    let text = bytes.windows(8).position(|part| part == b"HTTP/2.0").expect("the version is there");
    let mut bytes = bytes.to_vec();
    bytes[text..text + 8].copy_from_slice(b"HTTP/1.1");
    let mut read = Vec::new();
    let found = match parse_request(&bytes, LIMITS, &mut read) {
        Ok(Some(found)) => found,
        // What HTTP/2 takes for a target may be refused by `admit` at the latest.
        _ => return,
    };
    assert_eq!((found.len, found.method, found.target), (head.len, head.method, head.target));
    assert_eq!(http2::texts(&bytes, &read), http2::texts(&bytes, fields));
}

/// Read back as fields it is the same, but for the host, which has a place of its own, and crumbs put together.
fn check_way_back(head: &Head, bytes: &[u8]) {
    let start = bytes.iter().position(|b| *b == b'\n').expect("there is a request line") + 1;
    let back: Vec<(&[u8], &[u8])> = lines::section_fields(&bytes[start..]).collect();
    let crumbs: Vec<&[u8]> =
        head.fields().filter(|field| field.name == b"cookie").map(|field| field.value).collect();
    let cookie = crumbs.join(&b"; "[..]);
    let mut expected: Vec<(&[u8], &[u8])> = Vec::new();
    for field in head.fields().filter(|field| field.name != b"host") {
        if field.name != b"cookie" {
            expected.push((field.name, field.value));
        } else if !expected.iter().any(|(name, _)| *name == b"cookie") {
            expected.push((b"cookie", &cookie));
        }
    }
    assert_eq!(back, expected);
}
