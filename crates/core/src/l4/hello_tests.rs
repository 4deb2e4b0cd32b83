//! Hellos of all shapes: fragmented, without a name, hidden, oversized, malformed.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// The body of a hello with these extensions.
fn body(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    let mut all = Vec::new();
    for (kind, bytes) in extensions {
        all.extend(kind.to_be_bytes());
        all.extend((bytes.len() as u16).to_be_bytes());
        all.extend(bytes);
    }
    body.extend((all.len() as u16).to_be_bytes());
    body.extend(all);
    body
}

/// A `server_name` extension.
fn sni(name: &[u8]) -> (u16, Vec<u8>) {
    let mut bytes = ((name.len() + 3) as u16).to_be_bytes().to_vec();
    bytes.push(0);
    bytes.extend((name.len() as u16).to_be_bytes());
    bytes.extend(name);
    (0, bytes)
}

/// A handshake message of this type.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend(&(body.len() as u32).to_be_bytes()[1..]);
    message.extend(body);
    message
}

/// The message in records of at most this length.
fn records(message: &[u8], length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for fragment in message.chunks(length) {
        bytes.extend([22, 3, 1]);
        bytes.extend((fragment.len() as u16).to_be_bytes());
        bytes.extend(fragment);
    }
    bytes
}

fn hello(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    records(&message(1, &body(extensions)), 16_384)
}

fn named(name: &str) -> Hello {
    Hello::Complete(ClientHello { name: Some(name.into()), is_encrypted: false })
}

fn malformed(bytes: &[u8]) -> bool {
    matches!(read_hello(bytes), Hello::Refused(HelloFault::Malformed(_)))
}

const NAMELESS: Hello = Hello::Complete(ClientHello { name: None, is_encrypted: false });

#[test]
fn a_name_is_found_among_other_extensions() {
    // GREASE (RFC 8701) before and behind it.
    let grease = |kind| (kind, vec![0; 3]);
    assert_eq!(
        read_hello(&hello(&[grease(0x0a0a), sni(b"A.Example.COM"), grease(0xfafa)])),
        named("a.example.com")
    );
    assert_eq!(read_hello(&hello(&[sni(b"a.example.com.")])), named("a.example.com"));
    assert_eq!(read_hello(&hello(&[grease(0x0a0a)])), NAMELESS);
    assert_eq!(read_hello(&hello(&[sni(b"10.0.0.1")])), NAMELESS);
    let body = body(&[]);
    assert_eq!(read_hello(&records(&message(1, &body[..body.len() - 2]), 100)), NAMELESS);
}

#[test]
fn an_encrypted_hello_shows_its_outer_name() {
    let found = read_hello(&hello(&[sni(b"cover.example"), (0xfe0d, vec![0; 200])]));
    assert_eq!(
        found,
        Hello::Complete(ClientHello { name: Some("cover.example".into()), is_encrypted: true })
    );
}

#[test]
fn what_is_no_tls_is_seen_at_its_first_bytes() {
    for bytes in
        [&b"SSH-2.0-x\r\n"[..], b"G", b"\x16\x02\x01", b"\x80\x2e\x01\x03\x01", b"\0\0\0\x08\x04\xd2\x16\x2f"]
    {
        assert_eq!(read_hello(bytes), Hello::NotTls, "{bytes:?}");
    }
    for bytes in [&b""[..], b"\x16", b"\x16\x03", b"\x16\x03\x01\x02\0", b"\x16\x03\x01\x02\0\x01"] {
        assert_eq!(read_hello(bytes), Hello::Partial, "{bytes:?}");
    }
}

#[test]
fn what_breaks_the_format_is_refused() {
    assert!(malformed(b"\x16\x03\x01\0\0"), "an empty record");
    assert!(malformed(b"\x16\x03\x01\xff\xff"), "a record above 16 KiB");
    assert!(malformed(&records(&message(2, &body(&[])), 100)), "another message");
    assert!(malformed(&hello(&[sni(b"a.example"), sni(b"b.example")])), "two extensions");
    assert!(malformed(&hello(&[(0, vec![0, 0])])), "no name");
    assert!(malformed(&hello(&[(0, vec![])])), "nothing");
    for name in [&b""[..], b"a b", b"a:80", b"[::1]", b"a..b", b"\xff", b"a\0b", b"user@a"] {
        assert!(malformed(&hello(&[sni(name)])), "{name:?}");
    }
    let mut two = sni(b"a.example");
    two.1.extend(b"\0\0\x01b");
    two.1[1] += 4;
    assert!(malformed(&hello(&[two])), "two names");
    let mut cut = body(&[sni(b"a.example")]);
    cut.pop();
    assert!(malformed(&records(&message(1, &cut), 100)), "a length beyond the end");
    let mut split = records(&message(1, &body(&[sni(b"a.example")])), 20);
    split[25] = 23;
    assert!(malformed(&split), "application data within it");
}

#[test]
fn a_hello_has_limits() {
    let padding = |count| hello(&[sni(b"a.example"), (21, vec![0; count])]);
    assert_eq!(read_hello(&padding(16_000)), named("a.example"));
    assert_eq!(read_hello(&padding(17_000)[..9]), Hello::Refused(HelloFault::TooLong));
    let message = message(1, &body(&[sni(b"a.example")]));
    let crumbs = records(&message, message.len() / 60 + 1);
    assert_eq!(read_hello(&crumbs), named("a.example"));
    assert_eq!(read_hello(&records(&message, 1)), Hello::Refused(HelloFault::TooLong));
    assert!(crumbs.len() <= HELLO_BYTES_MAX);
}

proptest! {
    #[test]
    fn a_hello_is_the_same_however_it_is_cut(
        name in "[a-z]{1,20}(\\.[a-z0-9-]{1,20}){1,3}", length in 20_usize..400, at in any::<prop::sample::Index>(),
    ) {
        let bytes = records(&message(1, &body(&[(43, vec![2, 3, 4]), sni(name.as_bytes())])), length);
        prop_assert_eq!(read_hello(&bytes), named(&name));
        let cut = &bytes[..at.index(bytes.len())];
        prop_assert_eq!(read_hello(cut), Hello::Partial);
        // What follows is none of its business.
        let more = [&bytes[..], b"\x14\x03\x03\0\x01\x01"].concat();
        prop_assert_eq!(read_hello(&more), named(&name));
    }

    #[test]
    fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0_u8..3) {
        if let [first, major, minor, high, ..] = bytes.as_mut_slice() && kind > 0 {
            (*first, *major, *minor, *high) = (22, 3, kind, 0);
        }
        let _ = read_hello(&bytes);
    }

    #[test]
    fn one_wrong_byte_never_makes_it_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = records(&message(1, &body(&[sni(b"a.example.com"), (43, vec![2, 3, 4])])), 60);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = read_hello(&bytes);
    }
}
