//! From HTTP/2 fields to lines and back, and what is refused on the way (RFC 9113, 8.2 and 8.3).

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, request, response};

use crate::http::field::{Field, Known, KnownSet, Span};
use crate::http::head::{HeadError, HeadLimits, RequestHead, ResponseHead};
use crate::http::version::Version;

/// Most heads have no more fields. Counting them costs more than the memory of those that a head does not have.
const FIELDS: usize = 12;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Writes a request's head to `out` as lines, and lists its fields: first `host`, made of `:authority`.
///
/// # Errors
/// The head breaks the rules, or its limits.
pub fn of_request(
    parts: &request::Parts,
    limits: HeadLimits,
    out: &mut Vec<u8>,
    fields: &mut Vec<Field>,
) -> Result<RequestHead, HeadError> {
    let mut lines = Lines::begin(out, fields, limits);
    let method = lines.part(parts.method.as_str().as_bytes());
    lines.out.push(b' ');
    let target = parts.uri.path_and_query().map_or("*", |target| target.as_str());
    if target.len() > limits.uri {
        return Err(HeadError::TargetTooLong);
    }
    let target = lines.part(target.as_bytes());
    lines.out.extend_from_slice(b" HTTP/2.0\r\n");
    if let Some(authority) = authority(parts)? {
        lines.field("host", authority)?;
    }
    lines.fields(&parts.headers, |name| name == header::HOST)?;
    let (len, known) = lines.end()?;
    Ok(RequestHead { len, method, target, version: Version::Http2, known })
}

/// Writes what a head that is refused says of itself, for the log and for how its client wants to be told.
pub fn of_refused(
    parts: &request::Parts,
    limits: HeadLimits,
    out: &mut Vec<u8>,
    fields: &mut Vec<Field>,
) -> RequestHead {
    let mut lines = Lines::begin(out, fields, limits);
    let method = lines.part(parts.method.as_str().as_bytes());
    lines.out.push(b' ');
    let target = parts.uri.path_and_query().map_or("*", |target| target.as_str());
    let target = lines.part(if target.len() > limits.uri { b"" } else { target.as_bytes() });
    lines.out.extend_from_slice(b" HTTP/2.0\r\n");
    let content_type = parts.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let host = authority(parts).ok().flatten();
    for (name, value) in [("host", host), ("content-type", content_type)] {
        // One that is at fault itself is left out.
        let _ = value.map(|value| lines.field(name, value));
    }
    RequestHead { len: lines.out.len(), method, target, version: Version::Http2, known: lines.known }
}

/// Whom a request is for. `Host` may say it too, but nothing else (RFC 9113, 8.3.1); not for CONNECT (8.5).
fn authority(parts: &request::Parts) -> Result<Option<&[u8]>, HeadError> {
    if parts.method == Method::CONNECT && parts.uri.authority().is_none() {
        return Err(HeadError::Malformed("CONNECT without :authority"));
    }
    let mut hosts = parts.headers.get_all(header::HOST).iter().map(HeaderValue::as_bytes);
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(HeadError::Malformed("more than one host"));
    }
    match (parts.uri.authority().map(|authority| authority.as_str().as_bytes()), host) {
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
            Err(HeadError::Malformed(":authority and host differ"))
        }
        (authority, host) => Ok(authority.or(host)),
    }
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
    lines.fields(&parts.headers, |_| false)?;
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

    fn fields(
        &mut self,
        fields: &HeaderMap,
        is_left_out: impl Fn(&HeaderName) -> bool,
    ) -> Result<(), HeadError> {
        let mut has_cookie = false;
        // The values of one name follow each other.
        for (name, value) in fields.iter().filter(|(name, _)| !is_left_out(name)) {
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
