//! `Cache-Control` of requests and responses, `CDN-Cache-Control` and `Pragma` (RFC 9111, 5.2 and 5.4; RFC 9213).

use super::dictionary::{Item, dictionary};
use super::fields::{Fields, members};

/// Seconds at most, which stand for "for ever" (RFC 9111, 1.2.2).
pub const DELTA_MAX: u32 = 1 << 31;

/// What a response's cache directives say.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ResponseDirectives {
    /// `no-store`.
    pub no_store: bool,
    /// `private`, without names of fields.
    pub private: bool,
    /// `no-cache`, without names of fields.
    pub no_cache: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`.
    pub proxy_revalidate: bool,
    /// `must-understand`.
    pub must_understand: bool,
    /// `public`.
    pub public: bool,
    /// `immutable` (RFC 8246): a client's reload need not be asked of the server while the response is fresh.
    pub immutable: bool,
    /// `max-age` in seconds; 0 if it is malformed.
    pub max_age: Option<u32>,
    /// `s-maxage` in seconds; 0 if it is malformed.
    pub s_maxage: Option<u32>,
    /// `stale-while-revalidate` in seconds.
    pub stale_while_revalidate: Option<u32>,
    /// `stale-if-error` in seconds.
    pub stale_if_error: Option<u32>,
    /// The fields that `no-cache="..."` and `private="..."` name.
    pub fields: Vec<Box<[u8]>>,
    /// True if these come from `CDN-Cache-Control`, beside which `Cache-Control` and `Expires` say nothing.
    pub targeted: bool,
}

impl ResponseDirectives {
    /// Reads those that hold for this cache: a valid `CDN-Cache-Control` alone, else `Cache-Control`.
    pub fn of(response: &(impl Fields + ?Sized)) -> Self {
        Self::targeted(response).unwrap_or_else(|| {
            let mut out = Self::default();
            for line in response.values("cache-control") {
                for member in members(line) {
                    let (name, argument) = Argument::split(member);
                    out.take(name, argument);
                }
            }
            out
        })
    }

    /// `None` if the field is absent, empty or malformed, and so ignored (RFC 9213, 2.2).
    fn targeted(response: &(impl Fields + ?Sized)) -> Option<Self> {
        let mut lines = response.values("cdn-cache-control").peekable();
        lines.peek()?;
        let members = dictionary(lines)?;
        let mut out = Self { targeted: true, ..Self::default() };
        for (name, item) in &members {
            match item {
                Item::False => {}
                Item::True => out.take(name, Argument::None),
                Item::Integer(digits) => out.take(name, Argument::Given(digits)),
                Item::String(text) => out.take(name, Argument::Given(text)),
                Item::Other => out.take(name, Argument::Malformed),
            }
        }
        (!members.is_empty()).then_some(out)
    }

    fn take(&mut self, name: &[u8], argument: Argument<'_>) {
        let mut lower = [0; 24];
        match lowered(name, &mut lower) {
            b"no-store" => self.no_store = true,
            b"private" => self.private |= !argument.names(&mut self.fields),
            b"no-cache" => self.no_cache |= !argument.names(&mut self.fields),
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand = true,
            b"public" => self.public = true,
            b"immutable" => self.immutable = true,
            b"max-age" => least(&mut self.max_age, argument.seconds().unwrap_or(0)),
            b"s-maxage" => least(&mut self.s_maxage, argument.seconds().unwrap_or(0)),
            b"stale-while-revalidate" => {
                least(&mut self.stale_while_revalidate, argument.seconds().unwrap_or(0));
            }
            b"stale-if-error" => least(&mut self.stale_if_error, argument.seconds().unwrap_or(0)),
            _ => {}
        }
    }

    /// True if a stale response may be used in no case (RFC 9111, 4.2.4).
    pub fn forbid_stale(&self) -> bool {
        self.must_revalidate || self.proxy_revalidate || self.no_cache
    }
}

/// What a request's cache directives say.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct RequestDirectives {
    /// `no-store`.
    pub no_store: bool,
    /// `no-cache`, or `Pragma: no-cache` without any `Cache-Control`.
    pub no_cache: bool,
    /// `only-if-cached`.
    pub only_if_cached: bool,
    /// `max-age` in seconds; 0 if it is malformed.
    pub max_age: Option<u32>,
    /// `min-fresh` in seconds.
    pub min_fresh: Option<u32>,
    /// `max-stale` in seconds; without an argument [`DELTA_MAX`].
    pub max_stale: Option<u32>,
    /// `stale-if-error` in seconds (RFC 5861).
    pub stale_if_error: Option<u32>,
}

impl RequestDirectives {
    /// Reads `Cache-Control`, and `Pragma` where there is no `Cache-Control`.
    pub fn of(request: &(impl Fields + ?Sized)) -> Self {
        let mut out = Self::default();
        let mut lines = request.values("cache-control").peekable();
        if lines.peek().is_none() {
            let pragma = |member: &[u8]| member.eq_ignore_ascii_case(b"no-cache");
            out.no_cache = request.values("pragma").any(|line| members(line).any(pragma));
        }
        for member in lines.flat_map(members) {
            let (name, argument) = Argument::split(member);
            out.take(name, argument);
        }
        out
    }

    fn take(&mut self, name: &[u8], argument: Argument<'_>) {
        let mut lower = [0; 24];
        match lowered(name, &mut lower) {
            b"no-store" => self.no_store = true,
            b"no-cache" => self.no_cache = true,
            b"only-if-cached" => self.only_if_cached = true,
            b"max-age" => least(&mut self.max_age, argument.seconds().unwrap_or(0)),
            b"min-fresh" => {
                // Of several, the most demanding one holds.
                self.min_fresh = self.min_fresh.max(Some(argument.seconds().unwrap_or(DELTA_MAX)));
            }
            b"max-stale" => {
                let seconds = match argument {
                    Argument::None => DELTA_MAX,
                    given => given.seconds().unwrap_or(0),
                };
                least(&mut self.max_stale, seconds);
            }
            b"stale-if-error" => least(&mut self.stale_if_error, argument.seconds().unwrap_or(0)),
            _ => {}
        }
    }
}

/// Of several equal directives the strictest holds (RFC 9111, 4.2.1).
fn least(seen: &mut Option<u32>, seconds: u32) {
    *seen = Some(seen.map_or(seconds, |seen| seen.min(seconds)));
}

/// In lower case; names that are longer than any known one are unknown.
fn lowered<'a>(name: &[u8], out: &'a mut [u8; 24]) -> &'a [u8] {
    match out.get_mut(..name.len()) {
        Some(out) => {
            out.copy_from_slice(name);
            out.make_ascii_lowercase();
            out
        }
        None => b"",
    }
}

/// What stands behind the `=` of a directive.
enum Argument<'a> {
    None,
    /// A token, or what is between the quotes of a quoted string.
    Given(&'a [u8]),
    Malformed,
}

impl<'a> Argument<'a> {
    /// Name and argument of a directive. Whitespace beside the `=` makes it malformed.
    fn split(member: &'a [u8]) -> (&'a [u8], Self) {
        let Some(at) = member.iter().position(|&byte| byte == b'=') else { return (member, Self::None) };
        let (name, value) = (&member[..at], &member[at + 1..]);
        let trimmed = name.trim_ascii_end();
        if trimmed.len() < name.len() || value.first().is_some_and(u8::is_ascii_whitespace) {
            return (trimmed, Self::Malformed);
        }
        let argument = match value {
            [b'"', quoted @ .., b'"'] => Self::Given(quoted),
            [b'"', ..] => Self::Malformed,
            token => Self::Given(token),
        };
        (name, argument)
    }

    /// A number of seconds, at most [`DELTA_MAX`].
    fn seconds(&self) -> Option<u32> {
        let Self::Given(text) = self else { return None };
        seconds(text)
    }

    /// Adds the names of fields that are listed; false if there are none, and the directive holds for the whole response.
    fn names(&self, out: &mut Vec<Box<[u8]>>) -> bool {
        let Self::Given(text) = self else { return false };
        let before = out.len();
        out.extend(members(text).map(Box::from));
        out.len() > before
    }
}

/// Delta-seconds (RFC 9111, 1.2.2): digits alone; what is too large is [`DELTA_MAX`].
pub(crate) fn seconds(text: &[u8]) -> Option<u32> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = text.iter().fold(0u64, |sum, digit| (sum * 10 + u64::from(digit - b'0')).min(1 << 40));
    Some(u32::try_from(number).unwrap_or(DELTA_MAX).min(DELTA_MAX))
}

#[cfg(test)]
#[path = "directives_tests.rs"]
mod tests;
