//! Whatever a database server sends to a check is read or refused, whole or piece by piece, and what is shown of it is short and
//! clean.
#![no_main]

use evenkeel_databases::{PostgresAnswer, Reply, read_postgres, read_reply};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for answer in read_postgres(bytes).into_iter().flatten() {
        if let PostgresAnswer::Refused(failure) = answer {
            let shown = failure.to_string();
            assert!(!shown.contains(char::is_control), "{shown:?}");
            assert!(shown.chars().count() < 500, "{shown:?}");
        }
    }
    if let Ok(Some((reply, length))) = read_reply(bytes) {
        assert!((3..=bytes.len()).contains(&length));
        assert_eq!(read_reply(&bytes[..length]), Ok(Some((reply, length))));
        assert_eq!(read_reply(&bytes[..length - 1]).map(|read| read.is_none()), Ok(true));
    }
    assert_ne!(read_reply(b""), Ok(Some((Reply::Nil, 0))));
});
