//! One JSON object (RFC 8259) a line: always the same keys in the same order, `null` for what is not known. The keys of the
//! cache and of traces alone are left out where there are none.

use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use super::record::{CacheLog, Client, FIELD_BYTES_MAX, OWN_FIELD_BYTES_MAX, Record, TraceLog};
use super::stamp::{Stamp, digits};

/// Appends the line of one request.
pub(super) fn write(out: &mut Vec<u8>, record: &Record<'_>, stamp: &mut Stamp) {
    out.extend_from_slice(b"{\"time\":\"");
    stamp.rfc3339(out, record.unix_ns);
    client(out, record.client);
    out.extend_from_slice(b",\"listener\":");
    token(out, record.listener);
    out.extend_from_slice(b",\"method\":");
    string(out, record.method.as_bytes());
    out.extend_from_slice(b",\"scheme\":");
    token(out, record.scheme);
    out.extend_from_slice(b",\"host\":");
    string(out, record.host.as_bytes());
    out.extend_from_slice(b",\"target\":");
    string(out, record.target);
    out.extend_from_slice(b",\"version\":\"");
    out.extend_from_slice(record.version.as_str().as_bytes());
    out.extend_from_slice(b"\",\"status\":");
    number(out, u64::from(record.status));
    out.extend_from_slice(b",\"route\":");
    optional(out, record.route.map(str::as_bytes));
    out.extend_from_slice(b",\"pool\":");
    match record.pool {
        Some(pool) => token(out, pool),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"backend\":");
    optional(out, record.backend.map(str::as_bytes));
    out.extend_from_slice(b",\"tries\":");
    number(out, u64::from(record.tries));
    out.extend_from_slice(b",\"duration_ms\":");
    milliseconds(out, record.total);
    out.extend_from_slice(b",\"connect_ms\":");
    optional_milliseconds(out, record.connect);
    out.extend_from_slice(b",\"first_byte_ms\":");
    optional_milliseconds(out, record.first_byte);
    out.extend_from_slice(b",\"bytes_in\":");
    number(out, record.bytes_in);
    out.extend_from_slice(b",\"bytes_out\":");
    number(out, record.bytes_out);
    out.extend_from_slice(b",\"request_id\":");
    string(out, record.request_id.as_bytes());
    out.extend_from_slice(b",\"user_agent\":");
    optional(out, record.user_agent);
    out.extend_from_slice(b",\"referer\":");
    optional(out, record.referer);
    out.extend_from_slice(b",\"ended\":\"");
    out.extend_from_slice(record.ended.as_str().as_bytes());
    out.extend_from_slice(b"\",\"reason\":");
    optional(out, record.reason.map(str::as_bytes));
    if let Some(log) = record.cache {
        cache(out, log);
    }
    if let Some(log) = record.trace {
        trace(out, log);
    }
    own_fields(out, record.fields);
    out.extend_from_slice(b"}\n");
}

/// What the cache did. Requests that no cache was asked about have no such keys.
fn cache(out: &mut Vec<u8>, log: CacheLog<'_>) {
    out.extend_from_slice(b",\"cache\":");
    token(out, log.result.as_str());
    if let Some(reason) = log.reason {
        out.extend_from_slice(b",\"cache_reason\":");
        string(out, reason.as_bytes());
    }
}

/// Where the request stands in its trace. Without `[tracing]` there are no such keys.
fn trace(out: &mut Vec<u8>, log: TraceLog) {
    out.extend_from_slice(b",\"trace_id\":\"");
    hex(out, &log.trace_id);
    out.extend_from_slice(b"\",\"span_id\":\"");
    hex(out, &log.span_id);
    out.extend_from_slice(if log.sampled {
        b"\",\"trace_sampled\":true"
    } else {
        b"\",\"trace_sampled\":false"
    });
}

/// The keys of the configuration's choice, which are clean already.
pub(super) fn own_fields(out: &mut Vec<u8>, fields: &[(&str, Option<&[u8]>)]) {
    for (key, value) in fields {
        out.push(b',');
        token(out, key);
        out.push(b':');
        match value {
            Some(value) => bounded_string(out, value, OWN_FIELD_BYTES_MAX),
            None => out.extend_from_slice(b"null"),
        }
    }
}

fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend(
        bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]),
    );
}

pub(super) fn client(out: &mut Vec<u8>, client: Client<'_>) {
    out.extend_from_slice(b"\",\"client\":\"");
    match client {
        Client::Peer(text, port) => {
            out.extend_from_slice(text.as_bytes());
            out.extend_from_slice(b"\",\"client_port\":");
            number(out, u64::from(port));
        }
        Client::Ip(ip, port) => {
            address(out, ip);
            out.extend_from_slice(b"\",\"client_port\":");
            if port == 0 { out.extend_from_slice(b"null") } else { number(out, u64::from(port)) }
        }
        Client::Unix => out.extend_from_slice(b"unix\",\"client_port\":null"),
    }
}

/// An address without its port; one of IPv4 that came over an IPv6 socket as what it is.
pub(super) fn address(out: &mut Vec<u8>, ip: IpAddr) {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            number(out, u64::from(a));
            for octet in [b, c, d] {
                out.push(b'.');
                number(out, u64::from(octet));
            }
        }
        // Writing to a Vec cannot fail.
        IpAddr::V6(v6) => drop(write!(out, "{v6}")),
    }
}

/// A number in decimal.
pub(super) fn number(out: &mut Vec<u8>, n: u64) {
    // Most numbers of a line are a zero or a one.
    if n < 10 {
        return out.push(b'0' + n as u8);
    }
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

/// Milliseconds with three decimals, cut to whole microseconds.
pub(super) fn milliseconds(out: &mut Vec<u8>, duration: Duration) {
    number(out, duration.as_secs().saturating_mul(1_000).saturating_add(u64::from(duration.subsec_millis())));
    out.push(b'.');
    out.extend_from_slice(&digits(u64::from(duration.subsec_micros() % 1_000)));
}

pub(super) fn optional_milliseconds(out: &mut Vec<u8>, duration: Option<Duration>) {
    match duration {
        Some(duration) => milliseconds(out, duration),
        None => out.extend_from_slice(b"null"),
    }
}

pub(super) fn optional(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => string(out, bytes),
        None => out.extend_from_slice(b"null"),
    }
}

/// A token (RFC 9110, 5.6.2) of our own or the configuration's: nothing in it needs an escape, and it is short.
pub(super) fn token(out: &mut Vec<u8>, token: &str) {
    debug_assert!(is_clean(token.as_bytes()), "{token:?} is no token");
    out.push(b'"');
    out.extend_from_slice(token.as_bytes());
    out.push(b'"');
}

/// A string, whatever the bytes are.
pub(super) fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    bounded_string(out, bytes, FIELD_BYTES_MAX);
}

/// The same, cut at another length.
#[inline]
fn bounded_string(out: &mut Vec<u8>, bytes: &[u8], bytes_max: usize) {
    out.push(b'"');
    if bytes.len() <= bytes_max && is_clean(bytes) {
        out.extend_from_slice(bytes);
    } else {
        escaped(out, bytes, bytes_max);
    }
    out.push(b'"');
}

/// Whether bytes can stand in a JSON string as they are: no control, quote or backslash, and ASCII only. Eight at a time.
fn is_clean(bytes: &[u8]) -> bool {
    let (words, _) = bytes.as_chunks::<8>();
    // The last eight once more, some of which have been looked at; bytes of a short string one by one.
    let Some(last) = bytes.last_chunk::<8>() else {
        return bytes.iter().fold(true, |clean, byte| clean & IS_CLEAN[usize::from(*byte)]);
    };
    words.iter().chain([last]).fold(0, |found, word| found | dirty(u64::from_ne_bytes(*word))) == 0
}

/// The same of each byte.
const IS_CLEAN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = b' ';
    while byte < 0x7f {
        table[byte as usize] = byte != b'"' && byte != b'\\';
        byte += 1;
    }
    table
};

/// One in each byte.
const ONES: u64 = u64::MAX / 255;

/// The high bit of each byte that is a control, a quote, a backslash or no ASCII, and at most of those behind one (the
/// borrow of Mycroft's test for a byte below another; Hacker's Delight, 6-1). It need not leave out bytes above ASCII, as that
/// test does, because they are found anyway.
fn dirty(word: u64) -> u64 {
    const HIGH: u64 = ONES << 7;
    let is = |byte: u8| (word ^ (ONES * u64::from(byte))).wrapping_sub(ONES);
    let is_control = word.wrapping_sub(ONES * u64::from(b' ')) | word.wrapping_add(ONES);
    (word | is_control | is(b'"') | is(b'\\')) & HIGH
}

/// Escapes what must be, and controls that JSON would allow as well: logs are read on terminals.
#[cold]
fn escaped(out: &mut Vec<u8>, bytes: &[u8], bytes_max: usize) {
    let end = out.len() + bytes_max;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if out.len() >= end {
                return out.extend_from_slice(b"...");
            }
            match c {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                // All controls lie below U+0100, so none needs a surrogate pair.
                c if c.is_control() => drop(write!(out, "\\u{:04x}", u32::from(c))),
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            if out.len() >= end {
                return out.extend_from_slice(b"...");
            }
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_are_clean_if_each_of_them_is(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let is_clean_byte = |byte: &u8| matches!(byte, b' '..0x7f) && !matches!(byte, b'"' | b'\\');
            prop_assert_eq!(is_clean(&bytes), bytes.iter().all(is_clean_byte));
        }

        #[test]
        fn one_byte_among_clean_ones_decides(byte in any::<u8>(), at in 0_usize..30, len in 30_usize..50) {
            let mut bytes = vec![b'a'; len];
            bytes[at] = byte;
            let is_clean_byte = matches!(byte, b' '..0x7f) && !matches!(byte, b'"' | b'\\');
            prop_assert_eq!(is_clean(&bytes), is_clean_byte);
        }
    }
}
