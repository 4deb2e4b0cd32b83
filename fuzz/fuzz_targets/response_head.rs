//! A server's head either is refused, or has one reading only.
#![no_main]

use evenkeel_proxy::Version;
use evenkeel_proxy::http::field::Known;
use evenkeel_proxy::http::framing::{self, Framing};
use evenkeel_proxy::http::head::{HeadLimits, parse_response, parse_trailers};
use evenkeel_proxy::http::trailers;
use libfuzzer_sys::fuzz_target;

mod strict;

const LIMITS: HeadLimits = HeadLimits { bytes: 4096, fields: 32, uri: 1024 };

fuzz_target!(|input: &[u8]| {
    let mut fields = Vec::new();
    if parse_trailers(input, LIMITS, &mut fields).is_ok() {
        strict::check_fields(input, &fields);
        check_passed_on(input);
    }
    let Ok(Some(head)) = parse_response(input, LIMITS, &mut fields) else { return };
    assert!(head.len <= input.len().min(LIMITS.bytes) && fields.len() <= LIMITS.fields);
    assert!((100..=999).contains(&head.status));
    let bytes = &input[..head.len];
    strict::check_fields(bytes, &fields);
    assert!(strict::is_text(head.reason.of_bytes(bytes)));

    // What was accepted stays so, whatever follows, and was incomplete before its last byte.
    let again = parse_response(bytes, LIMITS, &mut Vec::new());
    assert_eq!(again.map(|h| h.map(|h| h.len)), Ok(Some(head.len)));
    assert!(!matches!(parse_response(&bytes[..head.len - 1], LIMITS, &mut Vec::new()), Ok(Some(_))));

    for to_head in [false, true] {
        let Ok(framing) =
            framing::of_response(bytes, (&fields, head.known), head.version, head.status, to_head)
        else {
            return;
        };
        let declared = strict::declared(bytes, &fields);
        assert!(declared.len() <= 1, "two ways to read the length");
        let chunked = fields.iter().any(|f| f.known == Known::TransferEncoding);
        assert!(!chunked || head.version == Version::Http11);
        let without = to_head || matches!(head.status, 100..=199 | 204 | 304);
        let expected =
            if without { Framing::Empty } else { declared.first().copied().unwrap_or(Framing::UntilClose) };
        assert_eq!(framing, expected);
    }
});

/// What is passed on of trailers is a section of its own, of which everything is passed on, or nothing.
fn check_passed_on(section: &[u8]) {
    let passed = trailers::pass(section, LIMITS, |_| false).expect("the section was accepted");
    assert!(passed.len() <= section.len());
    assert_eq!(trailers::pass(&passed, LIMITS, |_| false).as_ref(), Ok(&passed));
    let mut fields = Vec::new();
    if !passed.is_empty() {
        parse_trailers(&passed, LIMITS, &mut fields).expect("what is passed on is acceptable");
        assert!(!fields.is_empty() && fields.iter().all(|field| field.known == Known::Other));
    }
}
