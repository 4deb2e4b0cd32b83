//! The normal form of a path: what is matched is what is forwarded, and it is never decoded twice.

use std::borrow::Cow;
use std::fmt;

/// Why a path is refused, which is a 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathRefused {
    /// It neither begins with `/` nor is `*`.
    NotAbsolute,
    /// It holds a space, a control character, a byte above ASCII, `?` or `#`.
    Byte(u8),
    /// A `%` without two hexadecimal digits.
    Encoding,
    /// `%00`
    Nul,
    /// `\`, or `%5C` where the route merges slashes: some servers take it for `/`.
    Backslash,
    /// `.` or `..` that servers read differently: followed by parameters (`..;x`) or beside an encoded slash.
    DotSegment,
    /// More `..` than segments before them.
    AboveRoot,
    /// It matches a route that keeps `//` only when they are merged.
    Slashes,
}

impl fmt::Display for PathRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAbsolute => f.write_str("the path does not begin with `/`"),
            Self::Byte(byte) => write!(f, "the path holds the byte 0x{byte:02x}"),
            Self::Encoding => f.write_str("the path holds a `%` without two hexadecimal digits"),
            Self::Nul => f.write_str("the path holds `%00`"),
            Self::Backslash => f.write_str("the path holds a backslash"),
            Self::DotSegment => f.write_str("the path holds an ambiguous `.` or `..`"),
            Self::AboveRoot => f.write_str("the path climbs above the root"),
            Self::Slashes => f.write_str("the path begins with a `//` that the route does not merge"),
        }
    }
}

impl std::error::Error for PathRefused {}

/// A backslash as it stands in a normal form.
pub(super) const BACKSLASH: &str = "%5C";

/// A request's path, without its query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestPath<'a> {
    /// The normal form (RFC 3986, 6.2.2), in which routes are matched: encoded unreserved characters are decoded, once;
    /// other encodings are upper-cased; then `//` is merged and dot segments are removed. An encoded slash or backslash
    /// stays encoded. `*` stays as it is.
    pub normal: Cow<'a, str>,
    /// The path as it came, if it holds `//` or `%5C`: what becomes of those is up to the route.
    pub unmerged: Option<&'a str>,
}

impl<'a> RequestPath<'a> {
    /// Reads a path as it came. Normal forms come out unchanged, most of them without a copy.
    ///
    /// # Errors
    /// No route takes the path.
    pub fn of(raw: &'a str) -> Result<Self, PathRefused> {
        let as_it_is = Self { normal: Cow::Borrowed(raw), unmerged: None };
        if raw == "*" {
            return Ok(as_it_is);
        }
        if !raw.starts_with('/') {
            return Err(PathRefused::NotAbsolute);
        }
        if is_visible(raw.as_bytes()) && !may_have_dot_segments(raw.as_bytes()) {
            return Ok(as_it_is);
        }
        let mut normal = decode_unreserved(raw)?;
        let has_backslash = normal.contains(BACKSLASH);
        if has_backslash || may_have_dot_segments(normal.as_bytes()) {
            normal = remove_dot_segments(&normal)?;
        }
        let unmerged = (has_backslash || raw.contains("//")).then_some(raw);
        Ok(Self { normal: if normal == raw { Cow::Borrowed(raw) } else { Cow::Owned(normal) }, unmerged })
    }

    /// Whether there is a `%5C` in it, which most routes refuse.
    pub fn has_backslash(&self) -> bool {
        self.unmerged.is_some() && self.normal.contains(BACKSLASH)
    }
}

/// The normal form of a path for a route that merges slashes: what is matched is what is forwarded.
///
/// # Errors
/// Such a route refuses the path.
pub fn normalise(raw: &str) -> Result<Cow<'_, str>, PathRefused> {
    let path = RequestPath::of(raw)?;
    if path.has_backslash() { Err(PathRefused::Backslash) } else { Ok(path.normal) }
}

/// The normal form but for its `//`, which stay. Beside a dot segment they are refused, because servers disagree on
/// whether `..` takes back an empty segment.
pub(crate) fn with_slashes(raw: &str) -> Result<String, PathRefused> {
    let decoded = decode_unreserved(raw)?;
    if decoded.split('/').any(|segment| matches!(segment, "." | "..") || is_ambiguous(segment)) {
        return Err(PathRefused::DotSegment);
    }
    Ok(decoded)
}

/// The normal form of a path written in the configuration, where what a URL must encode may stand as it is. Without
/// a normal form it stays as written and matches nothing.
pub(super) fn of_pattern(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    super::rewrite::push_visible(&mut encoded, path);
    RequestPath::of(&encoded).map_or_else(|_| path.to_owned(), |path| path.normal.into_owned())
}

/// Whether there is nothing to decode and nothing to refuse. Looks at every byte, for which the compiler then uses
/// vector instructions; stopping early would be slower.
fn is_visible(path: &[u8]) -> bool {
    path.iter().fold(true, |all, &byte| all & is_plain(byte))
}

/// Visible ASCII without `%` and what is refused.
const fn is_plain(byte: u8) -> bool {
    (byte > 0x20) & (byte < 0x7f) & (byte != b'%') & (byte != b'\\') & (byte != b'?') & (byte != b'#')
}

/// False only when there is no `//`, and no dot after a slash, encoded or not.
fn may_have_dot_segments(path: &[u8]) -> bool {
    let pairs = path.iter().zip(path.get(1..).unwrap_or_default());
    pairs.fold(false, |any, (&a, &b)| {
        any | ((a == b'/') & ((b == b'/') | (b == b'.'))) | ((a == b'F') & (b == b'.'))
    })
}

/// Decodes `%41` to `A`, turns `%2f` into `%2F`, and refuses what no server should see.
fn decode_unreserved(raw: &str) -> Result<String, PathRefused> {
    if let Some(byte) = raw.bytes().find(|&byte| !is_plain(byte) && byte != b'%') {
        return Err(if byte == b'\\' { PathRefused::Backslash } else { PathRefused::Byte(byte) });
    }
    let mut pieces = raw.split('%');
    let mut out = String::with_capacity(raw.len());
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2).ok_or(PathRefused::Encoding)?;
        match hex(digits).ok_or(PathRefused::Encoding)? {
            0 => return Err(PathRefused::Nul),
            plain if is_unreserved(plain) => out.push(char::from(plain)),
            _ => {
                out.push('%');
                out.extend(digits.chars().map(|digit| digit.to_ascii_uppercase()));
            }
        }
        out.push_str(rest);
    }
    Ok(out)
}

/// Merges slashes and removes dot segments (RFC 3986, 5.2.4), but climbs no higher than the root.
fn remove_dot_segments(path: &str) -> Result<String, PathRefused> {
    let mut out = String::with_capacity(path.len());
    let mut ends_in_slash = false;
    for segment in path.split('/').skip(1) {
        ends_in_slash = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => {
                let parent = out.rfind('/').ok_or(PathRefused::AboveRoot)?;
                out.truncate(parent);
            }
            _ if is_ambiguous(segment) => return Err(PathRefused::DotSegment),
            _ => {
                out.push('/');
                out.push_str(segment);
            }
        }
    }
    if ends_in_slash || out.is_empty() {
        out.push('/');
    }
    Ok(out)
}

/// Whether a server that decodes `%2F` or `%5C`, or drops path parameters, would find a dot segment in this one.
fn is_ambiguous(segment: &str) -> bool {
    segment.contains('.')
        && segment.split("%2F").flat_map(|part| part.split(BACKSLASH)).any(|part| {
            let name = part.split(';').next().unwrap_or_default();
            let name = name.split("%3B").next().unwrap_or_default();
            name == "." || name == ".."
        })
}

/// RFC 3986, 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn hex(digits: &str) -> Option<u8> {
    // The radix parser alone would take a sign.
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests;
