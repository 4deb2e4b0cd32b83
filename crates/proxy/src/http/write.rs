//! Writing heads and chunks (RFC 9112). Fields are copied once, neighbours that stay together in one go.

use evenkeel_config::HeaderEdits;
use evenkeel_types::three_digits;

use super::field::{Field, Known, KnownSet, list, same_variable};
use super::framing::Framing;
use super::version::Version;

/// Which fields of a message `Connection` nominates as belonging to this connection alone (RFC 9110, 7.6.1).
#[derive(Debug, Clone, Copy, Default)]
pub struct Nominated {
    any: bool,
}

impl Nominated {
    /// Looks for options that name other fields.
    #[inline]
    pub fn of(bytes: &[u8], (fields, known): (&[Field], KnownSet)) -> Self {
        if known.holds(Known::Connection) { Self::among(bytes, fields) } else { Self::default() }
    }

    fn among(bytes: &[u8], fields: &[Field]) -> Self {
        let names_a_field = |option: &[u8]| {
            !["close", "keep-alive", "upgrade"].iter().any(|o| option.eq_ignore_ascii_case(o.as_bytes()))
        };
        let any = fields
            .iter()
            .filter(|f| f.known == Known::Connection)
            .any(|f| list(f.value.of_bytes(bytes)).any(names_a_field));
        Self { any }
    }

    /// True when `field` is nominated.
    #[inline]
    pub fn holds(self, bytes: &[u8], fields: &[Field], field: &Field) -> bool {
        self.any && is_nominated(bytes, fields, field)
    }
}

fn is_nominated(bytes: &[u8], fields: &[Field], field: &Field) -> bool {
    let name = field.name.of_bytes(bytes);
    let mut options = fields.iter().filter(|f| f.known == Known::Connection);
    options.any(|f| list(f.value.of_bytes(bytes)).any(|option| same_variable(option, name)))
}

/// Copies the fields that `keep` wants, each as it came. `head` is the length of the whole head.
pub fn copy_fields(
    out: &mut Vec<u8>,
    bytes: &[u8],
    head: usize,
    fields: &[Field],
    mut keep: impl FnMut(&Field) -> bool,
) {
    // Kept fields that lie side by side are one stretch of the head's bytes: one copy for all of them.
    let mut run = 0..0;
    for (i, field) in fields.iter().enumerate() {
        let start = field.name.start();
        // A line ends where the next begins; the last one before the empty line.
        let end = fields.get(i + 1).map_or(head - 2, |next| next.name.start());
        if !keep(field) {
            continue;
        }
        if run.end == start {
            run.end = end;
        } else {
            out.extend_from_slice(&bytes[run]);
            run = start..end;
        }
    }
    out.extend_from_slice(&bytes[run]);
}

/// Writes a status line of HTTP/1.1.
pub fn status_line(out: &mut Vec<u8>, status: u16, reason: &[u8]) {
    out.extend_from_slice(b"HTTP/1.1 ");
    number(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

/// Writes one field.
#[inline(always)]
pub fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes one field, whose value comes in several parts; the name comes with its colon and space.
#[inline(always)]
pub fn line(out: &mut Vec<u8>, name: &str, parts: &[&[u8]]) {
    out.extend_from_slice(name.as_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.extend_from_slice(b"\r\n");
}

/// The value of the first field of that name, in lower case, in lines that we have written ourselves.
pub fn value<'l>(lines: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let mut lines = lines.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    lines.find_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        (line[..colon] == *name).then(|| line[colon + 1..].trim_ascii())
    })
}

/// Writes a decimal number.
pub fn number(out: &mut Vec<u8>, number: u64) {
    match number {
        // Statuses, and the lengths of short bodies.
        100..1_000 => out.extend_from_slice(&three_digits(number)),
        _ => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
    }
}

/// Writes `Content-Length`.
pub fn content_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"content-length: ");
    number(out, length);
    out.extend_from_slice(b"\r\n");
}

/// Says how long a body is whose length is known, or that it comes in chunks.
pub fn framing(out: &mut Vec<u8>, framing: Framing) {
    match framing {
        Framing::Length(length) => content_length(out, length),
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        // What has no body says nothing about its length, except where a zero must be said.
        Framing::Empty | Framing::UntilClose => {}
    }
}

/// Ends the head of a response to a client of HTTP/1, whose connection stays or not.
pub fn end_head(out: &mut Vec<u8>, version: Version, keep_alive: bool) {
    if !keep_alive {
        out.extend_from_slice(b"connection: close\r\n");
    } else if version == Version::Http10 {
        out.extend_from_slice(b"connection: keep-alive\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// True when `edits` take a field of this name away, by removing or by replacing it.
pub fn edited_away(edits: &HeaderEdits, name: &[u8]) -> bool {
    edits.set.iter().any(|(n, _)| name.eq_ignore_ascii_case(n.as_bytes()))
        || edits.remove.iter().any(|n| name.eq_ignore_ascii_case(n.as_bytes()))
}

/// Writes what `edits` set and add.
pub fn edits(out: &mut Vec<u8>, edits: &HeaderEdits) {
    for (name, value) in edits.set.iter().chain(&edits.add) {
        field(out, name, value.as_bytes());
    }
}

/// The size line of a chunk: at most 16 digits and CRLF.
pub fn chunk_size(size: usize, line: &mut [u8; 18]) -> &[u8] {
    let mut at = 16;
    line[16..].copy_from_slice(b"\r\n");
    let mut left = size;
    loop {
        at -= 1;
        line[at] = b"0123456789abcdef"[left & 15];
        left >>= 4;
        if left == 0 {
            return &line[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{HeadLimits, parse_request};

    #[test]
    fn kept_fields_are_copied_in_order_and_the_rest_is_not() {
        let text = b"GET / HTTP/1.1\r\nA: 1\r\nDrop: x\r\nB:2 \r\nC: \r\nDrop: y\r\n\r\n";
        let mut fields = Vec::new();
        let limits = HeadLimits { bytes: 4096, fields: 100, uri: 100 };
        let head = parse_request(text, limits, &mut fields).unwrap().unwrap();
        let mut out = Vec::new();
        copy_fields(&mut out, text, head.len, &fields, |f| f.name.of_bytes(text) != b"Drop");
        assert_eq!(out, b"A: 1\r\nB:2 \r\nC: \r\n");
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        for n in (0..2_000).chain([u64::MAX]) {
            let mut out = Vec::new();
            number(&mut out, n);
            assert_eq!(out, n.to_string().as_bytes());
        }
    }

    #[test]
    fn chunk_sizes_are_written_in_hex() {
        for size in [0, 1, 15, 16, 255, 65_536, usize::MAX] {
            assert_eq!(chunk_size(size, &mut [0; 18]), format!("{size:x}\r\n").as_bytes());
        }
    }
}
