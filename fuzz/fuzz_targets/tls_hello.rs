//! A hello is the same however much of the connection is there, and its name is one that routes can match.
#![no_main]

use evenkeel_core::l4::{HELLO_BYTES_MAX, Hello, read_hello};
use evenkeel_core::route::parse_host;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = read_hello(bytes);
    if bytes.len() >= HELLO_BYTES_MAX {
        assert_ne!(whole, Hello::Partial, "there is no need for more");
    }
    if let Hello::Complete(hello) = &whole
        && let Some(name) = &hello.name
    {
        assert!(parse_host(name).is_ok_and(|(host, port)| host == *name && port.is_none()), "{name}");
    }
    // With fewer bytes it is either not decided yet, or decided in the same way.
    for cut in [bytes.len() / 4, bytes.len() / 2, bytes.len().saturating_sub(1)] {
        let part = read_hello(&bytes[..cut]);
        assert!(part == Hello::Partial || part == whole, "{cut}");
    }
});
