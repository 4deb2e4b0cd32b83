//! What the cache's policy reads: the fields of a request, and of the head of a response.

use evenkeel_config::Cache;
use evenkeel_core::cache::{self, Fields, HostId, UrlId, Vary};
use evenkeel_core::route::rewrite;

use super::store::KeptHead;
use crate::forward::target::Target;
use crate::http::field::{Field, Known, same_variable};
use crate::http::write::Nominated;
use crate::request::incoming::Request;
use crate::response::Head;

/// The fields of a request, as far as they reach the server: what `Connection` takes off selects nothing.
#[derive(Debug, Clone, Copy)]
pub struct RequestFields<'r, 'a>(pub &'r Request<'a>);

impl Fields for RequestFields<'_, '_> {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let Self(request) = self;
        let is_named =
            move |field: &&Field| field.name.of_bytes(request.bytes).eq_ignore_ascii_case(name.as_bytes());
        let is_ours =
            request.reserved.iter().any(|reserved| same_variable(name.as_bytes(), reserved.as_bytes()));
        // A client's certificate says who it is, as `Authorization` does.
        let subject = request.subject.filter(|(header, _)| {
            name == "authorization" || same_variable(name.as_bytes(), header.as_bytes())
        });
        request
            .fields
            .iter()
            .filter(is_named)
            .filter(move |field| !is_ours && !is_nominated(request, field))
            .map(|field| field.value.of_bytes(request.bytes))
            .chain(subject.map(|(_, subject)| subject.as_bytes()))
    }
}

/// True if `Connection` names the field, which so goes no further.
fn is_nominated(request: &Request<'_>, field: &Field) -> bool {
    let Request { bytes, fields, known, .. } = *request;
    Nominated::of(bytes, (fields, known)).holds(bytes, fields, field)
}

/// Fields that the proxy itself sets to something of the client: a response that varies by one of them is for that client
/// alone.
pub const OF_THE_CLIENT: [&str; 2] = ["x-forwarded-for", "x-request-id"];

/// Fields by which a request says once more which URL it is for. Some servers believe them.
const SAID_AGAIN: [&str; 12] = [
    "front-end-https",
    "x-forwarded-path",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-uri",
    "x-host",
    "x-original-host",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
    "x-url-scheme",
];
/// Fields by which a request says that it is of another method.
const METHODS: [&str; 3] = ["x-http-method", "x-http-method-override", "x-method-override"];

/// What a request says to servers beside what it is found by.
#[derive(Debug, PartialEq, Eq)]
pub enum Beside {
    /// Nothing of what responses are known to depend on.
    Nothing,
    /// This, which so belongs to its key.
    Key(Vec<u8>),
    /// That it is of another method.
    Method,
}

impl Beside {
    /// Each part that belongs to the key as it is called and what it says, for people.
    pub fn in_words(&self) -> Vec<(String, String)> {
        let Self::Key(parts) = self else { return Vec::new() };
        let (mut rest, mut out) = (&parts[..], Vec::new());
        let mut next = || {
            let (length, behind) = rest.split_first_chunk::<4>()?;
            let (part, behind) = behind.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            rest = behind;
            Some(part)
        };
        while let (Some(name), Some(value)) = (next(), next()) {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let value = match (name, value) {
                (b"port", &[high, low]) => u16::from_be_bytes([high, low]).to_string(),
                _ => text(value),
            };
            out.push((text(name), value));
        }
        out
    }
}

/// What the response may depend on beside the URL: where a trusted peer says that the client came to, the port that it came
/// to, and fields that say the URL once more.
pub fn beside(request: &Request<'_>) -> Beside {
    let mut out = Vec::new();
    let mut add = |name: &[u8], value: &[u8]| {
        for part in [name, value] {
            out.extend_from_slice(&(part.len() as u32).to_be_bytes());
            out.extend_from_slice(part);
        }
    };
    for field in request.fields {
        let (name, value) = (field.name.of_bytes(request.bytes), field.value.of_bytes(request.bytes));
        let is_said_again = match field.known {
            Known::XForwardedHost | Known::XForwardedPort | Known::XForwardedPrefix => request.trusted,
            Known::XForwardedProto => {
                request.trusted && !value.eq_ignore_ascii_case(request.scheme.as_bytes())
            }
            Known::Forwarded => {
                if request.trusted {
                    said_by_forwarded(value).for_each(|part| add(b"forwarded", part));
                }
                false
            }
            Known::Other if matches!(name.first(), Some(b'x' | b'X' | b'f' | b'F')) => {
                let is = |other: &str| same_variable(name, other.as_bytes());
                if METHODS.iter().any(|other| is(other)) && !is_nominated(request, field) {
                    return Beside::Method;
                }
                SAID_AGAIN.iter().any(|other| is(other)) && !is_nominated(request, field)
            }
            _ => false,
        };
        if is_said_again {
            add(&name.to_ascii_lowercase(), value);
        }
    }
    // The authority is in the key, and nearly always says the port if it is not the usual one.
    let usual = if request.scheme == "https" { 443 } else { 80 };
    if let Some(port) = request.port.filter(|port| *port != usual && !says(request.authority, *port)) {
        add(b"port", &port.to_be_bytes());
    }
    if out.is_empty() { Beside::Nothing } else { Beside::Key(out) }
}

/// True if an authority ends in this port, without zeros before it.
fn says(authority: &str, port: u16) -> bool {
    let mut left = port;
    for byte in authority.bytes().rev() {
        match byte {
            b':' => return left == 0,
            byte if left > 0 && u16::from(byte) == u16::from(b'0') + left % 10 => left /= 10,
            _ => return false,
        }
    }
    false
}

/// The parts of a `Forwarded` that say where the client came to, and not from where (RFC 7239).
fn said_by_forwarded(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| matches!(byte, b',' | b';')).map(<[u8]>::trim_ascii).filter(|part| {
        let name = part.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
        !name.eq_ignore_ascii_case(b"for") && !name.eq_ignore_ascii_case(b"by")
    })
}

/// Field lines, each with its CRLF.
#[derive(Debug, Clone, Copy)]
pub struct Lines<'a>(pub &'a [u8]);

impl<'a> Lines<'a> {
    /// Name and value of each, and all of its line.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8], &'a [u8])> {
        self.0.split_inclusive(|byte| *byte == b'\n').filter_map(|line| {
            let colon = memchr::memchr(b':', line)?;
            Some((&line[..colon], line[colon + 1..].trim_ascii(), line))
        })
    }

    /// Name and value of each.
    pub fn pairs(self) -> Vec<(&'a [u8], &'a [u8])> {
        self.iter().map(|(name, value, _)| (name, value)).collect()
    }
}

impl Fields for Lines<'_> {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter(|(other, ..)| other.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value, _)| value)
    }
}

impl Fields for Head {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        Lines(self.lines())
            .iter()
            .filter(|(other, ..)| other.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value, _)| value)
    }
}

/// Writes the key of what answers `request` to `out`. The request says `beside` beside what it is found by.
pub fn write_key(
    rules: &Cache,
    target: &Target<'_>,
    request: &Request<'_>,
    beside: &Beside,
    out: &mut Vec<u8>,
) {
    with_target(target, request, |of| cache::write_key(&rules.key, of, &RequestFields(request), out));
    if let Beside::Key(part) = beside {
        cache::add_to_key(out, part);
    }
}

/// The hash by which the parent is chosen that has what answers `request`: other nodes choose the same.
pub fn shared_hash(rules: &Cache, target: &Target<'_>, request: &Request<'_>) -> u64 {
    let buffers = &target.worker.buffers;
    let mut room = buffers.small();
    let hash = with_target(target, request, |of| {
        cache::shared_hash(&rules.key, of, &RequestFields(request), &mut room)
    });
    buffers.give(room);
    hash
}

/// What purges find the response by.
pub fn purged_by(rules: &Cache, target: &Target<'_>, request: &Request<'_>) -> (UrlId, HostId) {
    with_target(target, request, |of| (cache::url_id(&rules.key, of), HostId::of(of.authority)))
}

fn with_target<T>(
    target: &Target<'_>,
    request: &Request<'_>,
    make: impl FnOnce(&cache::Target<'_>) -> T,
) -> T {
    let (route, asked) = (target.route, request.forwarded(target.route));
    let path = rewrite(route, &asked);
    make(&cache::Target {
        scheme: request.scheme,
        authority: request.authority,
        path: &path,
        asked: &asked,
        query: request.query,
        route: route.name.as_str(),
        pool: target.pool().name.as_str(),
    })
}

/// What selects a variant: the names of `Vary`, and what the request says in these fields.
pub fn variant(vary: &Vary, request: &Request<'_>) -> Vec<u8> {
    if vary.is_empty() {
        return Vec::new();
    }
    let mut out = vary.names().as_bytes().to_vec();
    out.push(0);
    out.extend_from_slice(vary.variant(&RequestFields(request)).bytes());
    out
}

/// True if what is kept under this head is for `request`, by `Vary`.
pub fn selects(head: &KeptHead, request: &Request<'_>) -> bool {
    let kept = head.vary();
    let Some(end) = memchr::memchr(0, kept) else { return kept.is_empty() };
    let names = std::str::from_utf8(&kept[..end]).unwrap_or_default();
    Vary::from_names(names).variant(&RequestFields(request)).bytes() == &kept[end + 1..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_says_a_port_by_its_digits() {
        for said in ["a:8080", "[::1]:8080", ":8080"] {
            assert!(says(said, 8080), "{said}");
        }
        for not in ["a", "a:", "a:808", "a:18080", "a:08080", "8080", "a:8080x", "a:80800", ""] {
            assert!(!says(not, 8080), "{not}");
        }
        assert!((1..=u16::MAX).all(|port| says(&format!("host:{port}"), port)));
    }
}
