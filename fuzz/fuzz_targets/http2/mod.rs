//! Fields of HTTP/2 made of lines, so that seeds can be read: `name: value`, pseudo-header fields first.

use evenkeel_http2::Encoder;
use evenkeel_proxy::http::field::Field;

/// A HEADERS frame of stream 1 with these fields; `None` for what are no lines. `flags` say what follows it.
pub fn headers(input: &[u8], flags: u8) -> Option<Vec<u8>> {
    let mut block = Vec::new();
    let mut encoder = Encoder::new(4096);
    for line in input.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        let start = usize::from(line[0] == b':');
        let colon = start + line[start..].iter().position(|b| *b == b':')?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        encoder.field(name, value.strip_prefix(b" ").unwrap_or(value), &mut block);
    }
    let [_, a, b, c] = u32::try_from(block.len()).ok()?.to_be_bytes();
    Some([&[a, b, c, 1, flags, 0, 0, 0, 1], &block[..]].concat())
}

/// Names and values of the fields of a head.
pub fn texts<'a>(head: &'a [u8], fields: &[Field]) -> Vec<(&'a [u8], &'a [u8])> {
    fields.iter().map(|field| (field.name.of_bytes(head), field.value.of_bytes(head))).collect()
}
