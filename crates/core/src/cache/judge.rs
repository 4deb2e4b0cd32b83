//! May a kept response answer this request now (RFC 9111, 4.2 and 5.2.1; RFC 5861), and what if its revalidation fails.

use super::dates::Wall;
use super::directives::RequestDirectives;
use super::storable::{Flags, Stored};

/// What a kept response is to a request, now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It answers the request.
    Fresh,
    /// It answers the request although it is stale.
    Stale(StaleUse),
    /// A server must be asked first, with the validators of the response if it has any.
    Revalidate(Why),
    /// The client wants no server to be asked: 504 (RFC 9111, 5.2.1.7).
    OnlyIfCached,
}

/// Why a stale response answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StaleUse {
    /// `stale-while-revalidate`: a fresh one is to be fetched meanwhile.
    WhileRevalidate,
    /// `stale-if-error`: the servers are known to be down, or have just failed.
    IfError,
    /// The client's `max-stale`.
    MaxStale,
}

impl StaleUse {
    /// For logs and `detail` of `Cache-Status`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::WhileRevalidate => "stale-while-revalidate",
            Self::IfError => "stale-if-error",
            Self::MaxStale => "max-stale",
        }
    }
}

/// Why a server must be asked although there is a kept response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is stale.
    Stale,
    /// It was purged softly.
    Purged,
    /// It says `no-cache`.
    NoCache,
    /// The request says `no-cache`, `max-age` or `min-fresh`.
    Request,
}

impl Why {
    /// For logs and `detail` of `Cache-Status`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::Purged => "purged",
            Self::NoCache => "no-cache",
            Self::Request => "request",
        }
    }
}

/// What else the judgement depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    /// The time.
    pub now: Wall,
    /// When it was purged softly, if it was.
    pub purged: Option<Wall>,
    /// True if no server can be asked: the pool's circuit breaker is open, or all of its servers are down.
    pub origin_down: bool,
}

impl Stored {
    /// The response's age in milliseconds.
    pub const fn age_millis(&self, now: Wall) -> u64 {
        now.millis_since(self.born)
    }

    /// The value of `Age`: whole seconds.
    pub const fn age(&self, now: Wall) -> u64 {
        self.age_millis(now) / 1_000
    }

    /// When it becomes stale by itself.
    pub const fn expires(&self) -> Wall {
        self.born.plus_millis(self.lifetime as u64 * 1_000)
    }

    /// True while it is younger than its lifetime. One without a lifetime never is, also for a worker that read its clock before another
    /// one stored the response.
    pub fn is_fresh(&self, now: Wall) -> bool {
        self.age_millis(now) < u64::from(self.lifetime) * 1_000
    }

    /// Seconds of freshness that are left, negative once it is stale: `ttl` of `Cache-Status`.
    pub fn ttl(&self, now: Wall) -> i64 {
        let signed = |at: Wall| i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
        (signed(self.expires()) - signed(now)).div_euclid(1_000)
    }

    /// True if one answer of a server is for other requests as well, which came while the server was asked. One that is to be
    /// revalidated at every use is not: what the server says to one request may depend on who asks.
    pub fn is_for_others(&self) -> bool {
        !self.flags.has(Flags::NO_CACHE) && (self.lifetime > 0 || self.stale_while_revalidate > 0)
    }

    /// When it became or becomes stale.
    fn stale_from(&self, purged: Option<Wall>) -> Wall {
        purged.map_or(self.expires(), |purged| purged.min(self.expires()))
    }

    /// True if it was stale for less than these seconds, and may be used stale at all.
    fn is_within(&self, seconds: u32, moment: &Moment) -> bool {
        let stale = moment.now.millis_since(self.stale_from(moment.purged));
        !self.flags.has(Flags::MUST_REVALIDATE) && stale < u64::from(seconds) * 1_000
    }

    /// When it is of no more use, but for its validators: the store may drop it then.
    pub fn useless_from(&self) -> Wall {
        let window = self.stale_while_revalidate.max(self.stale_if_error);
        self.expires().plus_millis(u64::from(window) * 1_000)
    }
}

/// Judges a kept response that the request selects.
pub fn judge(stored: &Stored, asked: &RequestDirectives, moment: &Moment) -> Verdict {
    let verdict = judge_alone(stored, asked, moment);
    match verdict {
        Verdict::Revalidate(_) if asked.only_if_cached => Verdict::OnlyIfCached,
        other => other,
    }
}

fn judge_alone(stored: &Stored, asked: &RequestDirectives, moment: &Moment) -> Verdict {
    let now = moment.now;
    if stored.flags.has(Flags::NO_CACHE) {
        return Verdict::Revalidate(Why::NoCache);
    }
    let fresh = stored.is_fresh(now) && moment.purged.is_none();
    // A reload asks for `max-age=0`, and need not be asked of the server while the response cannot have changed. One that is
    // forced asks for `no-cache`.
    let unchanged = fresh && stored.flags.has(Flags::IMMUTABLE);
    let too_old = asked.max_age.is_some_and(|max| stored.age_millis(now) >= u64::from(max) * 1_000);
    let refused = if asked.no_cache || too_old && !unchanged {
        Some(Why::Request)
    } else if fresh {
        let left = stored.expires().millis_since(now);
        let too_short = asked.min_fresh.is_some_and(|min| left < u64::from(min) * 1_000);
        if !too_short {
            return Verdict::Fresh;
        }
        Some(Why::Request)
    } else {
        None
    };
    let why = refused.unwrap_or(if moment.purged.is_some() { Why::Purged } else { Why::Stale });
    // A client that sets bounds wants no stale response, unless it says `max-stale` as well.
    let has_bounds = refused.is_some() || asked.max_age.is_some() || asked.min_fresh.is_some();
    if refused.is_none() && is_within_max_stale(stored, asked, moment) {
        return Verdict::Stale(StaleUse::MaxStale);
    }
    if !has_bounds && stored.is_within(stored.stale_while_revalidate, moment) {
        return Verdict::Stale(StaleUse::WhileRevalidate);
    }
    if moment.origin_down && may_use_after_failure(stored, asked, moment) {
        return Verdict::Stale(StaleUse::IfError);
    }
    Verdict::Revalidate(why)
}

fn is_within_max_stale(stored: &Stored, asked: &RequestDirectives, moment: &Moment) -> bool {
    moment.purged.is_none()
        && is_for_clients_to_extend(stored)
        && asked.max_stale.is_some_and(|seconds| stored.is_within(seconds, moment))
}

/// True if a client may say that it accepts the response stale. Not one that was never fresh: the server wants to be asked
/// each time, and may have made it for one user.
fn is_for_clients_to_extend(stored: &Stored) -> bool {
    !stored.flags.has(Flags::SHARED_LIFETIME) && stored.lifetime > 0
}

/// How a request to a server ended without an answer that is of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No server could be reached, or the circuit breaker is open.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// The connection ended, or the answer was malformed.
    Broken,
    /// An answer with this status.
    Status(u16),
}

impl Failure {
    /// True if it is an error for which a stale response may stand (RFC 5861, 4).
    pub const fn is_error(self) -> bool {
        match self {
            Self::Unreachable | Self::Timeout | Self::Broken => true,
            Self::Status(status) => matches!(status, 500 | 502 | 503 | 504),
        }
    }
}

/// What to do when a revalidation has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// Answer with the stale response.
    UseStale,
    /// Pass the server's answer on, or our own error where there is none: 504 if the response must be revalidated (RFC 9111,
    /// 5.2.2.2), else what is sent without a cache.
    PassOn {
        /// True if a stale response was there and must not be used.
        must_revalidate: bool,
    },
}

/// Decides whether a stale response stands in for a failure.
pub fn after_failure(
    stored: &Stored,
    asked: &RequestDirectives,
    moment: &Moment,
    failure: Failure,
) -> AfterFailure {
    if failure.is_error() && may_use_after_failure(stored, asked, moment) {
        return AfterFailure::UseStale;
    }
    AfterFailure::PassOn { must_revalidate: stored.flags.has(Flags::MUST_REVALIDATE) }
}

/// A fresh response is also of use here: a client's reload found no server.
fn may_use_after_failure(stored: &Stored, asked: &RequestDirectives, moment: &Moment) -> bool {
    // What the client says can only shorten what the response or the route allows, or allow it where these say nothing.
    let seconds = match (stored.stale_if_error, asked.stale_if_error) {
        (0, Some(seconds)) if is_for_clients_to_extend(stored) && moment.purged.is_none() => seconds,
        (window, Some(seconds)) => window.min(seconds),
        (window, None) => window,
    };
    stored.is_within(seconds, moment)
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
