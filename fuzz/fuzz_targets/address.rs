//! An address either is refused, or is the same when it is read again as it is shown.
#![no_main]

use evenkeel_types::Address;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for read in [Address::listener, Address::backend] {
        match read(text) {
            Ok(address) => {
                let shown = address.to_string();
                assert_eq!(read(&shown).as_ref(), Ok(&address), "shown as {shown:?}");
                assert!(!address.host().is_empty());
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    if let Ok(Address::Ip(address)) = Address::backend(text) {
        assert_ne!(address.port(), 0, "nobody can connect to port 0");
    }
});
