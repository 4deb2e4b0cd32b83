//! The key of a response: everything that may make two responses differ, so that two requests never share one by accident.

use evenkeel_config::CacheKey;
use percent_encoding::percent_decode;
use xxhash_rust::xxh3::xxh3_128;

use super::fields::Fields;
use crate::balance;
use crate::route::parse_host;

/// What a request is for, as it goes to a server.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// `http` or `https`, as the client came.
    pub scheme: &'a str,
    /// Host and port as the client named them; upper and lower case are the same.
    pub authority: &'a str,
    /// The path that the server sees.
    pub path: &'a str,
    /// The path that the client asked for, in normal form: by it the response is purged.
    pub asked: &'a str,
    /// What stands behind the `?`, if there is one.
    pub query: Option<&'a str>,
    /// The route, by a name or number that outlives reloads.
    pub route: &'a str,
    /// The pool, and what else chose it.
    pub pool: &'a str,
}

/// A key, and by what a response that is kept under it is purged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// A hash without a seed: a store has one of its own.
    pub hash: u128,
    /// All of it, to be compared at every hit.
    pub bytes: Box<[u8]>,
    /// By which purges of its URL find the response.
    pub url: UrlId,
    /// By which purges of its host find it.
    pub host: HostId,
}

/// A URL, as a hash, without scheme and port: two URLs of one hash are purged together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UrlId(pub u128);

/// A host, as a hash, without its port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub u128);

impl UrlId {
    /// Of a response whose key holds the whole query.
    pub fn whole(authority: &str, path: &str, query: Option<&str>) -> Self {
        let host = host_of(authority);
        let query = query.map(str::as_bytes);
        Self(hash(b'u', &[&host, path.as_bytes(), &[u8::from(query.is_some())], query.unwrap_or_default()]))
    }

    /// Of a response whose key holds a part of the query: a purge of any URL with this path finds it.
    pub fn bare(authority: &str, path: &str) -> Self {
        Self(hash(b'b', &[&host_of(authority), path.as_bytes()]))
    }
}

impl HostId {
    /// Of a host with or without a port.
    pub fn of(authority: &str) -> Self {
        Self(hash(b'h', &[&host_of(authority)]))
    }
}

/// In the form that routes are matched in, without its port. One that no request can be for stays as it is.
pub(crate) fn host_of(authority: &str) -> Vec<u8> {
    match parse_host(authority) {
        Ok((host, _)) => host.into_owned().into_bytes(),
        Err(_) => authority.to_ascii_lowercase().into_bytes(),
    }
}

/// A hash of all parts: none can be moved from one to the next.
pub(crate) fn hash(kind: u8, parts: &[&[u8]]) -> u128 {
    let mut out = Encoder::new(kind);
    parts.iter().for_each(|part| out.part(part));
    xxh3_128(&out.0)
}

/// Makes the key, and notes by what a response under it is purged.
pub fn key(rules: &CacheKey, target: &Target<'_>, request: &(impl Fields + ?Sized)) -> Key {
    let mut bytes = Vec::new();
    write_key(rules, target, request, &mut bytes);
    let (url, host) = (url_id(rules, target), HostId::of(target.authority));
    Key { hash: xxh3_128(&bytes), bytes: bytes.into(), url, host }
}

/// Writes the key in place of what is in `out`: for lookups, which keep no key and so need no room of their own. It is
/// injective: two requests that differ in anything that counts never have equal keys.
///
/// A query in which some servers see other parameters than we do counts as a whole, even if `rules` select some of it.
pub fn write_key(rules: &CacheKey, target: &Target<'_>, request: &(impl Fields + ?Sized), out: &mut Vec<u8>) {
    let Target { scheme, authority, path, asked, query, route, pool } = *target;
    let mut encoder = Encoder(std::mem::take(out));
    encoder.0.clear();
    encoder.part(authority.as_bytes());
    // Not the length in front of it.
    let start = encoder.0.len() - authority.len();
    encoder.0[start..].make_ascii_lowercase();
    for part in [scheme, path, route, pool] {
        encoder.part(part.as_bytes());
    }
    // Two paths that a rewrite makes one are two responses: a purge of one must find its own.
    encoder.optional((asked != path).then_some(asked.as_bytes()));
    match selected(rules, query) {
        None => encoder.optional(query.map(str::as_bytes)),
        Some(names) => {
            encoder.byte(2);
            names.iter().for_each(|name| encoder.list(parameter(query.unwrap_or_default(), name)));
        }
    }
    for name in &rules.headers.0 {
        encoder.list(request.values(name).map(Some));
    }
    for name in &rules.cookies.0 {
        encoder.list(cookie(request, name).map(Some));
    }
    *out = encoder.0;
}

/// A hash of the key that all nodes agree on whose routes have equal rules: their cache nodes are chosen by it. The names of route
/// and pool are not in it, because each node has its own. `room` is for the key, and its content is replaced.
pub fn shared_hash(
    rules: &CacheKey,
    target: &Target<'_>,
    request: &(impl Fields + ?Sized),
    room: &mut Vec<u8>,
) -> u64 {
    write_key(rules, &Target { route: "", pool: "", ..*target }, request, room);
    balance::hash(room)
}

/// By which purges of URLs the response is found: what a store notes when it keeps one.
pub fn url_id(rules: &CacheKey, target: &Target<'_>) -> UrlId {
    let Target { authority, asked, query, .. } = *target;
    match selected(rules, query) {
        None => UrlId::whole(authority, asked, query),
        Some(_) => UrlId::bare(authority, asked),
    }
}

/// The parameters that count, if not the whole query does.
pub(crate) fn selected<'a>(rules: &'a CacheKey, query: Option<&str>) -> Option<&'a [String]> {
    let names = rules.query.as_ref().filter(|_| !query.is_some_and(is_ambiguous));
    names.map(|names| &*names.0)
}

/// Adds a further part to a key. The result is equal to no key without one, because none of a key's own parts begins so.
pub fn add_to_key(key: &mut Vec<u8>, part: &[u8]) {
    let mut encoder = Encoder(std::mem::take(key));
    encoder.byte(3);
    encoder.part(part);
    *key = encoder.0;
}

/// True if servers disagree on where its parameters end, or what they are called.
fn is_ambiguous(query: &str) -> bool {
    query.contains(';')
}

/// The values of a parameter as they came; `None` is one without a `=`.
pub(crate) fn parameter<'a>(query: &'a str, name: &'a str) -> impl Iterator<Item = Option<&'a [u8]>> {
    query.split('&').filter_map(move |pair| {
        let (raw, value) = match pair.split_once('=') {
            Some((raw, value)) => (raw, Some(value.as_bytes())),
            None => (pair, None),
        };
        (raw == name || is_called(raw, name)).then_some(value)
    })
}

/// True if some server may call the parameter so: a `+` in it stands for itself or for a space.
fn is_called(raw: &str, name: &str) -> bool {
    let decoded = || percent_decode(raw.as_bytes());
    let spaced = raw.replace('+', " ");
    decoded().eq(name.bytes()) || percent_decode(spaced.as_bytes()).eq(name.bytes())
}

/// The values of a cookie (RFC 6265, 4.2).
pub(crate) fn cookie<'a>(
    request: &'a (impl Fields + ?Sized),
    name: &'a str,
) -> impl Iterator<Item = &'a [u8]> {
    let pairs = request.values("cookie").flat_map(|line| line.split(|&byte| byte == b';'));
    pairs.filter_map(move |pair| {
        let at = pair.iter().position(|&byte| byte == b'=')?;
        (pair[..at].trim_ascii() == name.as_bytes()).then(|| pair[at + 1..].trim_ascii())
    })
}

/// Writes parts one behind another, each with its length in front.
pub(crate) struct Encoder(pub(crate) Vec<u8>);

impl Encoder {
    pub(crate) fn new(kind: u8) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.push(kind);
        Self(bytes)
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// A length of up to 127 takes one byte.
    pub(crate) fn length(&mut self, mut length: usize) {
        while length >= 128 {
            self.0.push((length & 127) as u8 | 128);
            length >>= 7;
        }
        self.0.push(length as u8);
    }

    pub(crate) fn part(&mut self, part: &[u8]) {
        self.length(part.len());
        self.0.extend_from_slice(part);
    }

    pub(crate) fn optional(&mut self, part: Option<&[u8]>) {
        match part {
            None => self.byte(0),
            Some(part) => {
                self.byte(1);
                self.part(part);
            }
        }
    }

    /// A list of any length, with a byte at its end.
    fn list<'a>(&mut self, parts: impl Iterator<Item = Option<&'a [u8]>>) {
        for part in parts {
            self.byte(1);
            self.optional(part);
        }
        self.byte(0);
    }
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
