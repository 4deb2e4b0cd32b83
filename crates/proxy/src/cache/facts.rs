//! What the cache's policy reads: the fields of a request, and of the head of a response.

use evenkeel_config::Cache;
use evenkeel_core::cache::{self, Fields, Key, Vary};
use evenkeel_core::route::rewrite;

use super::store::KeptHead;
use crate::forward::target::Target;
use crate::request::incoming::Request;
use crate::response::Head;

/// The fields of a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestFields<'r, 'a>(pub &'r Request<'a>);

impl Fields for RequestFields<'_, '_> {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let Self(request) = self;
        let named = |name: &'a str| {
            move |field: &&crate::http::field::Field| {
                field.name.of_bytes(request.bytes).eq_ignore_ascii_case(name.as_bytes())
            }
        };
        request.fields.iter().filter(named(name)).map(|field| field.value.of_bytes(request.bytes))
    }
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

/// Writes the key of what answers `request` to `out`.
pub fn write_key(rules: &Cache, target: &Target<'_>, request: &Request<'_>, out: &mut Vec<u8>) {
    with_target(target, request, |of| cache::write_key(&rules.key, of, &RequestFields(request), out));
}

/// The same, and what purges find the response by.
pub fn key(rules: &Cache, target: &Target<'_>, request: &Request<'_>) -> Key {
    with_target(target, request, |of| cache::key(&rules.key, of, &RequestFields(request)))
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
