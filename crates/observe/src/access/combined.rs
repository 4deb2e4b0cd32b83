//! The combined log format of Apache httpd, with everything that comes from outside made harmless.

use super::json::{address, number};
use super::record::{Client, FIELD_BYTES_MAX, Record};
use super::stamp::Stamp;

/// Appends the line of one request.
pub(super) fn write(out: &mut Vec<u8>, record: &Record<'_>, stamp: &mut Stamp) {
    begin(out, record.client, record.unix_ns, stamp);
    if record.method.is_empty() {
        out.push(b'-');
    } else {
        escaped(out, record.method.as_bytes());
        out.push(b' ');
        escaped(out, record.target);
        out.push(b' ');
        out.extend_from_slice(record.version.as_str().as_bytes());
    }
    out.extend_from_slice(b"\" ");
    number(out, u64::from(record.status));
    out.push(b' ');
    bytes(out, record.bytes_out);
    field(out, record.referer);
    field(out, record.user_agent);
    out.push(b'\n');
}

/// What each line begins with, up to the quote of the request's line.
pub(super) fn begin(out: &mut Vec<u8>, client: Client<'_>, unix_ns: u64, stamp: &mut Stamp) {
    match client {
        Client::Peer(text, _) => out.extend_from_slice(text.as_bytes()),
        Client::Ip(ip, _) => address(out, ip),
        Client::Unix => out.extend_from_slice(b"unix:"),
    }
    out.extend_from_slice(b" - - [");
    stamp.clf(out, unix_ns);
    out.extend_from_slice(b"] \"");
}

/// How many bytes were sent, `-` when there were none.
pub(super) fn bytes(out: &mut Vec<u8>, count: u64) {
    if count == 0 { out.push(b'-') } else { number(out, count) }
}

/// A quoted field, `-` when the request has none.
fn field(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    out.extend_from_slice(b" \"");
    match bytes {
        Some(bytes) if !bytes.is_empty() => escaped(out, bytes),
        _ => out.push(b'-'),
    }
    out.push(b'"');
}

/// Bytes with quotes, backslashes, controls and whatever is not ASCII as `\xHH`.
pub(super) fn escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let harmless = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    if bytes.len() <= FIELD_BYTES_MAX && bytes.iter().fold(true, |all, &byte| all & harmless(byte)) {
        return out.extend_from_slice(bytes);
    }
    let end = out.len() + FIELD_BYTES_MAX;
    for &byte in bytes {
        if out.len() >= end {
            return out.extend_from_slice(b"...");
        }
        if harmless(byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(&[b'\\', b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}
