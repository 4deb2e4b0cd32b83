//! From heads of HTTP/2 to lines and back, and what is refused on the way (RFC 9113, 8.2 and 8.3).

use crate::http::field::{Field, Known, KnownSet, Span, is_token};
use crate::http::head::{HeadError, HeadLimits, RequestHead, ResponseHead};
use crate::http::version::Version;
use evenkeel_http2::Head;
use http::StatusCode;

/// Writes the head of a request that has come over HTTP/2 to `out` as lines, and lists its fields: first `host`, made of
/// `:authority`. A tunnel that it asks for (RFC 8441) is asked for as HTTP/1.1 does: `upgrade` is the lines of that.
///
/// # Errors
/// It exceeds the limits.
pub fn of_head(
    head: &Head,
    limits: HeadLimits,
    upgrade: &[u8],
    out: &mut Vec<u8>,
    fields: &mut Vec<Field>,
) -> Result<RequestHead, HeadError> {
    let mut lines = Lines::begin(out, fields, limits);
    let (method, target) = lines.request_line(head, !upgrade.is_empty())?;
    if head.is_oversized() {
        return Err(HeadError::TooLarge);
    }
    let authority = head.authority();
    if let Some(authority) = authority {
        lines.known_field(Known::Host, b"host", authority)?;
    }
    let repeats_host = authority.is_some() && head.fields().any(|field| field.name_index == HOST);
    if repeats_host || head.cookies() > 1 {
        lines.one_by_one(head, authority.is_some())?;
    } else {
        lines.section(head)?;
    }
    for (name, value) in all_fields(upgrade) {
        lines.raw_field(name, value)?;
    }
    let (len, known) = lines.end()?;
    Ok(RequestHead { len, method, target, version: Version::Http2, known })
}

/// How many bytes the lines of a head take, about; those of an upgrade are not counted.
pub fn size_of(head: &Head) -> usize {
    const REST: usize = " HTTP/1.1\r\nhost: \r\n\r\n".len() + 2;
    let parts = [head.path().unwrap_or_default(), head.authority().unwrap_or_default(), head.section()];
    head.method().len() + REST + parts.iter().map(|part| part.len()).sum::<usize>()
}

/// Where HPACK's static table has these names (RFC 7541, appendix A).
const ACCEPT_CHARSET: u8 = 15;
const ACCEPT_ENCODING: u8 = 16;
const ACCEPT_LANGUAGE: u8 = 17;
const ACCEPT: u8 = 19;
const CONTENT_TYPE: u8 = 31;
const COOKIE: u8 = 32;
const HOST: u8 = 38;
const USER_AGENT: u8 = 58;

/// Writes what a head of HTTP/2 that is refused says of itself, for the log and for the form of the error that its client gets.
pub fn of_refused_head(
    head: &Head,
    limits: HeadLimits,
    out: &mut Vec<u8>,
    fields: &mut Vec<Field>,
) -> RequestHead {
    let mut lines = Lines::begin(out, fields, limits);
    let method = lines.part(if is_token(head.method()) { head.method() } else { b"" });
    lines.out.push(b' ');
    let is_clean = |path: &&[u8]| path.len() <= limits.uri && !path.iter().any(u8::is_ascii_control);
    let target = lines.part(head.path().filter(is_clean).unwrap_or_default());
    lines.out.extend_from_slice(b" HTTP/2.0\r\n");
    let is_value = |value: &&[u8]| !value.iter().any(u8::is_ascii_control);
    let of_section = |name: &[u8]| head.field(name).filter(is_value);
    let host = head.authority().filter(is_value).or_else(|| of_section(b"host"));
    for (name, value) in [(b"host".as_slice(), host), (b"content-type", of_section(b"content-type"))] {
        // One that is at fault itself is left out.
        let _ = value.map(|value| lines.raw_field(name, value));
    }
    RequestHead { len: lines.out.len(), method, target, version: Version::Http2, known: lines.known }
}

/// The fields of a section of lines that HTTP/2 may have, up to its empty line or its end.
pub fn section_fields(section: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    all_fields(section).filter(|(name, _)| !has_no_place(name))
}

/// True of a field that belongs to a connection of HTTP/1.1: HTTP/2 says it otherwise, or not at all.
pub fn has_no_place(name: &[u8]) -> bool {
    let known = Known::of(name);
    known == Known::Host || known.is_hop_by_hop() && !matches!(known, Known::ContentLength | Known::Te)
}

fn all_fields(section: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = section;
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\r', rest).filter(|end| *end > 0)?;
        let (line, after) = rest.split_at(end);
        rest = after.strip_prefix(b"\r\n")?;
        let colon = memchr::memchr(b':', line)?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    })
}

/// Writes the head of a response that has come over HTTP/2 to `out` as lines, and lists its fields.
///
/// # Errors
/// It exceeds the limits.
pub fn of_response(
    head: &Head,
    limits: HeadLimits,
    out: &mut Vec<u8>,
    fields: &mut Vec<Field>,
) -> Result<ResponseHead, HeadError> {
    let mut lines = Lines::begin(out, fields, limits);
    if head.is_oversized() {
        return Err(HeadError::TooLarge);
    }
    let status = head.status();
    lines.out.extend_from_slice(b"HTTP/2.0 ");
    lines.part(itoa::Buffer::new().format(status).as_bytes());
    lines.out.push(b' ');
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let reason = lines.part(reason.unwrap_or_default().as_bytes());
    lines.out.extend_from_slice(b"\r\n");
    lines.section(head)?;
    let (len, known) = lines.end()?;
    Ok(ResponseHead { len, status, reason, version: Version::Http2, known })
}

/// What a field is: a name of HPACK's static table need not be read for that.
#[inline]
fn known(field: &evenkeel_http2::Field<'_>) -> Known {
    match field.name_index {
        USER_AGENT => Known::UserAgent,
        ACCEPT_CHARSET | ACCEPT_ENCODING | ACCEPT_LANGUAGE | ACCEPT | CONTENT_TYPE => Known::Other,
        COOKIE => Known::Cookie,
        _ => Known::of(field.name),
    }
}

/// A head in the making.
struct Lines<'o> {
    out: &'o mut Vec<u8>,
    fields: &'o mut Vec<Field>,
    known: KnownSet,
    limits: HeadLimits,
}

impl<'o> Lines<'o> {
    fn begin(out: &'o mut Vec<u8>, fields: &'o mut Vec<Field>, limits: HeadLimits) -> Self {
        out.clear();
        fields.clear();
        Self { out, fields, known: KnownSet::default(), limits }
    }

    fn part(&mut self, bytes: &[u8]) -> Span {
        let start = self.out.len();
        self.out.extend_from_slice(bytes);
        Span::between(start, self.out.len())
    }

    /// The line that HTTP/1.1 would begin with; yields where method and target are.
    fn request_line(&mut self, head: &Head, is_upgrade: bool) -> Result<(Span, Span), HeadError> {
        let method = self.part(if is_upgrade { b"GET" } else { head.method() });
        self.out.push(b' ');
        let target = head.path().unwrap_or(b"*");
        if target.len() > self.limits.uri {
            return Err(HeadError::TargetTooLong);
        }
        let target = self.part(target);
        self.out.extend_from_slice(b" HTTP/2.0\r\n");
        Ok((method, target))
    }

    /// The fields of a head that are lines already.
    fn section(&mut self, head: &Head) -> Result<(), HeadError> {
        let fields = head.fields();
        if self.fields.len() + fields.len() > self.limits.fields {
            return Err(HeadError::TooLarge);
        }
        let before = self.out.len();
        self.out.extend_from_slice(head.section());
        self.fields.extend(fields.map(|field| {
            let known = known(&field);
            self.known.insert(known);
            let name = before + field.start;
            let value = name + field.name.len() + 2;
            let (name, value) =
                (Span::between(name, value - 2), Span::between(value, value + field.value.len()));
            Field { known, name, value }
        }));
        Ok(())
    }

    /// The same, where some are left out or put together.
    fn one_by_one(&mut self, head: &Head, without_host: bool) -> Result<(), HeadError> {
        let mut has_cookie = false;
        for field in head.fields() {
            match field.name_index {
                COOKIE if head.cookies() > 1 => {
                    if !std::mem::replace(&mut has_cookie, true) {
                        // One line again, as those who read cookies expect it (RFC 9113, 8.2.3).
                        let crumbs = head.fields().filter(|field| field.name_index == COOKIE);
                        let crumbs: Vec<&[u8]> = crumbs.map(|crumb| crumb.value).collect();
                        let cookie = crumbs.join(&b"; "[..]);
                        if cookie.trim_ascii().len() < cookie.len() {
                            return Err(HeadError::Malformed("an empty crumb of a cookie"));
                        }
                        self.raw_field(b"cookie", &cookie)?;
                    }
                }
                HOST if without_host => {}
                _ => self.raw_field(field.name, field.value)?,
            }
        }
        Ok(())
    }

    /// A field that is known to be valid.
    fn raw_field(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeadError> {
        self.known_field(Known::of(name), name, value)
    }

    #[inline]
    fn known_field(&mut self, known: Known, name: &[u8], value: &[u8]) -> Result<(), HeadError> {
        if self.fields.len() >= self.limits.fields || self.out.len() >= self.limits.bytes {
            return Err(HeadError::TooLarge);
        }
        self.known.insert(known);
        let name = self.part(name);
        self.out.extend_from_slice(b": ");
        let value = self.part(value);
        self.out.extend_from_slice(b"\r\n");
        self.fields.push(Field { known, name, value });
        Ok(())
    }

    fn end(self) -> Result<(usize, KnownSet), HeadError> {
        self.out.extend_from_slice(b"\r\n");
        if self.out.len() > self.limits.bytes {
            return Err(HeadError::TooLarge);
        }
        Ok((self.out.len(), self.known))
    }
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
