//! `Vary`: which of several responses of one key a request selects (RFC 9111, 4.1).

use super::fields::{Fields, members};
use super::key::Encoder;

/// Names in `Vary` at most.
const NAMES_MAX: usize = 16;
/// Bytes of all names at most.
const BYTES_MAX: usize = 1_024;

/// The fields of requests by which a response was chosen: in lower case, sorted, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vary(Box<str>);

/// Why a `Vary` cannot be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VaryFault {
    /// It has a `*`: the response is for one request alone.
    Star,
    /// It has more than 16 names, more than 1,024 bytes of them, or one that is no text.
    TooLong,
}

/// What a request says in the fields of a [`Vary`], in normal form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Variant(Box<[u8]>);

impl Variant {
    /// For the disk, and to count its size.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// From the disk.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl Vary {
    /// Reads the field of a response.
    ///
    /// # Errors
    /// It has a `*`, or is too long.
    pub fn of(response: &(impl Fields + ?Sized)) -> Result<Self, VaryFault> {
        let mut names: Vec<String> = Vec::new();
        let mut bytes = 0;
        for name in response.values("vary").flat_map(members) {
            if name == b"*" {
                return Err(VaryFault::Star);
            }
            bytes += name.len() + 1;
            let name = std::str::from_utf8(name).map_err(|_| VaryFault::TooLong)?;
            names.push(name.to_ascii_lowercase());
            // A `*` further on would say more, and both are not kept.
            if bytes > BYTES_MAX || names.len() > NAMES_MAX {
                return Err(VaryFault::TooLong);
            }
        }
        names.sort_unstable();
        names.dedup();
        Ok(Self(names.join(",").into()))
    }

    /// The names, separated by commas; empty if the response is for every request.
    pub fn names(&self) -> &str {
        &self.0
    }

    /// From the disk: what [`names`](Self::names) gave.
    pub fn from_names(names: &str) -> Self {
        Self(names.into())
    }

    /// True if the response is for every request.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if the response was chosen by who the user is. Its entity tag is then sent for no other user, because a server that
    /// makes one tag for all would have one user get the content of another.
    pub fn tells_users_apart(&self) -> bool {
        self.0.split(',').any(|name| matches!(name, "cookie" | "authorization"))
    }

    /// What the request says in these fields. Two requests with equal variants select the same responses.
    pub fn variant(&self, request: &(impl Fields + ?Sized)) -> Variant {
        if self.is_empty() {
            return Variant(Box::default());
        }
        let mut out = Encoder(Vec::new());
        for name in self.0.split(',') {
            out.optional(normal(name, request).as_deref());
        }
        Variant(out.0.into())
    }
}

/// Of the stored responses that a request selects, the newest by `Date`: its position. Each candidate is its `Vary`, what its
/// own request said, and its date.
pub fn select<'a, D: Ord>(
    request: &(impl Fields + ?Sized),
    stored: impl Iterator<Item = (&'a Vary, &'a Variant, D)>,
) -> Option<usize> {
    // Neighbours mostly have the same `Vary`.
    let mut asked: Option<(&Vary, Variant)> = None;
    let mut best: Option<(D, usize)> = None;
    for (at, (vary, variant, date)) in stored.enumerate() {
        if asked.as_ref().is_none_or(|(other, _)| *other != vary) {
            asked = Some((vary, vary.variant(request)));
        }
        let selects = asked.as_ref().is_some_and(|(_, asked)| asked == variant);
        if selects && best.as_ref().is_none_or(|(newest, _)| date >= *newest) {
            best = Some((date, at));
        }
    }
    best.map(|(_, at)| at)
}

/// Fields with one value, in which commas and spaces may mean something, or which tell users apart.
const EXACT: [&str; 8] = [
    "authorization",
    "cookie",
    "date",
    "proxy-authorization",
    "range",
    "referer",
    "user-agent",
    "x-forwarded-for",
];
/// Lists in which neither order nor case means anything, because `q` says what is preferred.
const PREFERENCES: [&str; 3] = ["accept-charset", "accept-encoding", "accept-language"];

/// The value of a field such that equal meanings have equal bytes; `None` if the request does not have it.
fn normal(name: &str, request: &(impl Fields + ?Sized)) -> Option<Vec<u8>> {
    let mut lines = request.values(name).peekable();
    lines.peek()?;
    if EXACT.contains(&name) {
        let mut out = Encoder(Vec::new());
        lines.for_each(|line| out.part(line));
        return Some(out.0);
    }
    let mut parts: Vec<Vec<u8>> = lines.flat_map(members).map(<[u8]>::to_vec).collect();
    if PREFERENCES.contains(&name) {
        parts.iter_mut().for_each(|part| *part = preference(part));
        parts.sort_unstable();
        parts.dedup();
    }
    Some(parts.join(&b","[..]))
}

/// `En ; Q=1.0` becomes `en`, and `de;q=0.50` becomes `de;q=0.5`.
fn preference(part: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = part.iter().filter(|byte| !byte.is_ascii_whitespace()).copied().collect();
    out.make_ascii_lowercase();
    if let Some(at) = out.windows(3).position(|window| window == b";q=") {
        let quality = &out[at + 3..];
        if quality.contains(&b'.') && quality.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.') {
            let zeros = quality.iter().rev().take_while(|byte| **byte == b'0').count();
            out.truncate(out.len() - zeros);
            if out.ends_with(b".") {
                out.pop();
            }
        }
        if &out[at..] == b";q=1" {
            out.truncate(at);
        }
    }
    out
}

#[cfg(test)]
#[path = "vary_tests.rs"]
mod tests;
