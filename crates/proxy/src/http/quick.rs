//! Heads as nearly all of them are, read in one pass. What is in any way unusual is left to the full reader in `head.rs`,
//! which also says what is wrong with it.

use super::field::{Field, Known, KnownSet, ONES, Span, is_token};
use super::head::{HeadLimits, RequestHead, ResponseHead};
use super::version::Version;

/// The head of a request at the start of `bytes`, with its fields in `fields`; `None` if the full reader has to look.
pub fn request(bytes: &[u8], limits: HeadLimits, fields: &mut Vec<Field>) -> Option<RequestHead> {
    let method = visible_end(bytes, 0);
    if *bytes.get(method)? != b' ' {
        return None;
    }
    let target = method + 1;
    let end = visible_end(bytes, target);
    let is_method = matches!(&bytes[..method], b"GET") || is_token(&bytes[..method]);
    if !is_method || end == target || end - target > limits.uri {
        return None;
    }
    let (version, lines) = match bytes.get(end..)?.first_chunk::<11>()? {
        b" HTTP/1.1\r\n" => (Version::Http11, end + 11),
        b" HTTP/1.0\r\n" => (Version::Http10, end + 11),
        _ => return None,
    };
    let (known, len) = field_lines(bytes, lines, limits, fields)?;
    let (method, target) = (Span::between(0, method), Span::between(target, end));
    Some(RequestHead { len, method, target, version, known })
}

/// The same of a response.
pub fn response(bytes: &[u8], limits: HeadLimits, fields: &mut Vec<Field>) -> Option<ResponseHead> {
    let (version, rest) = match bytes.split_first_chunk::<9>()? {
        (b"HTTP/1.1 ", rest) => (Version::Http11, rest),
        (b"HTTP/1.0 ", rest) => (Version::Http10, rest),
        _ => return None,
    };
    let [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b' '] = *rest.first_chunk::<4>()? else {
        return None;
    };
    let status = [a, b, c].iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    let end = text_end(bytes, 13);
    // A reason outside ASCII is left out by the full reader.
    if !bytes[13..end].is_ascii() || bytes.get(end..end + 2)? != b"\r\n" {
        return None;
    }
    let reason = if end == 13 { Span::default() } else { Span::between(13, end) };
    let (known, len) = field_lines(bytes, end + 2, limits, fields)?;
    Some(ResponseHead { len, status, reason, version, known })
}

/// The fields from `at` on; which of the known ones there are, and where the head ends, with its empty line.
fn field_lines(
    bytes: &[u8],
    mut at: usize,
    limits: HeadLimits,
    fields: &mut Vec<Field>,
) -> Option<(KnownSet, usize)> {
    let mut set = KnownSet::default();
    fields.clear();
    loop {
        if let [b'\r', b'\n', ..] = bytes.get(at..)? {
            let len = at + 2;
            return (len <= limits.bytes).then_some((set, len));
        }
        let colon = name_end(bytes, at);
        let name = bytes.get(at..colon)?;
        let known = Known::of(name);
        // All known names are tokens.
        if known == Known::Other && !is_token(name) || fields.len() == limits.fields {
            return None;
        }
        let mut start = colon + 1;
        while matches!(bytes.get(start)?, b' ' | b'\t') {
            start += 1;
        }
        let line_end = text_end(bytes, start);
        if bytes.get(line_end..line_end + 2)? != b"\r\n" {
            return None;
        }
        let mut end = line_end;
        while end > start && bytes[end - 1] == b' ' {
            end -= 1;
        }
        set.insert(known);
        let value = if start == end { Span::default() } else { Span::between(start, end) };
        fields.push(Field { known, name: Span::between(at, colon), value });
        at = line_end + 2;
    }
}

/// Where a name that begins at `at` has its colon. What cannot be in a name may come before it.
#[inline(always)]
fn name_end(bytes: &[u8], at: usize) -> usize {
    first(bytes, at, b':', |word| equal(word, b':'))
}

/// Where visible ASCII that begins at `at` ends.
#[inline(always)]
fn visible_end(bytes: &[u8], at: usize) -> usize {
    first(bytes, at, 0, |word| word | below(word, b'!') | equal(word, 0x7f))
}

/// Where the text that begins at `at` ends, which may stand in a field's value; tabs are left to the full reader.
#[inline(always)]
fn text_end(bytes: &[u8], at: usize) -> usize {
    first(bytes, at, 0, |word| below(word, b' ') | equal(word, 0x7f))
}

/// The place of the first byte from `at` on whose high bit `found` sets in its word of eight; the end of `bytes` at the latest, behind
/// which bytes stand that it finds: `beyond`.
#[inline(always)]
fn first(bytes: &[u8], at: usize, beyond: u8, found: impl Fn(u64) -> u64) -> usize {
    const HIGH: u64 = ONES << 7;
    // Heads are limited to 1 MiB. In 32 bits, eight more are known to overflow nothing, which need not be looked at then.
    let mut at = at as u32;
    loop {
        match found(word(bytes, at, beyond)) & HIGH {
            0 => at += 8,
            found => return at as usize + (found.trailing_zeros() / 8) as usize,
        }
    }
}

/// The eight bytes from `at` on, which is no place behind the end; `beyond` stands for those that are not there.
#[inline(always)]
fn word(bytes: &[u8], at: u32, beyond: u8) -> u64 {
    let at = at as usize;
    match bytes.get(at..at + 8).and_then(|word| word.try_into().ok()) {
        Some(word) => u64::from_le_bytes(word),
        None => last_word(&bytes[at..], beyond),
    }
}

#[inline(never)]
fn last_word(bytes: &[u8], beyond: u8) -> u64 {
    bytes.iter().rev().fold(ONES * u64::from(beyond), |word, byte| word << 8 | u64::from(*byte))
}

/// The high bit of each byte below `limit`, up to the first of them, and of any behind it (the borrow of Mycroft's test;
/// Hacker's Delight, 6-1).
fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * u64::from(limit)) & !word
}

/// The same of each that is equal.
fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * u64::from(byte)), 1)
}

#[cfg(test)]
#[path = "quick_tests.rs"]
mod tests;
