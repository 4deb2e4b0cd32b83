//! What makes a request, a response or trailers malformed (RFC 9113, 8.1 to 8.5; RFC 8441, 4).

use crate::head::Head;
use crate::hpack::{Class, is_token};

/// A pseudo-header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Method,
    Scheme,
    Authority,
    Path,
    Protocol,
    Status,
}

impl Part {
    pub(crate) const COUNT: usize = 6;

    pub(crate) fn of(class: Class) -> Option<Self> {
        Some(match class {
            Class::Method | Class::InvalidMethod => Self::Method,
            Class::Scheme | Class::InvalidScheme => Self::Scheme,
            Class::Authority | Class::InvalidAuthority => Self::Authority,
            Class::Path | Class::InvalidPath => Self::Path,
            Class::Protocol => Self::Protocol,
            Class::Status => Self::Status,
            _ => return None,
        })
    }
}

/// The pseudo-header fields of a request (RFC 9113, 8.3.1). They must be valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'r> {
    /// `:method`.
    pub method: &'r [u8],
    /// `:scheme`; empty for a plain CONNECT, which has none.
    pub scheme: &'r [u8],
    /// `:authority`; empty if the request has none.
    pub authority: &'r [u8],
    /// `:path`; empty for a plain CONNECT, which has none.
    pub path: &'r [u8],
    /// `:protocol` of an extended CONNECT (RFC 8441); empty in all else.
    pub protocol: &'r [u8],
}

/// Why `head` is no request that may be acted on; `extended` if tunnels by RFC 8441 may be asked for. That each of its
/// pseudo-header fields is valid by itself has been found when it was decoded.
pub(crate) fn fault_of_request(head: &Head, extended: bool) -> Option<&'static str> {
    if head.fault.is_some() {
        return head.fault;
    }
    if head.part(Part::Status).is_some() {
        return Some(":status in a request");
    }
    match head.method() {
        b"" => Some("no :method"),
        b"CONNECT" => fault_of_connect(head, extended),
        _ if head.protocol().is_some() => Some(":protocol without CONNECT"),
        _ => fault_of_target(head),
    }
    .or_else(|| fault_of_host(head))
}

/// A plain CONNECT has an authority alone (RFC 9113, 8.5), an extended one all of a target (RFC 8441, 4).
fn fault_of_connect(head: &Head, extended: bool) -> Option<&'static str> {
    match (head.protocol(), head.authority()) {
        (_, None) => Some("CONNECT without :authority"),
        (Some(_), _) if !extended => Some(":protocol without SETTINGS_ENABLE_CONNECT_PROTOCOL"),
        (Some(protocol), _) if !is_token(protocol) => Some("an invalid :protocol"),
        (Some(_), _) => fault_of_target(head),
        (None, _) if head.scheme().is_some() || head.path().is_some() => {
            Some("CONNECT with :scheme or :path")
        }
        (None, _) => None,
    }
}

fn fault_of_target(head: &Head) -> Option<&'static str> {
    if head.scheme().is_none() {
        return Some("no :scheme");
    }
    match head.path() {
        None => Some("no :path"),
        Some([b'/', ..]) => None,
        Some(b"") => Some("an empty :path"),
        Some(b"*") if head.method() == b"OPTIONS" => None,
        Some(_) => Some("a :path without a slash at its start"),
    }
}

/// `host` may say once more what `:authority` says, and nothing else (RFC 9113, 8.3.1).
fn fault_of_host(head: &Head) -> Option<&'static str> {
    const HOST: u8 = 38;
    let mut hosts = head.fields().filter(|field| field.name_index == HOST);
    let host = hosts.next()?;
    if hosts.next().is_some() {
        return Some("more than one host");
    }
    let differs = |authority: &[u8]| !authority.eq_ignore_ascii_case(host.value);
    head.authority().is_some_and(differs).then_some(":authority and host differ")
}

/// Why `head` is no response.
pub(crate) fn fault_of_response(head: &Head, ends: bool) -> Option<&'static str> {
    let is_part_of_request = |part: &Part| !matches!(part, Part::Status) && head.part(*part).is_some();
    let parts = [Part::Method, Part::Scheme, Part::Authority, Part::Path, Part::Protocol];
    match (head.fault, head.part(Part::Status)) {
        (Some(fault), _) => Some(fault),
        (_, None) => Some("no :status"),
        _ if parts.iter().any(is_part_of_request) => Some("a pseudo-header field of requests in a response"),
        (_, Some([b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'])) => match head.status() {
            101 => Some("status 101, which HTTP/2 does not have"),
            100..=199 if ends => Some("an interim response that ends its stream"),
            _ => None,
        },
        _ => Some("an invalid :status"),
    }
}

/// Why `head` is no trailer section.
pub(crate) fn fault_of_trailers(head: &Head, ends: bool) -> Option<&'static str> {
    const PARTS: [Part; Part::COUNT] =
        [Part::Method, Part::Scheme, Part::Authority, Part::Path, Part::Protocol, Part::Status];
    if !ends {
        return Some("trailers that do not end their stream");
    }
    let has_part = PARTS.iter().any(|part| head.part(*part).is_some());
    has_part.then_some("a pseudo-header field among trailers").or(head.fault)
}

/// Reads a `content-length` of digits alone; a second one must say the same.
pub(crate) fn length(value: &[u8], length: &mut Option<u64>) -> Result<(), &'static str> {
    // Some 18 digits fit whatever they are, and no body is larger.
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return Err("an invalid content-length");
    }
    let read = value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    if length.replace(read).is_some_and(|before| before != read) {
        return Err("two content-lengths that differ");
    }
    Ok(())
}
