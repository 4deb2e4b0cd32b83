//! Cookies of clients and servers are found where they are, and no value but ours names a server.
#![no_main]

use std::sync::LazyLock;

use evenkeel_core::sticky::{Cookie, cookie, set_cookie_value};
use evenkeel_types::{BackendId, PoolName};
use libfuzzer_sys::fuzz_target;

static OURS: LazyLock<Cookie> = LazyLock::new(|| {
    let ids = ["a", "b", "c"].map(BackendId::from);
    Cookie::new(b"secret", &PoolName::from("app"), &ids)
});

fuzz_target!(|field: &[u8]| {
    for name in ["EVENKEEL", "sid", "a"] {
        if let Some(value) = cookie(field, name) {
            check_value(field, value);
            // The first one counts, whatever follows.
            assert_eq!(cookie(&[field, b"; ", name.as_bytes(), b"=later"].concat(), name), Some(value));
        }
        let first = field.split(|b| *b == b';').next().unwrap_or_default();
        assert_eq!(set_cookie_value(field, name), cookie(first, name));
        assert_eq!(cookie(&[b"x=y; ", field].concat(), name), cookie(field, name));
    }
    if let Some(server) = OURS.server(field) {
        assert_eq!(field, OURS.value(server).as_bytes());
    }
});

fn check_value(field: &[u8], value: &[u8]) {
    assert!(!value.is_empty() && !value.contains(&b';'));
    assert!(value.as_ptr_range().start >= field.as_ptr_range().start);
    assert!(value.as_ptr_range().end <= field.as_ptr_range().end);
    if let Some(server) = OURS.server(value) {
        assert_eq!(value, OURS.value(server).as_bytes());
    }
}
