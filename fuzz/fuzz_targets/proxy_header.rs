//! A PROXY header is read the same whatever the pieces it comes in, and the same again when it is written.
#![no_main]

use evenkeel_net::proxy_protocol::{Carried, HEADER_MAX, Header, HeaderError, Reader, Version};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    // Of a datagram, it is the same header if it is one of version 2.
    if let Ok((header, length)) = Header::read_datagram(bytes) {
        assert_eq!(Reader::default().take(bytes), Ok((length, Some(header))));
    }
    let whole = Reader::default().take(bytes);
    assert_eq!(in_pieces(bytes, usize::from(size) + 1), whole);
    let Ok((taken, read)) = whole else { return };
    assert!(taken <= bytes.len() && taken <= HEADER_MAX);
    let Some(header) = read else { return assert_eq!(taken, bytes.len()) };
    // The bytes behind it change nothing.
    assert_eq!(Reader::default().take(&bytes[..taken]), Ok((taken, Some(header.clone()))));
    for version in [Version::V1, Version::V2] {
        let mut written = Vec::new();
        header.write(version, &mut written);
        let (length, again) = Reader::default().take(&written).expect("we wrote it");
        assert_eq!(length, written.len());
        let again = again.expect("it is whole");
        match (&header.carried, version) {
            (Carried::Unix, Version::V1) => assert_eq!(again, Header::local()),
            (carried, _) => assert_eq!(again.carried, *carried),
        }
    }
});

fn in_pieces(bytes: &[u8], size: usize) -> Result<(usize, Option<Header>), HeaderError> {
    let (mut reader, mut taken) = (Reader::default(), 0);
    for piece in bytes.chunks(size) {
        let (more, header) = reader.take(piece)?;
        taken += more;
        if header.is_some() {
            return Ok((taken, header));
        }
    }
    Ok((taken, None))
}
