//! HPACK field blocks by hand (RFC 7541): literals without indexing, so that no case depends on the one before.

use super::super::message::latin1;
use super::frames::{flag, headers};

/// A name and its value.
pub type Field = (&'static str, &'static str);

/// The pseudo-header fields of a plain request, in the usual order.
pub const GET: [Field; 4] = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "test")];
/// The same for a request with a body.
pub const POST: [Field; 4] = [(":method", "POST"), GET[1], GET[2], GET[3]];
/// A field as long as most servers allow one to be.
pub const LONG: usize = 4000;

/// The block of these fields, each a literal without indexing and with a literal name.
pub fn block(fields: &[Field]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(name, value)).collect()
}

/// The block of GET.
pub fn get() -> Vec<u8> {
    block(&GET)
}

/// The block of GET with one more field.
pub fn get_with(name: &'static str, value: &'static str) -> Vec<u8> {
    [get(), literal(name, value)].concat()
}

/// The block of GET with raw bytes behind it.
pub fn get_then(raw: &[u8]) -> Vec<u8> {
    [&get(), raw].concat()
}

/// The block of a GET that [`super::origin`] does not answer.
pub fn hold() -> Vec<u8> {
    block(&[GET[0], GET[1], (":path", "/hold"), GET[3]])
}

/// For each of `count` new streams: such a GET that does not end, and what `wrong` puts behind it.
pub fn held(count: u32, wrong: fn(u32) -> Vec<u8>) -> Vec<u8> {
    let streams = (0..count).map(|i| 2 * i + 1);
    streams.flat_map(|id| [headers(id, flag::END_HEADERS, hold()), wrong(id)].concat()).collect()
}

/// The block of POST.
pub fn post() -> Vec<u8> {
    block(&POST)
}

/// The block of POST with one more field.
pub fn post_with(name: &'static str, value: &'static str) -> Vec<u8> {
    [post(), literal(name, value)].concat()
}

/// A block of `count` fields with [`LONG`] values.
pub fn long(count: usize) -> Vec<u8> {
    (0..count).flat_map(|i| literal(&format!("x-dummy{i}"), &"x".repeat(LONG))).collect()
}

/// A block of `count` small fields.
pub fn short(count: usize) -> Vec<u8> {
    (0..count).flat_map(|i| literal(&format!("x-dummy{i}"), "x")).collect()
}

/// One literal field without indexing (RFC 7541, section 6.2.2), its strings not Huffman-coded.
pub fn literal(name: &str, value: &str) -> Vec<u8> {
    [vec![0], string(name), string(value)].concat()
}

/// An integer with a prefix of `bits` bits (RFC 7541, section 5.1); `pattern` fills the bits above.
pub fn integer(mut value: usize, bits: u32, pattern: u8) -> Vec<u8> {
    let most = (1 << bits) - 1;
    if value < most {
        return vec![pattern | u8::try_from(value).unwrap()];
    }
    let mut bytes = vec![pattern | u8::try_from(most).unwrap()];
    value -= most;
    while value >= 0x80 {
        bytes.push(0x80 | u8::try_from(value & 0x7f).unwrap());
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

/// The `:status` of a response's block.
pub fn status(block: &[u8]) -> Option<String> {
    let fields = loona_hpack::Decoder::new().decode(block).ok()?;
    let (_, value) = fields.into_iter().find(|(name, _)| name == b":status")?;
    String::from_utf8(value.to_vec()).ok()
}

/// A string, not Huffman-coded (RFC 7541, section 5.2).
pub fn string(text: &str) -> Vec<u8> {
    [integer(text.len(), 7, 0), text.as_bytes().to_vec()].concat()
}

/// Reads the field blocks of one connection, which must come in the order in which they were received.
pub struct Blocks(loona_hpack::Decoder<'static>);

impl Blocks {
    /// For a new connection.
    pub fn new() -> Self {
        Self(loona_hpack::Decoder::new())
    }

    /// The fields of the next block.
    pub fn read(&mut self, block: &[u8]) -> Vec<(String, String)> {
        let fields = self.0.decode(block).expect("a field block");
        fields.into_iter().map(|(name, value)| (latin1(&name), latin1(&value))).collect()
    }
}

/// The values of all fields of that name.
pub fn values<'f>(fields: &'f [(String, String)], name: &str) -> Vec<&'f str> {
    fields.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str()).collect()
}
