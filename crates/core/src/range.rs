//! Byte ranges: what a `Range` asks of a body, and the heads of the parts of an answer (RFC 9110, 14). For the cache and for
//! files.

use std::fmt::Write;

/// Ranges of one request at most; a request with more gets the whole body, which costs less than so many parts.
pub const RANGES_MAX: usize = 32;

/// Bytes of a body, from the first to before the end: never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes {
    /// The first byte.
    pub start: u64,
    /// Behind the last byte.
    pub end: u64,
}

impl Bytes {
    /// How many there are, at least one.
    pub const fn length(self) -> u64 {
        self.end - self.start
    }

    /// The value of `Content-Range`.
    pub fn content_range(self, complete: u64) -> String {
        format!("bytes {}-{}/{complete}", self.start, self.end - 1)
    }
}

/// The value of `Content-Range` of a 416.
pub fn unsatisfied(complete: u64) -> String {
    format!("bytes */{complete}")
}

/// What a `Range` is to a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ranges {
    /// It is malformed or asks for too much: 200 with the whole body.
    Ignore,
    /// None of its ranges lies within the body: 416.
    Unsatisfiable,
    /// 206 with this part.
    One(Bytes),
    /// 206 with these parts, at least two that do not touch one another, in the order of the request.
    Many(Vec<Bytes>),
}

/// Reads the value of a `Range` beside a body of so many bytes.
pub fn ranges(value: &[u8], complete: u64) -> Ranges {
    let Some(specs) = value.get(..6).filter(|unit| unit.eq_ignore_ascii_case(b"bytes=")).map(|_| &value[6..])
    else {
        return Ranges::Ignore;
    };
    let mut parts: Vec<Bytes> = Vec::new();
    let mut count = 0;
    for spec in specs.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|spec| !spec.is_empty()) {
        count += 1;
        match resolve(spec, complete) {
            _ if count > RANGES_MAX => return Ranges::Ignore,
            Resolved::Malformed => return Ranges::Ignore,
            Resolved::Outside => {}
            Resolved::Within(part) => parts.push(part),
        }
    }
    if count == 0 {
        return Ranges::Ignore;
    }
    let parts = coalesce(parts);
    match parts[..] {
        [] => Ranges::Unsatisfiable,
        [one] => Ranges::One(one),
        _ => Ranges::Many(parts),
    }
}

enum Resolved {
    Malformed,
    Outside,
    Within(Bytes),
}

fn resolve(spec: &[u8], complete: u64) -> Resolved {
    let Some(dash) = spec.iter().position(|&byte| byte == b'-') else { return Resolved::Malformed };
    let (first, last) = (spec[..dash].trim_ascii_end(), spec[dash + 1..].trim_ascii_start());
    let (start, end) = match (position(first), position(last)) {
        // The last so many bytes.
        (None, Some(suffix)) if first.is_empty() => (complete.saturating_sub(suffix), complete),
        (Some(start), None) if last.is_empty() => (start, complete),
        (Some(start), Some(last)) if start <= last => (start, last.saturating_add(1).min(complete)),
        _ => return Resolved::Malformed,
    };
    if start < end { Resolved::Within(Bytes { start, end }) } else { Resolved::Outside }
}

/// A position; what is too large is the largest.
fn position(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        digits.iter().fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))),
    )
}

/// Parts that overlap or touch become one, at the place of the first of them.
fn coalesce(mut parts: Vec<Bytes>) -> Vec<Bytes> {
    let mut at = 0;
    while at < parts.len() {
        let one = parts[at];
        let other = (at + 1..parts.len()).find(|&other| {
            let other = parts[other];
            other.start <= one.end && one.start <= other.end
        });
        match other {
            Some(other) => {
                let other = parts.remove(other);
                parts[at] = Bytes { start: one.start.min(other.start), end: one.end.max(other.end) };
            }
            None => at += 1,
        }
    }
    parts
}

/// The frame around several parts of a body: `multipart/byteranges` (RFC 9110, 14.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multipart {
    /// What stands in front of each part, and its bytes.
    pub parts: Vec<(String, Bytes)>,
    /// What stands behind the last part.
    pub end: String,
    /// The value of `Content-Type`.
    pub content_type: String,
    /// The value of `Content-Length`.
    pub length: u64,
}

/// Frames parts of a body that has so many bytes. `boundary`: 1 to 70 characters that need no quotes, and that no body holds
/// by accident. `content_type`: that of the body, if it has one.
pub fn multipart(parts: &[Bytes], complete: u64, boundary: &str, content_type: Option<&str>) -> Multipart {
    let mut out = Multipart {
        parts: Vec::with_capacity(parts.len()),
        end: format!("\r\n--{boundary}--\r\n"),
        content_type: format!("multipart/byteranges; boundary={boundary}"),
        length: 0,
    };
    for (at, part) in parts.iter().enumerate() {
        let mut head = format!("{}--{boundary}\r\n", if at == 0 { "" } else { "\r\n" });
        // Writing to a String cannot fail.
        if let Some(content_type) = content_type {
            let _ = write!(head, "Content-Type: {content_type}\r\n");
        }
        let _ = write!(head, "Content-Range: {}\r\n\r\n", part.content_range(complete));
        out.length += head.len() as u64 + part.length();
        out.parts.push((head, *part));
    }
    out.length += out.end.len() as u64;
    out
}

#[cfg(test)]
#[path = "range_tests.rs"]
mod tests;
