//! A server's head over HTTP/2 is written as lines that say the same, and lines become fields that HTTP/2 may have.
#![no_main]

use evenkeel_http2::{Config, Connection, Event, Head, Request};
use evenkeel_proxy::http::field::Known;
use evenkeel_proxy::http::framing;
use evenkeel_proxy::http::head::{HeadLimits, parse_response, parse_trailers};
use evenkeel_proxy::http::lines;
use evenkeel_types::Time;
use libfuzzer_sys::fuzz_target;

mod http2;
mod strict;

const LIMITS: HeadLimits = HeadLimits { bytes: 4096, fields: 32, uri: 1024 };

fuzz_target!(|input: &[u8]| {
    check_section(input);
    check_response(input);
});

/// Lines as a server of HTTP/1.1 sends them: what the reader of those accepts can be sent on, and is the same then.
fn check_section(section: &[u8]) {
    let mut read = Vec::new();
    if parse_trailers(section, LIMITS, &mut read).is_err() {
        return;
    }
    let sent_on = read.iter().filter(|f| f.known != Known::Host && !is_of_the_connection(f.known));
    let expected: Vec<_> =
        sent_on.map(|field| (field.name.of_bytes(section), field.value.of_bytes(section))).collect();
    let fields: Vec<_> = lines::section_fields(section).collect();
    assert!(fields.iter().all(|(_, value)| strict::is_text(value)));
    assert_eq!(fields, expected);
}

fn is_of_the_connection(known: Known) -> bool {
    known.is_hop_by_hop() && !matches!(known, Known::ContentLength | Known::Te)
}

/// Fields as a server of HTTP/2 sends them: written as lines, a reader of HTTP/1.1 finds what we say is there.
fn check_response(input: &[u8]) {
    let Some(came) = response(input) else { return };
    let (mut bytes, mut fields) = (Vec::new(), Vec::new());
    let Ok(head) = lines::of_response(&came, LIMITS, &mut bytes, &mut fields) else { return };
    assert!(head.len == bytes.len() && head.len <= LIMITS.bytes && fields.len() <= LIMITS.fields);
    strict::check_fields(&bytes, &fields);
    if framing::of_response(&bytes, (&fields, head.known), head.version, head.status, false).is_ok() {
        assert!(strict::declared(&bytes, &fields).len() <= 1, "two ways to read the length");
    }

    bytes[..8].copy_from_slice(b"HTTP/1.1");
    let mut read = Vec::new();
    let found = parse_response(&bytes, LIMITS, &mut read).expect("valid").expect("whole");
    assert_eq!((found.len, found.status), (head.len, head.status));
    assert_eq!(found.reason.of_bytes(&bytes), head.reason.of_bytes(&bytes));
    assert_eq!(http2::texts(&bytes, &read), http2::texts(&bytes, &fields));
}

/// A response that a client of HTTP/2 makes of fields; `None` where it refuses it.
fn response(input: &[u8]) -> Option<Head> {
    let now = Time::from_millis(1);
    let mut client = Connection::client(Config::client(), now);
    let request = Request { method: b"GET", scheme: b"http", authority: b"a", path: b"/", protocol: b"" };
    client.request(&request, [], true).ok()?;
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let bytes = [settings.as_slice(), &http2::headers(input, 4)?].concat();
    let (mut head, mut taken) = (Head::new(), 0);
    loop {
        let received = client.receive(&bytes[taken..], &mut head, now).ok()?;
        taken += received.taken;
        match received.event {
            Some(Event::Head { .. }) => return Some(head),
            Some(Event::Settings) => {}
            _ => return None,
        }
    }
}
