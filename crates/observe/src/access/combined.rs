//! The combined log format of Apache httpd, with everything that comes from outside made harmless.

use super::line::Line;
use super::record::{Client, FIELD_BYTES_MAX, Record};
use super::stamp::Stamp;

/// The line of one request.
pub(super) fn write<'a>(line: Line<'a>, record: &Record<'_>, stamp: &mut Stamp) -> Line<'a> {
    let line = begin(line, record.client, record.unix_ns, stamp);
    let line = if record.method.is_empty() {
        line.put(b"-")
    } else {
        let line = escaped(line, record.method.as_bytes()).put(b" ");
        escaped(line, record.target).put(b" ").put(record.version.as_str().as_bytes())
    };
    let line = bytes(line.put(b"\" ").number(u64::from(record.status)).put(b" "), record.bytes_out);
    field(field(line, record.referer), record.user_agent).put(b"\n")
}

/// What each line begins with, up to the quote of the request's line.
pub(super) fn begin<'a>(line: Line<'a>, client: Client<'_>, unix_ns: u64, stamp: &mut Stamp) -> Line<'a> {
    let line = match client {
        Client::Peer(text, _) => line.put(text.as_bytes()),
        Client::Ip(ip, _) => line.address(ip),
        Client::Unix => line.put(b"unix:"),
    };
    line.put(b" - - [").put(&stamp.clf(unix_ns)).put(b"] \"")
}

/// How many bytes were sent, `-` when there were none.
pub(super) fn bytes(line: Line<'_>, count: u64) -> Line<'_> {
    if count == 0 { line.put(b"-") } else { line.number(count) }
}

/// A quoted field, `-` when the request has none.
fn field<'a>(line: Line<'a>, bytes: Option<&[u8]>) -> Line<'a> {
    let line = line.put(b" \"");
    let line = match bytes {
        Some(bytes) if !bytes.is_empty() => escaped(line, bytes),
        _ => line.put(b"-"),
    };
    line.put(b"\"")
}

/// Bytes with quotes, backslashes, controls and whatever is not ASCII as `\xHH`.
pub(super) fn escaped<'a>(mut line: Line<'a>, bytes: &[u8]) -> Line<'a> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let harmless = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    if bytes.len() <= FIELD_BYTES_MAX && bytes.iter().fold(true, |all, &byte| all & harmless(byte)) {
        return line.put(bytes);
    }
    let left_min = line.left().saturating_sub(FIELD_BYTES_MAX);
    for &byte in bytes {
        if line.left() <= left_min {
            return line.put(b"...");
        }
        line = if harmless(byte) {
            line.put(&[byte])
        } else {
            line.put(&[b'\\', b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]])
        };
    }
    line
}
