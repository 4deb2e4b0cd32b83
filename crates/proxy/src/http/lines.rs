//! From HTTP/2 fields to lines and back, and what is refused on the way (RFC 9113, 8.2 and 8.3).

use evenkeel_http2::Head;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::response;

use crate::http::field::{Field, Known, KnownSet, Span, is_token};
use crate::http::head::{HeadError, HeadLimits, RequestHead, ResponseHead};
use crate::http::version::Version;

/// Most heads have no more fields. Counting them costs more than the memory of those that a head does not have.
const FIELDS: usize = 12;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

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
        lines.raw_field(b"host", authority)?;
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

/// Where HPACK's static table has these names.
const COOKIE: u8 = 32;
const HOST: u8 = 38;

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
    all_fields(section).filter(|(name, _)| !is_of_the_connection(Known::of(name)))
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

/// Writes a response's head to `out` as lines, and lists its fields.
///
/// # Errors
/// The head breaks the rules, or its limits.
pub fn of_response(
    parts: &response::Parts,
    limits: HeadLimits,
    out: &mut Vec<u8>,
    fields: &mut Vec<Field>,
) -> Result<ResponseHead, HeadError> {
    let mut lines = Lines::begin(out, fields, limits);
    lines.out.extend_from_slice(b"HTTP/2.0 ");
    lines.part(parts.status.as_str().as_bytes());
    lines.out.push(b' ');
    let reason = lines.part(parts.status.canonical_reason().unwrap_or_default().as_bytes());
    lines.out.extend_from_slice(b"\r\n");
    lines.fields(&parts.headers)?;
    let (len, _) = lines.end()?;
    Ok(ResponseHead { len, status: parts.status.as_u16(), reason, version: Version::Http2 })
}

/// Trailers as a section of lines with its empty line.
pub fn of_trailers(trailers: &HeaderMap) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in trailers {
        crate::http::write::field(&mut out, name.as_str(), value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// The fields of a section of lines, up to its empty line or its end. What belongs to a connection of HTTP/1.1 has no
/// place in HTTP/2 (RFC 9113, 8.2.2), and `host` has one of its own.
///
/// # Errors
/// A line is none that HTTP could have.
pub fn to_fields(section: &[u8]) -> Result<HeaderMap, HeadError> {
    const MALFORMED: HeadError = HeadError::Malformed("invalid field");
    let mut fields = HeaderMap::with_capacity(FIELDS);
    let mut rest = section;
    while let Some(end) = memchr::memchr(b'\r', rest) {
        let (line, after) = rest.split_at(end);
        if line.is_empty() {
            break;
        }
        rest = after.strip_prefix(b"\r\n").ok_or(MALFORMED)?;
        let colon = memchr::memchr(b':', line).ok_or(MALFORMED)?;
        let known = Known::of(&line[..colon]);
        if is_of_the_connection(known) {
            continue;
        }
        let name = match (known, &line[..colon]) {
            // These are in nearly every response, and costly to look up.
            (Known::ContentLength, _) => header::CONTENT_LENGTH,
            (Known::Date, _) => header::DATE,
            (Known::XRequestId, b"x-request-id") => X_REQUEST_ID,
            (_, b"content-type" | b"Content-Type") => header::CONTENT_TYPE,
            (_, name) => HeaderName::from_bytes(name).map_err(|_| MALFORMED)?,
        };
        let mut value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).map_err(|_| MALFORMED)?;
        // Each is another one: it would only drive what is of use from the table of the compression.
        value.set_sensitive(known == Known::XRequestId);
        fields.append(name, value);
    }
    Ok(fields)
}

fn is_of_the_connection(known: Known) -> bool {
    known == Known::Host || known.is_hop_by_hop() && !matches!(known, Known::ContentLength | Known::Te)
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
            let known = Known::of(field.name);
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
        if self.fields.len() >= self.limits.fields || self.out.len() >= self.limits.bytes {
            return Err(HeadError::TooLarge);
        }
        let known = Known::of(name);
        self.known.insert(known);
        let name = self.part(name);
        self.out.extend_from_slice(b": ");
        let value = self.part(value);
        self.out.extend_from_slice(b"\r\n");
        self.fields.push(Field { known, name, value });
        Ok(())
    }

    fn field(&mut self, name: &str, value: &[u8]) -> Result<(), HeadError> {
        if self.fields.len() >= self.limits.fields || self.out.len() >= self.limits.bytes {
            return Err(HeadError::TooLarge);
        }
        if value.first().is_some_and(u8::is_ascii_whitespace)
            || value.last().is_some_and(u8::is_ascii_whitespace)
        {
            return Err(HeadError::Malformed("white space around a field value"));
        }
        let known = Known::of(name.as_bytes());
        // `http` takes a quotation mark for a character of names, which is none of a token's (RFC 9110, 5.6.2).
        if known == Known::Other && name.contains('"') {
            return Err(HeadError::Malformed("invalid field name"));
        }
        self.known.insert(known);
        let name = self.part(name.as_bytes());
        self.out.extend_from_slice(b": ");
        let value = self.part(value);
        self.out.extend_from_slice(b"\r\n");
        self.fields.push(Field { known, name, value });
        Ok(())
    }

    fn fields(&mut self, fields: &HeaderMap) -> Result<(), HeadError> {
        let mut has_cookie = false;
        // The values of one name follow each other.
        for (name, value) in fields {
            if name != header::COOKIE {
                self.field(name.as_str(), value.as_bytes())?;
            } else if !std::mem::replace(&mut has_cookie, true) {
                // One line again, as those who read cookies expect it (RFC 9113, 8.2.3), which counts once and by its
                // bytes. That the sender refers to one crumb many times is bounded by SETTINGS_MAX_HEADER_LIST_SIZE.
                let crumbs = fields.get_all(name).iter().map(HeaderValue::as_bytes);
                self.field(name.as_str(), &crumbs.collect::<Vec<_>>().join(&b"; "[..]))?;
            }
        }
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
