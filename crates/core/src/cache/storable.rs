//! May this response be kept, for how long, and how long is it of use once it is stale (RFC 9111, sections 3 and 4.2).

use std::time::Duration;

use evenkeel_config::Cache;

use super::dates::{Wall, http_date};
use super::directives::{DELTA_MAX, ResponseDirectives, seconds};
use super::fields::{Fields, NotKept, members};
use super::tags::Tags;
use super::vary::{Vary, VaryFault};

/// A `Date` that lies this little behind the clock says that clocks differ, not that the response is old.
const SKEW_MS: u64 = 10_000;
/// Heuristic freshness at most: one day.
const HEURISTIC_MAX_SECS: u64 = 86_400;

/// A request that went to a server, and the head of the answer to it.
#[derive(Debug)]
pub struct Exchange<'a, Q: ?Sized, A: ?Sized> {
    /// The request as the server saw it, before the client's conditions and ranges were taken out or others put in.
    pub request: &'a Q,
    /// Status of the answer.
    pub status: u16,
    /// Head of the answer.
    pub answer: &'a A,
    /// When the request left.
    pub sent: Wall,
    /// When the head of the answer was there.
    pub received: Wall,
}

/// What is known of a kept response beside its head: 24 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// When its age was zero: the time it was received less the age that it had then.
    pub born: Wall,
    /// Seconds from then for which it is fresh.
    pub lifetime: u32,
    /// Seconds for which it is used stale while it is revalidated.
    pub stale_while_revalidate: u32,
    /// Seconds for which it is used stale when the servers fail.
    pub stale_if_error: u32,
    /// What else limits its use.
    pub flags: Flags,
}

/// What limits the use of a kept response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u8);

impl Flags {
    /// It is revalidated at every use.
    pub const NO_CACHE: Self = Self(1);
    /// It is never used stale.
    pub const MUST_REVALIDATE: Self = Self(2);
    /// A client's `max-stale` does not hold, because of `s-maxage`.
    pub const SHARED_LIFETIME: Self = Self(4);
    /// A client's reload, but not a forced one, is answered with it while it is fresh (RFC 8246).
    pub const IMMUTABLE: Self = Self(8);

    /// True if all of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// With `other`, if `is_set`.
    pub const fn with(self, other: Self, is_set: bool) -> Self {
        if is_set { Self(self.0 | other.0) } else { self }
    }

    /// For the disk.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// From the disk; unknown bits are dropped.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 15)
    }
}

/// A response that is kept.
#[derive(Debug)]
pub struct Keep {
    /// How long it is of use.
    pub stored: Stored,
    /// Which of its fields are not kept.
    pub without: NotKept,
    /// Which fields of requests select it.
    pub vary: Vary,
    /// By which tags it can be purged.
    pub tags: Tags,
    /// True if its freshness was guessed from `Last-Modified`.
    pub heuristic: bool,
}

/// Why a response is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotStored {
    /// It is a part (206), a 304 to a condition of the client, or no final response.
    Part,
    /// The route's `statuses` do not have its status, or with `0s`.
    Status,
    /// It says `must-understand`, and its status is unknown.
    NotUnderstood,
    /// It says `no-store`.
    NoStore,
    /// It says `private`.
    Private,
    /// The request had `Authorization`, and the response does not say that it is for others as well.
    Authorization,
    /// It has `Set-Cookie`.
    SetCookie,
    /// It says `Vary: *`.
    VaryStar,
    /// `Vary` names a field that the proxy sets for each client.
    VaryClient,
    /// `Vary` has too many or too long names.
    VaryTooLong,
    /// It has too many or too long tags.
    TooManyTags,
    /// Its `Content-Length` is larger than `max_object`.
    TooLarge,
    /// It says nothing of freshness, and neither its status nor `Last-Modified` allows a guess.
    NoFreshness,
    /// It is stale as it comes, and cannot be revalidated.
    Stale,
}

impl NotStored {
    /// Why, in one word for logs, metrics and `detail` of `Cache-Status`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Part => "partial",
            Self::Status => "status",
            Self::NotUnderstood => "must-understand",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::SetCookie => "set-cookie",
            Self::VaryStar => "vary-star",
            Self::VaryClient => "vary-client",
            Self::VaryTooLong => "vary-too-long",
            Self::TooManyTags => "too-many-tags",
            Self::TooLarge => "too-large",
            Self::NoFreshness => "no-freshness",
            Self::Stale => "stale",
        }
    }

    /// Why, in one sentence for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Part => "the response is a part of another one",
            Self::Status => "the route's `cache.statuses` do not keep this status",
            Self::NotUnderstood => "the response says `must-understand`, and its status is unknown",
            Self::NoStore => "the response says `no-store`",
            Self::Private => "the response says `private`",
            Self::Authorization => {
                "the request had `Authorization`, and the response says neither `public`, `s-maxage` nor `must-revalidate`"
            }
            Self::SetCookie => "the response has `Set-Cookie`, and the route does not say `ignore_cookies`",
            Self::VaryStar => "the response says `Vary: *`",
            Self::VaryClient => {
                "the response's `Vary` names a field that is set for each client, as `X-Forwarded-For`"
            }
            Self::VaryTooLong => "the response's `Vary` is too long",
            Self::TooManyTags => "the response has too many or too long tags",
            Self::TooLarge => "the response is larger than the route's `cache.max_object`",
            Self::NoFreshness => "the response does not say how long it is fresh",
            Self::Stale => "the response is stale as it comes, and has neither `ETag` nor `Last-Modified`",
        }
    }
}

/// Decides whether the response to a GET may be kept.
///
/// # Errors
/// Why it may not.
pub fn storable<Q, A>(rules: &Cache, exchange: &Exchange<'_, Q, A>) -> Result<Keep, NotStored>
where
    Q: Fields + ?Sized,
    A: Fields + ?Sized,
{
    let Exchange { request, status, answer, .. } = *exchange;
    if !matches!(status, 200..=599) || matches!(status, 206 | 304) {
        return Err(NotStored::Part);
    }
    let said = ResponseDirectives::of(answer);
    refused_by_directives(&said, status, request)?;
    let cookies = answer.has("set-cookie");
    let excluded = said.fields.iter().any(|name| name.eq_ignore_ascii_case(b"set-cookie"));
    if cookies && !excluded && !rules.ignore_cookies {
        return Err(NotStored::SetCookie);
    }
    let vary = Vary::of(answer).map_err(|fault| match fault {
        VaryFault::Star => NotStored::VaryStar,
        VaryFault::TooLong => NotStored::VaryTooLong,
    })?;
    let tags = Tags::of(answer).ok_or(NotStored::TooManyTags)?;
    if content_length(answer).is_some_and(|length| length > rules.max_object) {
        return Err(NotStored::TooLarge);
    }
    let (lifetime, heuristic) = lifetime(rules, &said, exchange)?;
    let stored = stored(rules, &said, exchange, lifetime);
    let is_of_use = stored.is_fresh(exchange.received) && !said.no_cache
        || stored.stale_while_revalidate > 0
        || stored.stale_if_error > 0
        || answer.has("etag")
        || answer.first("last-modified").and_then(http_date).is_some();
    if !is_of_use {
        return Err(NotStored::Stale);
    }
    let mut listed = said.fields;
    listed.extend(answer.values("connection").flat_map(members).map(Box::from));
    Ok(Keep { stored, without: NotKept::new(listed, cookies), vary, tags, heuristic })
}

fn refused_by_directives(
    said: &ResponseDirectives,
    status: u16,
    request: &(impl Fields + ?Sized),
) -> Result<(), NotStored> {
    let understood = is_understood(status);
    if said.must_understand && !understood {
        return Err(NotStored::NotUnderstood);
    }
    // With `must-understand`, `no-store` is for those that do not (RFC 9111, 5.2.2.3).
    if said.no_store && !said.must_understand {
        return Err(NotStored::NoStore);
    }
    if said.private {
        return Err(NotStored::Private);
    }
    let is_for_others = said.public || said.s_maxage.is_some() || said.must_revalidate;
    if request.has("authorization") && !is_for_others {
        return Err(NotStored::Authorization);
    }
    Ok(())
}

/// The statuses of RFC 9110, but for those that a cache has no way to understand: 206 and 304 are handled before.
const fn is_understood(status: u16) -> bool {
    matches!(
        status,
        200..=205 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421 | 422 | 425 | 426 | 428 | 429 | 431 | 451 | 500..=505
    )
}

/// Cacheable although nothing is said of freshness (RFC 9110, 15.1).
const fn is_heuristically_cacheable(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// Those that `ttl` of a route speaks of: content and permanent redirects, but no errors.
const fn is_content(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 300 | 301 | 308)
}

/// How long the response is fresh, in seconds from when it was made, and whether that is a guess.
fn lifetime<Q: ?Sized, A: Fields + ?Sized>(
    rules: &Cache,
    said: &ResponseDirectives,
    exchange: &Exchange<'_, Q, A>,
) -> Result<(Lifetime, bool), NotStored> {
    let Exchange { status, answer, received, .. } = *exchange;
    match (rules.statuses.of(status), rules.ttl) {
        (Some(Duration::ZERO), _) => return Err(NotStored::Status),
        (Some(ttl), _) => return Ok((Lifetime::ByRoute(whole(ttl)), false)),
        (None, Some(ttl)) if is_content(status) => return Ok((Lifetime::ByRoute(whole(ttl)), false)),
        (None, _) if !rules.statuses.is_empty() => return Err(NotStored::Status),
        (None, _) => {}
    }
    if let Some(seconds) = said.s_maxage.or(said.max_age) {
        return Ok((Lifetime::Own(seconds), false));
    }
    let date = answer.first("date").and_then(http_date);
    if !said.targeted
        && let Some(expires) = answer.first("expires")
    {
        // A malformed one lies in the past (RFC 9111, 5.3). Both are by the server's clock, which so does not matter.
        let until = http_date(expires).unwrap_or_default();
        let seconds = until.millis_since(date.unwrap_or(received)) / 1_000;
        return Ok((Lifetime::Own(u32::try_from(seconds).unwrap_or(DELTA_MAX).min(DELTA_MAX)), false));
    }
    if !said.public && !is_heuristically_cacheable(status) {
        return Err(NotStored::NoFreshness);
    }
    match answer.first("last-modified").and_then(http_date) {
        Some(modified) => {
            let unchanged = date.unwrap_or(received).millis_since(modified) / 1_000;
            let guess = (unchanged / 10).min(HEURISTIC_MAX_SECS);
            Ok((Lifetime::Own(u32::try_from(guess).unwrap_or(0)), true))
        }
        None if answer.has("etag") => Ok((Lifetime::Own(0), false)),
        None => Err(NotStored::NoFreshness),
    }
}

enum Lifetime {
    /// From when the response was received, because the route says so.
    ByRoute(u32),
    /// From when it was made.
    Own(u32),
}

fn stored<Q: ?Sized, A: Fields + ?Sized>(
    rules: &Cache,
    said: &ResponseDirectives,
    exchange: &Exchange<'_, Q, A>,
    lifetime: Lifetime,
) -> Stored {
    let Exchange { answer, sent, received, .. } = *exchange;
    let apparent = answer.first("date").and_then(http_date).map_or(0, |date| received.millis_since(date));
    let apparent = if apparent <= SKEW_MS { 0 } else { apparent };
    let delay = received.millis_since(sent);
    let initial = apparent.max(age(answer) * 1_000 + delay);
    let lifetime = match lifetime {
        // What the route says counts from now on.
        Lifetime::ByRoute(seconds) => {
            seconds.saturating_add(u32::try_from(initial.div_ceil(1_000)).unwrap_or(DELTA_MAX))
        }
        Lifetime::Own(seconds) => seconds,
    };
    let window = |own: Option<u32>, route: Option<Duration>| match own {
        _ if said.forbid_stale() => 0,
        Some(seconds) => seconds,
        None => route.map_or(0, whole),
    };
    Stored {
        born: received.minus_millis(initial),
        lifetime,
        stale_while_revalidate: window(said.stale_while_revalidate, rules.stale_while_revalidate),
        stale_if_error: window(said.stale_if_error, rules.stale_if_error),
        flags: Flags::default()
            .with(Flags::NO_CACHE, said.no_cache)
            .with(Flags::MUST_REVALIDATE, said.forbid_stale())
            .with(Flags::SHARED_LIFETIME, said.s_maxage.is_some())
            .with(Flags::IMMUTABLE, said.immutable),
    }
}

/// The age in seconds that a response came with: the first member counts, and one that is malformed does not (RFC 9111, 5.1).
fn age(answer: &(impl Fields + ?Sized)) -> u64 {
    let member = answer.first("age").and_then(|line| members(line).next());
    member.and_then(seconds).map_or(0, u64::from)
}

fn content_length(answer: &(impl Fields + ?Sized)) -> Option<u64> {
    std::str::from_utf8(answer.first("content-length")?).ok()?.parse().ok()
}

/// Whole seconds, as cache directives have them; a part of a second counts as one.
fn whole(duration: Duration) -> u32 {
    let seconds = duration.as_millis().div_ceil(1_000);
    u32::try_from(seconds).unwrap_or(DELTA_MAX).min(DELTA_MAX)
}

#[cfg(test)]
#[path = "storable_tests.rs"]
mod tests;
