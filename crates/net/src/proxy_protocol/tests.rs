//! Headers of both versions: as they stand in the specification, in any pieces, mutated, and there and back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::prelude::*;

use super::*;

fn read(bytes: &[u8]) -> Result<(usize, Option<Header>), HeaderError> {
    Reader::default().take(bytes)
}

fn whole(bytes: &[u8]) -> Header {
    let (taken, header) = read(bytes).unwrap();
    assert_eq!(taken, bytes.len());
    header.unwrap()
}

fn from(source: &str, destination: &str) -> Carried {
    Carried::Ip { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

fn v2(fixed: &[u8], block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [v2::SIGNATURE, fixed, &length, block].concat()
}

/// Appends the checksum to a header of version 2.
fn with_checksum(mut header: Vec<u8>) -> Vec<u8> {
    let length = u16::from_be_bytes([header[14], header[15]]) + 7;
    header[14..16].copy_from_slice(&length.to_be_bytes());
    header.extend_from_slice(&[3, 0, 4, 0, 0, 0, 0]);
    let sum = crc32c::of([&header[..]]).to_be_bytes();
    let end = header.len();
    header[end - 4..].copy_from_slice(&sum);
    header
}

#[test]
fn lines_of_version_1_are_read() {
    let cases: [(&[u8], Carried); 6] = [
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", from("192.0.2.1:56324", "198.51.100.2:443")),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", from("[2001:db8::1]:1", "[2001:db8::2]:65535")),
        (b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 1 2\r\n", from("192.0.2.1:1", "198.51.100.2:2")),
        (b"PROXY TCP4 0.0.0.0 255.255.255.255 0 0\r\n", from("0.0.0.0:0", "255.255.255.255:0")),
        (b"PROXY UNKNOWN\r\n", Carried::Peer),
        (b"PROXY UNKNOWN anything at all\r\n", Carried::Peer),
    ];
    for (line, carried) in cases {
        assert_eq!(whole(line).carried, carried, "{}", line.escape_ascii());
    }
    let longest = b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535                                                \r\n";
    assert_eq!(longest.len(), 107);
    assert_eq!(whole(longest).carried, Carried::Peer);
}

#[test]
fn lines_of_version_1_that_break_a_rule_are_refused() {
    for line in [
        "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 \r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.2 56324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 056324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 +56324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 -1 443\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.2 1 443\r\n",
        "PROXY TCP4 192.0.2 198.51.100.2 1 443\r\n",
        "PROXY TCP4 ::1 ::2 1 443\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.2 1 443\r\n",
        "PROXY TCP6 fe80::1%eth0 ::2 1 443\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.2 1 443\r\n",
        "PROXY tcp4 192.0.2.1 198.51.100.2 1 443\r\n",
        "PROXY TCP4\t192.0.2.1 198.51.100.2 1 443\r\n",
        "PROXY TCP4 192.0.2.1\r198.51.100.2 1 443\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY \r\n",
        "PROXY \u{e4}\r\n",
    ] {
        assert!(matches!(read(line.as_bytes()), Err(HeaderError::Malformed(_))), "{line:?}");
    }
    let endless = [&b"PROXY UNKNOWN "[..], &[b'x'; 93]].concat();
    assert!(matches!(read(&endless), Err(HeaderError::Malformed(_))));
    assert_eq!(read(&endless[..106]), Ok((106, None)), "the next byte may be its end");
}

#[test]
fn what_begins_otherwise_is_refused_at_its_first_wrong_byte() {
    for bytes in [
        &b"G"[..],
        b"POST / HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n",
        b"PROXY\t",
        b"proxy ",
        b"\x16\x03\x01",
        b"\r\nGET",
    ] {
        assert_eq!(read(bytes), Err(HeaderError::Missing), "{}", bytes.escape_ascii());
    }
    for bytes in [&b""[..], b"P", b"PROXY", b"\r\n\r\n"] {
        assert_eq!(read(bytes), Ok((bytes.len(), None)));
    }
}

#[test]
fn headers_of_version_2_are_read() {
    let ipv4 = [192, 0, 2, 1, 198, 51, 100, 2, 0, 80, 1, 187];
    for transport in [0x11, 0x12] {
        assert_eq!(whole(&v2(&[0x21, transport], &ipv4)).carried, from("192.0.2.1:80", "198.51.100.2:443"));
    }
    let v6 = |ip: &str| ip.parse::<Ipv6Addr>().unwrap().octets();
    let ipv6 = [&v6("2001:db8::1")[..], &v6("2001:db8::2"), &[0, 80, 1, 187]].concat();
    for transport in [0x21, 0x22] {
        assert_eq!(
            whole(&v2(&[0x21, transport], &ipv6)).carried,
            from("[2001:db8::1]:80", "[2001:db8::2]:443")
        );
    }
    for transport in [0x31, 0x32] {
        assert_eq!(whole(&v2(&[0x21, transport], &[b'/'; 216])).carried, Carried::Unix);
    }
    // Whatever follows LOCAL is ignored, and so is what follows an unknown family.
    for fixed in [[0x20, 0x00], [0x20, 0x11], [0x20, 0xff], [0x21, 0x00]] {
        assert_eq!(whole(&v2(&fixed, b"\x01\xff\xff")), Header::local());
    }
}

#[test]
fn headers_of_version_2_that_break_a_rule_are_refused() {
    let ipv4 = [192, 0, 2, 1, 198, 51, 100, 2, 0, 80, 1, 187];
    let with = |tlvs: &[u8]| v2(&[0x21, 0x11], &[&ipv4[..], tlvs].concat());
    for (header, what) in [
        (v2(&[0x11, 0x11], &ipv4), "version 1"),
        (v2(&[0x22, 0x11], &ipv4), "unknown command"),
        (v2(&[0x21, 0x13], &ipv4), "unknown transport"),
        (v2(&[0x21, 0x41], &ipv4), "unknown family"),
        (v2(&[0x21, 0x11], &ipv4[..11]), "short addresses"),
        (v2(&[0x21, 0x21], &[0; 35]), "short addresses"),
        (v2(&[0x21, 0x31], &[0; 215]), "short addresses"),
        (v2(&[0x21, 0x11], &[0; 4313]), "too long"),
        (with(&[1]), "cut TLV"),
        (with(&[1, 0]), "cut TLV"),
        (with(&[1, 0, 2, b'h']), "cut value"),
        (with(&[3, 0, 3, 0, 0, 0]), "short checksum"),
        (with(&[3, 0, 4, 0, 0, 0, 0]), "wrong checksum"),
        (with(&[0x20, 0, 4, 1, 0, 0, 0]), "short TLS"),
        (with(&[0x20, 0, 6, 1, 0, 0, 0, 0, 0x21]), "cut TLV in TLS"),
    ] {
        assert!(matches!(read(&header), Err(HeaderError::Malformed(_))), "{what}");
    }
    assert!(read(&with_checksum(with(&[]))).is_ok(), "a right checksum");
}

#[test]
fn tlvs_say_what_is_known_of_the_client() {
    // As HAProxy sends it, with a checksum and a TLV that is not known here.
    let tls = b"\x07\0\0\0\0\x21\0\x07TLSv1.3\x22\0\x05alice\x23\0\x16TLS_AES_256_GCM_SHA384";
    let tlvs = [
        &b"\x01\0\x02h2\x02\0\x0bexample.com\x05\0\x02id\xe0\0\x01x\x04\0\0\x20\0"[..],
        &[u8::try_from(tls.len()).unwrap()],
        tls,
    ]
    .concat();
    let ipv4 = [192, 0, 2, 1, 198, 51, 100, 2, 0, 80, 1, 187];
    let header = with_checksum(v2(&[0x21, 0x11], &[&ipv4[..], &tlvs].concat()));
    let text = |text: &str| Some(text.as_bytes().into());
    let expected = Tlvs {
        alpn: text("h2"),
        authority: text("example.com"),
        unique_id: text("id"),
        tls: Some(Tls {
            version: text("TLSv1.3"),
            cipher: text("TLS_AES_256_GCM_SHA384"),
            is_verified: true,
            common_name: text("alice"),
        }),
    };
    assert_eq!(whole(&header).tlvs, expected);
}

fn addresses() -> impl Strategy<Value = SocketAddr> {
    let ip = prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::from(Ipv4Addr::from(bits))),
        any::<u128>().prop_map(|bits| IpAddr::from(Ipv6Addr::from(bits)).to_canonical()),
    ];
    (ip, any::<u16>()).prop_map(SocketAddr::from)
}

fn tlvs() -> impl Strategy<Value = Tlvs> {
    let value = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..255).prop_map(Box::from));
    let tls =
        (value(), value(), any::<bool>(), value()).prop_map(|(version, cipher, is_verified, common_name)| {
            Tls { version, cipher, is_verified, common_name }
        });
    (value(), value(), value(), proptest::option::of(tls))
        .prop_map(|(alpn, authority, unique_id, tls)| Tlvs { alpn, authority, unique_id, tls })
}

fn headers() -> impl Strategy<Value = (Version, Header)> {
    let ip =
        || (addresses(), addresses()).prop_map(|(source, destination)| Carried::Ip { source, destination });
    let version_1 = prop_oneof![ip(), Just(Carried::Peer)]
        .prop_map(|carried| (Version::V1, Header { carried, tlvs: Tlvs::default() }));
    let version_2 = (prop_oneof![ip(), Just(Carried::Unix)], tlvs())
        .prop_map(|(carried, tlvs)| (Version::V2, Header { carried, tlvs }));
    prop_oneof![version_1, version_2, Just((Version::V2, Header::local()))]
}

proptest! {
    #[test]
    fn what_is_written_is_read_in_any_pieces(
        (version, header) in headers(),
        follows in proptest::collection::vec(any::<u8>(), 0..40),
        sizes in proptest::collection::vec(1..60_usize, 1..10),
    ) {
        let mut bytes = Vec::new();
        header.write(version, &mut bytes);
        let length = bytes.len();
        prop_assert!(length <= HEADER_MAX);
        bytes.extend_from_slice(&follows);
        let (mut reader, mut at, mut sizes) = (Reader::default(), 0, sizes.iter().cycle());
        let read = loop {
            let piece = &bytes[at..bytes.len().min(at + sizes.next().unwrap())];
            let (taken, read) = reader.take(piece).unwrap();
            at += taken;
            if let Some(read) = read { break read }
            prop_assert_eq!(taken, piece.len());
        };
        prop_assert_eq!(at, length, "no more than the header");
        prop_assert_eq!(read, header);
    }

    #[test]
    fn a_mutated_header_with_a_checksum_is_refused_or_says_the_same(
        (version, header) in headers(), at in any::<prop::sample::Index>(), bits in 1..=255_u8,
    ) {
        // A sender's own connection is not looked at any further.
        prop_assume!(version == Version::V2 && header.carried != Carried::Peer);
        let mut bytes = Vec::new();
        header.write(version, &mut bytes);
        let mut bytes = with_checksum(bytes);
        let at = at.index(bytes.len());
        bytes[at] ^= bits;
        match read(&bytes) {
            Ok((_, Some(read))) if at == 12 || at == 13 => prop_assert_eq!(read, Header::local()),
            // The checksum's own type: it is skipped then.
            Ok((_, Some(read))) if at == bytes.len() - 7 => prop_assert_eq!(read.carried, header.carried),
            // A TLV that swallows the checksum.
            Ok((_, Some(read))) => prop_assert_eq!(read.carried, header.carried),
            Ok((_, None)) | Err(_) => {}
        }
    }

    #[test]
    fn no_bytes_make_the_reader_fail(bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 0..3) {
        let start: &[u8] = match kind { 0 => b"", 1 => v1::PREFIX, _ => b"\r\n\r\n\0\r\nQUIT\n\x21\x11" };
        let bytes = [start, &bytes].concat();
        if let Ok((taken, header)) = read(&bytes) {
            prop_assert!(taken <= bytes.len());
            prop_assert!(header.is_some() || taken == bytes.len());
        }
    }
}

#[test]
fn datagrams_begin_with_a_whole_header_of_version_2() {
    for (source, destination, family) in
        [("192.0.2.1:7", "198.51.100.2:53", 0x12), ("[2001:db8::1]:7", "[2001:db8::2]:53", 0x22)]
    {
        let carried = Carried::between(source.parse().unwrap(), destination.parse().unwrap());
        let header = Header { carried, tlvs: Tlvs::default() };
        let mut bytes = Vec::new();
        header.write_datagram(&mut bytes);
        let length = bytes.len();
        assert_eq!(bytes[13], family);
        bytes.extend_from_slice(b"query");
        assert_eq!(Header::read_datagram(&bytes), Ok((header, length)));
        for cut in 0..length {
            assert!(Header::read_datagram(&bytes[..cut]).is_err(), "{cut} of {length} bytes");
        }
    }
    let mut local = Vec::new();
    Header::local().write_datagram(&mut local);
    assert_eq!(Header::read_datagram(&local), Ok((Header::local(), local.len())));
    let text = b"PROXY UDP4 192.0.2.1 198.51.100.2 7 53\r\nquery";
    assert_eq!(Header::read_datagram(text), Err(HeaderError::Missing));
}
