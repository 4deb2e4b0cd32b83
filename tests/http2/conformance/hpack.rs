//! Groups hpack/2 to hpack/6: what must not be decoded (RFC 7541).

use crate::support::h2::fields;
use crate::support::h2::frames::{Code, flag, headers, setting};
use crate::support::h2::{Case, Expect, case};

const UNDECODABLE: Expect = Expect::ConnectionError(&[Code::COMPRESSION]);

/// A literal without indexing whose name is `x-test`; the value is given as bytes on the wire.
fn with_value(value: &[u8]) -> Vec<u8> {
    headers(1, flag::WHOLE, fields::get_then(&[b"\x00\x85\xf2\xb2\x4a\x84\xff", value].concat()))
}

/// The block of GET with raw bytes behind it.
fn then(raw: &[u8]) -> Vec<u8> {
    headers(1, flag::WHOLE, fields::get_then(raw))
}

/// The cases.
pub const CASES: &[Case] = &[
    case("hpack/2.3.3/1", "an indexed field with index 70", |p| p.send(then(b"\xc6")), UNDECODABLE),
    case("hpack/2.3.3/2", "a literal field with index 70", |p| p.send(then(b"\x7f\x07\x00")), UNDECODABLE),
    case("hpack/4.2/1", "a table size update at the end of a block", |p| p.send(then(b"\x21")), UNDECODABLE),
    case(
        "hpack/5.2/1",
        "Huffman padding of more than 7 bits",
        |p| p.send(with_value(b"\x84\x49\x50\x9f\xff")),
        UNDECODABLE,
    ),
    case("hpack/5.2/2", "Huffman padding of zeros", |p| p.send(with_value(b"\x83\x49\x50\x90")), UNDECODABLE),
    case(
        "hpack/5.2/3",
        "a Huffman string with EOS",
        |p| p.send(with_value(b"\x87\x49\x51\xff\xff\xff\xfa\x7f")),
        UNDECODABLE,
    ),
    case("hpack/6.1/1", "an indexed field with index 0", |p| p.send(then(b"\x80")), UNDECODABLE),
    case(
        "hpack/6.3/1",
        "a table size update above SETTINGS_HEADER_TABLE_SIZE",
        |p| {
            let update = fields::integer(p.setting(setting::HEADER_TABLE_SIZE, 4096) + 1, 5, 0x20);
            p.send(headers(1, flag::WHOLE, [update, fields::get()].concat()))
        },
        UNDECODABLE,
    ),
];
