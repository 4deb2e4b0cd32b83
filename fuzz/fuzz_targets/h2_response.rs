//! A server's head over HTTP/2 is written as lines that say the same, and lines become fields that HTTP/2 may have.
#![no_main]

use evenkeel_proxy::http::field::Known;
use evenkeel_proxy::http::framing;
use evenkeel_proxy::http::head::{HeadLimits, parse_response, parse_trailers};
use evenkeel_proxy::http::lines;
use http::{HeaderMap, Response, StatusCode};
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
    let is_accepted = parse_trailers(section, LIMITS, &mut read).is_ok();
    let Ok(fields) = lines::to_fields(section) else {
        assert!(!is_accepted, "accepted, but not to be sent on");
        return;
    };
    for (name, value) in &fields {
        let known = Known::of(name.as_str().as_bytes());
        assert!(known != Known::Host && !is_of_the_connection(known), "{name}");
        assert!(strict::is_text(value.as_bytes()), "{value:?}");
    }
    if is_accepted {
        let sent_on = read.iter().filter(|f| f.known != Known::Host && !is_of_the_connection(f.known));
        let mut expected = HeaderMap::new();
        for field in sent_on {
            let name = http::HeaderName::from_bytes(field.name.of_bytes(section)).expect("a name");
            expected.append(name, field.value.of_bytes(section).try_into().expect("a value"));
        }
        assert_eq!(fields, expected);
    }
    assert_eq!(lines::to_fields(&lines::of_trailers(&fields)), Ok(fields));
}

fn is_of_the_connection(known: Known) -> bool {
    known.is_hop_by_hop() && !matches!(known, Known::ContentLength | Known::Te)
}

/// Fields as a server of HTTP/2 sends them: written as lines, a reader of HTTP/1.1 finds what we say is there.
fn check_response(input: &[u8]) {
    let Some((pseudo, headers)) = http2::fields(input) else { return };
    let Some((b":status", status)) = pseudo.first() else { return };
    let Ok(status) = StatusCode::from_bytes(status) else { return };
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    let (parts, ()) = response.into_parts();
    let (mut bytes, mut fields) = (Vec::new(), Vec::new());
    let Ok(head) = lines::of_response(&parts, LIMITS, &mut bytes, &mut fields) else { return };
    assert!(head.len == bytes.len() && head.len <= LIMITS.bytes && fields.len() <= LIMITS.fields);
    strict::check_fields(&bytes, &fields);
    if framing::of_response(&bytes, &fields, head.version, head.status, false).is_ok() {
        assert!(strict::declared(&bytes, &fields).len() <= 1, "two ways to read the length");
    }

    bytes[..8].copy_from_slice(b"HTTP/1.1");
    let mut read = Vec::new();
    let found = parse_response(&bytes, LIMITS, &mut read).expect("valid").expect("whole");
    assert_eq!((found.len, found.status), (head.len, head.status));
    assert_eq!(found.reason.of_bytes(&bytes), head.reason.of_bytes(&bytes));
    assert_eq!(http2::texts(&bytes, &read), http2::texts(&bytes, &fields));
}
