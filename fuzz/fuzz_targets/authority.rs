//! An authority either is refused, or names one host, in a form that is always the same.
#![no_main]

use std::net::Ipv6Addr;

use evenkeel_core::route::parse_host;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok((host, port)) = parse_host(text) else { return };
    let suffix = port.map(|port| format!(":{port}")).unwrap_or_default();
    assert_eq!(parse_host(&format!("{host}{suffix}")), Ok((host.clone(), port)), "read again");
    if host.is_empty() {
        assert!(text.is_empty() && port.is_none());
        return;
    }
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        assert!(address.parse::<Ipv6Addr>().is_ok_and(|parsed| parsed.to_string() == address));
    } else {
        assert!(host.len() <= 253 && !host.ends_with('.') && host.split('.').all(|label| !label.is_empty()));
        let is_plain = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~');
        assert!(host.bytes().all(is_plain), "{host:?}");
    }
    // A comparison of hosts without a port, in any case and with or without the final dot, finds the same.
    let upper = text.to_ascii_uppercase();
    assert_eq!(parse_host(&upper).map(|(host, _)| host.into_owned()), Ok(host.into_owned()));
});
