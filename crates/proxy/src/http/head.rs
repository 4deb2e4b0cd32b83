//! Reading heads: start line and fields (RFC 9112, sections 2 to 5), stricter than `httparse` alone.

use std::fmt;
use std::mem::MaybeUninit;

use evenkeel_config::Limits;

use super::field::{Field, Known, KnownSet, Span};
use super::quick;
use crate::http::version::Version;

/// What may stand in a head, from `[limits]`.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// Bytes of the whole head.
    pub bytes: usize,
    /// Number of fields.
    pub fields: usize,
    /// Bytes of the request target.
    pub uri: usize,
}

impl HeadLimits {
    /// Those of requests.
    pub fn of_requests(limits: &Limits) -> Self {
        Self { bytes: limits.request_head, fields: limits.headers, uri: limits.uri }
    }

    /// Those of responses, which have no target.
    pub fn of_responses(limits: &Limits) -> Self {
        Self { bytes: limits.response_head, fields: limits.response_headers, uri: 0 }
    }
}

/// A request's head, as positions in the bytes it was read from.
#[derive(Debug)]
pub struct RequestHead {
    /// Its length in bytes, with the empty line.
    pub len: usize,
    /// The method.
    pub method: Span,
    /// The request target as it came.
    pub target: Span,
    /// The version.
    pub version: Version,
    /// Which known fields it has.
    pub known: KnownSet,
}

/// A response's head, as positions in the bytes it was read from.
#[derive(Debug)]
pub struct ResponseHead {
    /// Its length in bytes, with the empty line.
    pub len: usize,
    /// The status, 100 to 999.
    pub status: u16,
    /// The reason phrase, which may be empty.
    pub reason: Span,
    /// The version.
    pub version: Version,
    /// Which known fields it has.
    pub known: KnownSet,
}

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadError {
    /// It breaks the grammar.
    Malformed(&'static str),
    /// More bytes or fields than allowed.
    TooLarge,
    /// The request target alone is longer than allowed.
    TargetTooLong,
    /// A version that is not HTTP/1.0 or 1.1.
    Version,
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => f.write_str(what),
            Self::TooLarge => f.write_str("head too large"),
            Self::TargetTooLong => f.write_str("request target too long"),
            Self::Version => f.write_str("HTTP version not supported"),
        }
    }
}

/// Most fields that the configuration can allow.
const FIELDS_MAX: usize = 1_000;
/// Enough for nearly all heads; keeps the stack frame of the usual case small.
const FIELDS_USUAL: usize = 100;

/// Reads a request head from the start of `bytes`; its fields go to `fields`. `None`: more bytes are needed.
///
/// # Errors
/// The head can never become acceptable, however it goes on.
pub fn parse_request(
    bytes: &[u8],
    limits: HeadLimits,
    fields: &mut Vec<Field>,
) -> Result<Option<RequestHead>, HeadError> {
    match quick::request(bytes, limits, fields) {
        Some(head) => Ok(Some(head)),
        None => full_request(bytes, limits, fields),
    }
}

/// The same for any head, by `httparse`.
#[cold]
pub(super) fn full_request(
    bytes: &[u8],
    limits: HeadLimits,
    fields: &mut Vec<Field>,
) -> Result<Option<RequestHead>, HeadError> {
    let mut slots = [const { MaybeUninit::uninit() }; FIELDS_USUAL];
    match request_into(bytes, limits, fields, &mut slots) {
        Err(HeadError::TooLarge) if limits.fields > FIELDS_USUAL => {
            let mut slots = [const { MaybeUninit::uninit() }; FIELDS_MAX];
            request_into(bytes, limits, fields, &mut slots)
        }
        result => result,
    }
}

fn request_into<'b>(
    bytes: &'b [u8],
    limits: HeadLimits,
    fields: &mut Vec<Field>,
    slots: &mut [MaybeUninit<httparse::Header<'b>>],
) -> Result<Option<RequestHead>, HeadError> {
    let mut request = httparse::Request::new(&mut []);
    let usable = slots.len().min(limits.fields);
    let parsed = httparse::ParserConfig::default().parse_request_with_uninit_headers(
        &mut request,
        bytes,
        &mut slots[..usable],
    );
    let len = match parsed {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return partial(bytes, limits, true).map(|()| None),
        // The parser stops at its first surprise; a target beyond the limit says more than what follows it.
        Err(error) => {
            let surprise = match error {
                httparse::Error::Version if !names_a_version(bytes) => {
                    HeadError::Malformed("invalid request line")
                }
                error => from_httparse(error),
            };
            return Err(partial(bytes, limits, true).err().unwrap_or(surprise));
        }
    };
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(HeadError::Malformed("incomplete request line"));
    };
    if target.len() > limits.uri {
        return Err(HeadError::TargetTooLong);
    }
    if len > limits.bytes {
        return Err(HeadError::TooLarge);
    }
    refuse_bare_newlines(&bytes[..len])?;
    let known = collect(bytes, request.headers, fields);
    Ok(Some(RequestHead {
        known,
        len,
        method: Span::of(bytes, method.as_bytes()),
        target: Span::of(bytes, target.as_bytes()),
        version: if version == 0 { Version::Http10 } else { Version::Http11 },
    }))
}

/// Reads a response head from the start of `bytes`; its fields go to `fields`. `None`: more bytes are needed.
///
/// # Errors
/// The head can never become acceptable, however it goes on.
pub fn parse_response(
    bytes: &[u8],
    limits: HeadLimits,
    fields: &mut Vec<Field>,
) -> Result<Option<ResponseHead>, HeadError> {
    match quick::response(bytes, limits, fields) {
        Some(head) => Ok(Some(head)),
        None => full_response(bytes, limits, fields),
    }
}

/// The same for any head, by `httparse`.
#[cold]
pub(super) fn full_response(
    bytes: &[u8],
    limits: HeadLimits,
    fields: &mut Vec<Field>,
) -> Result<Option<ResponseHead>, HeadError> {
    let mut slots = [const { MaybeUninit::uninit() }; FIELDS_USUAL];
    match response_into(bytes, limits, fields, &mut slots) {
        Err(HeadError::TooLarge) if limits.fields > FIELDS_USUAL => {
            let mut slots = [const { MaybeUninit::uninit() }; FIELDS_MAX];
            response_into(bytes, limits, fields, &mut slots)
        }
        result => result,
    }
}

fn response_into<'b>(
    bytes: &'b [u8],
    limits: HeadLimits,
    fields: &mut Vec<Field>,
    slots: &mut [MaybeUninit<httparse::Header<'b>>],
) -> Result<Option<ResponseHead>, HeadError> {
    let mut response = httparse::Response::new(&mut []);
    let usable = slots.len().min(limits.fields);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        bytes,
        &mut slots[..usable],
    );
    let len = match parsed.map_err(from_httparse)? {
        httparse::Status::Complete(len) => len,
        httparse::Status::Partial => return partial(bytes, limits, false).map(|()| None),
    };
    let (Some(status), Some(reason), Some(version)) = (response.code, response.reason, response.version)
    else {
        return Err(HeadError::Malformed("incomplete status line"));
    };
    if len > limits.bytes {
        return Err(HeadError::TooLarge);
    }
    if status < 100 {
        return Err(HeadError::Malformed("status below 100"));
    }
    refuse_bare_newlines(&bytes[..len])?;
    // The parser gives an empty reason, which lies outside of `bytes`, for one with bytes above ASCII.
    let reason = if reason.is_empty() { Span::default() } else { Span::of(bytes, reason.as_bytes()) };
    let known = collect(bytes, response.headers, fields);
    Ok(Some(ResponseHead {
        known,
        len,
        status,
        reason,
        version: if version == 0 { Version::Http10 } else { Version::Http11 },
    }))
}

/// Reads the trailer section of a chunked body: fields and the empty line, nothing else.
///
/// # Errors
/// It breaks the grammar, or has more fields than allowed.
pub fn parse_trailers(bytes: &[u8], limits: HeadLimits, fields: &mut Vec<Field>) -> Result<(), HeadError> {
    refuse_bare_newlines(bytes)?;
    let mut slots = [httparse::EMPTY_HEADER; FIELDS_USUAL];
    match trailers_into(bytes, limits, fields, &mut slots) {
        Err(HeadError::TooLarge) if limits.fields > FIELDS_USUAL => {
            let mut slots = [httparse::EMPTY_HEADER; FIELDS_MAX];
            trailers_into(bytes, limits, fields, &mut slots)
        }
        result => result,
    }
}

fn trailers_into<'b>(
    bytes: &'b [u8],
    limits: HeadLimits,
    fields: &mut Vec<Field>,
    slots: &mut [httparse::Header<'b>],
) -> Result<(), HeadError> {
    let usable = slots.len().min(limits.fields);
    match httparse::parse_headers(bytes, &mut slots[..usable]).map_err(from_httparse)? {
        httparse::Status::Complete((len, headers)) if len == bytes.len() => {
            collect(bytes, headers, fields);
            Ok(())
        }
        httparse::Status::Complete(_) => Err(HeadError::Malformed("bytes behind the trailers")),
        httparse::Status::Partial => Err(HeadError::Malformed("incomplete trailers")),
    }
}

fn collect(bytes: &[u8], headers: &[httparse::Header<'_>], fields: &mut Vec<Field>) -> KnownSet {
    let mut set = KnownSet::default();
    fields.clear();
    fields.extend(headers.iter().map(|h| {
        let known = Known::of(h.name.as_bytes());
        set.insert(known);
        Field {
            known,
            name: Span::of(bytes, h.name.as_bytes()),
            value: if h.value.is_empty() { Span::default() } else { Span::of(bytes, h.value) },
        }
    }));
    set
}

/// `httparse` takes a bare LF for a line's end, as RFC 9112 allows and as smugglers like it.
fn refuse_bare_newlines(head: &[u8]) -> Result<(), HeadError> {
    for at in memchr::memchr_iter(b'\n', head) {
        if at == 0 || head[at - 1] != b'\r' {
            return Err(HeadError::Malformed("line feed without carriage return"));
        }
    }
    Ok(())
}

/// Whether a head that is not complete yet may still become acceptable.
fn partial(bytes: &[u8], limits: HeadLimits, request: bool) -> Result<(), HeadError> {
    if request {
        let line = bytes.trim_ascii_start();
        if let Some(target) = line.splitn(3, |b| *b == b' ').nth(1)
            && target.len() > limits.uri
        {
            return Err(HeadError::TargetTooLong);
        }
    }
    if bytes.len() >= limits.bytes { Err(HeadError::TooLarge) } else { refuse_bare_newlines(bytes) }
}

/// Whether the request line has its three parts, of which the last is a version of HTTP, whichever.
fn names_a_version(bytes: &[u8]) -> bool {
    let line = bytes.trim_ascii_start().split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
    let version = line.splitn(3, |b| *b == b' ').nth(2);
    matches!(version, Some([b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9']))
}

fn from_httparse(error: httparse::Error) -> HeadError {
    match error {
        httparse::Error::HeaderName => HeadError::Malformed("invalid field name"),
        httparse::Error::HeaderValue => HeadError::Malformed("invalid field value"),
        httparse::Error::NewLine => HeadError::Malformed("invalid line end"),
        httparse::Error::Status => HeadError::Malformed("invalid status"),
        httparse::Error::Token => HeadError::Malformed("invalid request line"),
        httparse::Error::TooManyHeaders => HeadError::TooLarge,
        httparse::Error::Version => HeadError::Version,
    }
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
