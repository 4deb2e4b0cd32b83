//! A client's head either is refused, or becomes a request that the next reader cannot read in another way.
#![no_main]

use evenkeel_proxy::http::head::{HeadLimits, parse_request};
use libfuzzer_sys::fuzz_target;

mod admitted;
mod strict;

const LIMITS: HeadLimits = HeadLimits { bytes: 4096, fields: 32, uri: 1024 };

fuzz_target!(|input: &[u8]| {
    let mut fields = Vec::new();
    let Ok(Some(head)) = parse_request(input, LIMITS, &mut fields) else { return };
    assert!(head.len <= input.len().min(LIMITS.bytes) && fields.len() <= LIMITS.fields);
    let bytes = &input[..head.len];
    strict::check_fields(bytes, &fields);
    assert!(!matches!(parse_request(&bytes[..head.len - 1], LIMITS, &mut Vec::new()), Ok(Some(_))));
    admitted::check(input, &head, &fields);
});
