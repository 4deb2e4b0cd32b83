//! One JSON object (RFC 8259) a line: always the same keys in the same order, `null` for what is not known. The keys of the
//! cache and of traces alone are left out where there are none.

use std::time::Duration;

use evenkeel_types::RequestIdText;

use super::line::Line;
use super::record::{
    CacheLog, Client, Ended, FIELD_BYTES_MAX, OWN_FIELD_BYTES_MAX, Record, TraceLog, Version,
};
use super::stamp::Stamp;

/// Room for one key of a way, with its quotes, and for the end of a text that is cut.
const WAY_KEY_BYTES_MAX: usize = 32;

/// Room for an address, a port, and the keys of both and of the listener.
const ORIGIN_BYTES_MAX: usize = 128;

/// The line of one request.
pub(super) fn write<'a>(line: Line<'a>, record: &Record<'_>, stamp: &mut Stamp) -> Line<'a> {
    let line = match record.origin {
        Some(origin) => time(line, record.unix_ns, stamp).put(&origin.0),
        None => begin(line, record.unix_ns, record.client, record.listener, stamp),
    };
    // What nearly all lines have is put there in one piece.
    let line = match (record.method, record.scheme) {
        ("GET", "http") => line.put(b",\"method\":\"GET\",\"scheme\":\"http\",\"host\":\""),
        ("GET", "https") => line.put(b",\"method\":\"GET\",\"scheme\":\"https\",\"host\":\""),
        (method, scheme) => {
            let line = string(line.put(b",\"method\":\""), method.as_bytes());
            line.put(b",\"scheme\":\"").put_quoted(scheme.as_bytes()).put(b",\"host\":\"")
        }
    };
    let line = string(line, record.host.as_bytes());
    let line = string(line.put(b",\"target\":\""), record.target);
    let line = match record.version {
        Version::Http11 => line.put(b",\"version\":\"HTTP/1.1\",\"status\":"),
        version => line.put(b",\"version\":\"").put_quoted(version.as_str().as_bytes()).put(b",\"status\":"),
    };
    let line = line.number(u64::from(record.status));
    let line = match record.way {
        Some(way) => line.put(&way.0),
        None => way(line, (record.route, record.pool, record.backend)),
    };
    let line = match (record.tries, record.connect) {
        (1, None) => {
            let line = line.put(b",\"tries\":1,\"duration_ms\":").milliseconds(record.total);
            line.put(b",\"connect_ms\":null,\"first_byte_ms\":")
        }
        (tries, connect) => {
            let line = line.put(b",\"tries\":").number(u64::from(tries));
            times(line, record.total, connect).put(b",\"first_byte_ms\":")
        }
    };
    let line = optional_milliseconds(line, record.first_byte);
    let line = match record.bytes_in {
        0 => line.put(b",\"bytes_in\":0,\"bytes_out\":"),
        bytes => line.put(b",\"bytes_in\":").number(bytes).put(b",\"bytes_out\":"),
    };
    let line = line.number(record.bytes_out);
    let line = line.put(b",\"request_id\":\"");
    let line = match record.request_id {
        RequestIdText::Own(digits) => line.put_quoted(*digits),
        RequestIdText::Given(text) => string(line, text.as_bytes()),
    };
    let line = optional(line, b",\"user_agent\":\"", record.user_agent);
    let line = match (record.referer, record.ended, record.reason) {
        (None, Ended::Complete, None) => {
            line.put(b",\"referer\":null,\"ended\":\"complete\",\"reason\":null")
        }
        (referer, ended, reason) => {
            let line = optional(line, b",\"referer\":\"", referer);
            let line = line.put(b",\"ended\":\"").put_quoted(ended.as_str().as_bytes());
            optional(line, b",\"reason\":\"", reason.map(str::as_bytes))
        }
    };
    let line = record.cache.into_iter().fold(line, cache);
    let line = record.trace.into_iter().fold(line, trace);
    own_fields(line, record.fields).put(b"}\n")
}

/// What each line begins with: when, who and where.
#[inline]
pub(super) fn begin<'a>(
    line: Line<'a>,
    unix_ns: u64,
    client: Client<'_>,
    listener: &str,
    stamp: &mut Stamp,
) -> Line<'a> {
    origin(time(line, unix_ns, stamp), client, listener)
}

/// When.
#[inline(always)]
fn time<'a>(line: Line<'a>, unix_ns: u64, stamp: &mut Stamp) -> Line<'a> {
    line.put(b"{\"time\":\"").put(&stamp.rfc3339(unix_ns))
}

/// Who and where, to be put into many lines.
pub(super) fn render_origin(client: Client<'_>, listener: &str) -> Box<[u8]> {
    rendered(listener.len() + ORIGIN_BYTES_MAX, |line| origin(line, client, listener))
}

/// Who and where.
#[inline]
fn origin<'a>(line: Line<'a>, client: Client<'_>, listener: &str) -> Line<'a> {
    let line = line.put(b"\",\"client\":\"");
    let line = match client {
        Client::Peer(text, port) => {
            line.put(text.as_bytes()).put(b"\",\"client_port\":").number(u64::from(port))
        }
        Client::Ip(ip, 0) => line.address(ip).put(b"\",\"client_port\":null"),
        Client::Ip(ip, port) => line.address(ip).put(b"\",\"client_port\":").number(u64::from(port)),
        Client::Unix => line.put(b"unix\",\"client_port\":null"),
    };
    line.put(b",\"listener\":\"").put_quoted(listener.as_bytes())
}

/// Route, pool and server.
type Way<'w> = (Option<&'w str>, Option<&'w str>, Option<&'w str>);

/// Where it went.
pub(super) fn way<'a>(line: Line<'a>, (route, pool, backend): Way<'_>) -> Line<'a> {
    let line = optional(line, b",\"route\":\"", route.map(str::as_bytes));
    let line = optional_token(line, b",\"pool\":\"", pool);
    optional(line, b",\"backend\":\"", backend.map(str::as_bytes))
}

/// The same, to be put into many lines.
pub(super) fn render_way(of: Way<'_>) -> Box<[u8]> {
    rendered(3 * (FIELD_BYTES_MAX + WAY_KEY_BYTES_MAX), |line| way(line, of))
}

/// What `write` writes, of which there are `bytes_max` at most.
fn rendered(bytes_max: usize, write: impl FnOnce(Line<'_>) -> Line<'_>) -> Box<[u8]> {
    let mut room = vec![0; bytes_max];
    let left = write(Line(&mut room)).left();
    room.truncate(room.len() - left);
    room.into()
}

/// How long it took, and how long to connect.
#[inline(always)]
pub(super) fn times(line: Line<'_>, total: Duration, connect: Option<Duration>) -> Line<'_> {
    let line = line.put(b",\"duration_ms\":").milliseconds(total);
    optional_milliseconds(line.put(b",\"connect_ms\":"), connect)
}

/// What the cache did. Requests that no cache was asked about have no such keys.
fn cache<'a>(line: Line<'a>, log: CacheLog<'_>) -> Line<'a> {
    let line = line.put(b",\"cache\":\"").put_quoted(log.result.as_str().as_bytes());
    match log.reason {
        Some(reason) => string(line.put(b",\"cache_reason\":\""), reason.as_bytes()),
        None => line,
    }
}

/// Where the request stands in its trace. Without `[tracing]` there are no such keys.
fn trace(line: Line<'_>, log: TraceLog) -> Line<'_> {
    let line = hex(line.put(b",\"trace_id\":\""), &log.trace_id);
    let line = hex(line.put(b"\",\"span_id\":\""), &log.span_id);
    line.put(if log.sampled { b"\",\"trace_sampled\":true" } else { b"\",\"trace_sampled\":false" })
}

/// The keys of the configuration's choice, which are clean already.
pub(super) fn own_fields<'a>(line: Line<'a>, fields: &[(&str, Option<&[u8]>)]) -> Line<'a> {
    fields.iter().fold(line, |line, (key, value)| {
        let line = line.put(b",\"").put_quoted(key.as_bytes());
        match value {
            Some(value) => bounded_string(line.put(b":\""), value, OWN_FIELD_BYTES_MAX),
            None => line.put(b":null"),
        }
    })
}

fn hex<'a>(line: Line<'a>, bytes: &[u8]) -> Line<'a> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .fold(line, |line, byte| line.put(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]))
}

/// Milliseconds, if they are known.
#[inline]
fn optional_milliseconds(line: Line<'_>, duration: Option<Duration>) -> Line<'_> {
    match duration {
        Some(duration) => line.milliseconds(duration),
        None => line.put(b"null"),
    }
}

/// A key and a string; `key` has the quote that the string begins with.
#[inline(always)]
pub(super) fn optional<'a>(line: Line<'a>, key: &[u8], bytes: Option<&[u8]>) -> Line<'a> {
    match bytes {
        Some(bytes) => string(line.put(key), bytes),
        None => line.put(&key[..key.len() - 1]).put(b"null"),
    }
}

/// The same of a token (RFC 9110, 5.6.2) of the configuration's: nothing in it needs an escape, and it is short.
#[inline(always)]
fn optional_token<'a>(line: Line<'a>, key: &[u8], token: Option<&str>) -> Line<'a> {
    match token {
        Some(token) => line.put(key).put_quoted(token.as_bytes()),
        None => line.put(&key[..key.len() - 1]).put(b"null"),
    }
}

/// The rest of a string behind its first quote, whatever the bytes are.
pub(super) fn string<'a>(line: Line<'a>, bytes: &[u8]) -> Line<'a> {
    bounded_string(line, bytes, FIELD_BYTES_MAX)
}

/// The same, cut at another length.
#[inline]
fn bounded_string<'a>(line: Line<'a>, bytes: &[u8], bytes_max: usize) -> Line<'a> {
    if bytes.len() <= bytes_max && is_clean(bytes) {
        line.put_quoted(bytes)
    } else {
        escaped(line, bytes, bytes_max).put(b"\"")
    }
}

/// Whether bytes can stand in a JSON string as they are: no control, quote or backslash, and ASCII only. Eight at a time.
fn is_clean(bytes: &[u8]) -> bool {
    let (words, _) = bytes.as_chunks::<8>();
    // The last eight once more, some of which have been looked at; bytes of a short string one by one.
    let Some(last) = bytes.last_chunk::<8>() else {
        return bytes.iter().fold(true, |clean, byte| clean & IS_CLEAN[usize::from(*byte)]);
    };
    let dirty = |word: &[u8; 8]| dirty(u64::from_ne_bytes(*word));
    words.iter().fold(dirty(last), |found, word| found | dirty(word)) == 0
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
fn escaped<'a>(mut line: Line<'a>, bytes: &[u8], bytes_max: usize) -> Line<'a> {
    let left_min = line.left().saturating_sub(bytes_max);
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if line.left() <= left_min {
                return line.put(b"...");
            }
            line = match c {
                '"' => line.put(b"\\\""),
                '\\' => line.put(b"\\\\"),
                '\n' => line.put(b"\\n"),
                '\r' => line.put(b"\\r"),
                '\t' => line.put(b"\\t"),
                // All controls lie below U+0100, so none needs a surrogate pair.
                c if c.is_control() => hex(line.put(b"\\u00"), &[u32::from(c) as u8]),
                c => line.put(c.encode_utf8(&mut [0; 4]).as_bytes()),
            };
        }
        if !chunk.invalid().is_empty() {
            if line.left() <= left_min {
                return line.put(b"...");
            }
            line = line.put(b"\\ufffd");
        }
    }
    line
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
