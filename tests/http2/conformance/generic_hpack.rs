//! Group generic/5: every representation of RFC 7541, section 6, is understood.

use crate::support::h2::fields;
use crate::support::h2::frames::{flag, headers};
use crate::support::h2::{Case, Expect, case};

const NAME: &[u8] = b"\x0auser-agent";
const NAME_HUFFMAN: &[u8] = b"\x87\xb5\x05\xb1\x61\xcc\x5a\x93";
const NEW: &[u8] = b"\x06x-test";
const NEW_HUFFMAN: &[u8] = b"\x85\xf2\xb2\x4a\x84\xff";
const VALUE: &[u8] = b"\x06h2spec";
const VALUE_HUFFMAN: &[u8] = b"\x84\x9c\x48\xac\xa4";

const INCREMENTAL: u8 = 0x40;
const WITHOUT: u8 = 0;
const NEVER: u8 = 0x10;

/// The block of GET and one more field.
fn with(representation: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
    let field = [&[representation], name, value].concat();
    headers(1, flag::WHOLE, fields::get_then(&field))
}

/// The block of GET behind these bytes.
fn behind(first: &[u8]) -> Vec<u8> {
    headers(1, flag::WHOLE, [first, &fields::get()].concat())
}

/// The cases.
pub const CASES: &[Case] = &[
    case(
        "generic/5/1",
        "indexed field",
        |p| p.send(headers(1, flag::WHOLE, fields::get_then(b"\xba"))),
        Expect::Response,
    ),
    case(
        "generic/5/2",
        "incremental indexing, known name, Huffman",
        |p| p.send(with(INCREMENTAL, NAME_HUFFMAN, VALUE_HUFFMAN)),
        Expect::Response,
    ),
    case(
        "generic/5/3",
        "incremental indexing, known name",
        |p| p.send(with(INCREMENTAL, NAME, VALUE)),
        Expect::Response,
    ),
    case(
        "generic/5/4",
        "incremental indexing, new name",
        |p| p.send(with(INCREMENTAL, NEW, VALUE)),
        Expect::Response,
    ),
    case(
        "generic/5/5",
        "incremental indexing, new name, Huffman",
        |p| p.send(with(INCREMENTAL, NEW_HUFFMAN, VALUE_HUFFMAN)),
        Expect::Response,
    ),
    case(
        "generic/5/6",
        "without indexing, known name",
        |p| p.send(with(WITHOUT, NAME, VALUE)),
        Expect::Response,
    ),
    case(
        "generic/5/7",
        "without indexing, known name, Huffman",
        |p| p.send(with(WITHOUT, NAME_HUFFMAN, VALUE_HUFFMAN)),
        Expect::Response,
    ),
    case(
        "generic/5/8",
        "without indexing, new name",
        |p| p.send(with(WITHOUT, NEW, VALUE)),
        Expect::Response,
    ),
    case(
        "generic/5/9",
        "without indexing, new name, Huffman",
        |p| p.send(with(WITHOUT, NEW_HUFFMAN, VALUE_HUFFMAN)),
        Expect::Response,
    ),
    case("generic/5/10", "never indexed, known name", |p| p.send(with(NEVER, NAME, VALUE)), Expect::Response),
    case(
        "generic/5/11",
        "never indexed, known name, Huffman",
        |p| p.send(with(NEVER, NAME_HUFFMAN, VALUE_HUFFMAN)),
        Expect::Response,
    ),
    case("generic/5/12", "never indexed, new name", |p| p.send(with(NEVER, NEW, VALUE)), Expect::Response),
    case(
        "generic/5/13",
        "never indexed, new name, Huffman",
        |p| p.send(with(NEVER, NEW_HUFFMAN, VALUE_HUFFMAN)),
        Expect::Response,
    ),
    case("generic/5/14", "dynamic table size update", |p| p.send(behind(b"\x20")), Expect::Response),
    case(
        "generic/5/15",
        "two dynamic table size updates",
        |p| p.send(behind(b"\x20\x3f\xe1\x1f")),
        Expect::Response,
    ),
];
