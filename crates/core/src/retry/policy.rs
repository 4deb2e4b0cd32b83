//! Whether a try that failed is made good by another server, and why not.

use std::fmt;
use std::time::Duration;

use evenkeel_config::{Hedge, HedgeAfter, Retry};
use evenkeel_types::Time;

use super::Latencies;

/// Pauses grow up to this many times `backoff`.
const BACKOFF_GROWTH_MAX: u32 = 10;

/// What has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The server could not be reached, or has said that it did not look at the request: nothing has happened there.
    Connect,
    /// The connection ended before the first byte of an answer.
    Reset,
    /// The connection ended behind the first byte of an answer: its server has acted on the request.
    Begun,
    /// No head of an answer in time.
    Timeout,
    /// An answer with this status.
    Status(u16),
    /// An answer that is none; its server has acted on the request.
    Malformed,
}

/// A try that failed, and what it left behind.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// What has failed.
    pub cause: Cause,
    /// The request's method.
    pub method: &'a str,
    /// True if all of the request is still there.
    pub replayable: bool,
    /// True if bytes of a response have gone to the client.
    pub answered: bool,
    /// Servers that were sent the request so far.
    pub attempts: u32,
    /// Retries made so far, of requests that were sent.
    pub retries: u32,
    /// Why no other server can be asked, if none can.
    pub no_server: Option<Final>,
    /// Now.
    pub now: Time,
    /// When the request must be over.
    pub deadline: Option<Time>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Another server gets the request, after this pause.
    Retry {
        /// How long to wait before.
        after: Duration,
    },
    /// The client gets what there is.
    Final(Final),
}

/// Why there is no retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Final {
    /// A response has begun, and bytes of it may have gone to the client.
    Answered,
    /// The answer came before all of the request was sent: the client may have it at once, and need not send the rest.
    Early,
    /// It is nothing that the route retries.
    NotListed,
    /// The method's requests are not sent twice.
    Method,
    /// The body was too long to be kept.
    Body,
    /// So many servers have had it as may.
    Attempts,
    /// The time is up.
    Deadline,
    /// No server is left that has not had it.
    Servers,
    /// One is left, but too many before it could not be reached.
    Unreachable,
    /// The pool's budget is used up.
    Budget,
    /// As many retries are in flight as the pool allows.
    Limit,
}

impl fmt::Display for Final {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answered => "the response had begun",
            Self::Early => "the answer came before the end of the request",
            Self::NotListed => "the route does not retry that",
            Self::Method => "the method is not to be repeated",
            Self::Body => "the body was not kept",
            Self::Attempts => "no attempt is left",
            Self::Deadline => "no time is left",
            Self::Servers => "no server is left",
            Self::Unreachable => "too many servers could not be reached",
            Self::Budget => "the retry budget is used up",
            Self::Limit => "breaker.max_retries is reached",
        })
    }
}

/// Decides about a failed try. `withdraw` takes a retry out of what the pool can bear, and is asked only when nothing else is
/// in the way; `random` makes the pause a random part of what it may be (full jitter), so that clients do not come back in step.
pub fn retry(
    policy: &Retry,
    attempt: &Attempt<'_>,
    withdraw: impl FnOnce() -> Result<(), Final>,
    random: impl FnOnce() -> u64,
) -> Decision {
    let refusal = if attempt.cause == Cause::Connect {
        refusal_unsent(policy, attempt)
    } else {
        refusal_sent(policy, attempt)
    };
    if let Some(why) = refusal {
        return Decision::Final(why);
    }
    if attempt.cause == Cause::Connect {
        return Decision::Retry { after: Duration::ZERO };
    }
    let after = pause(policy.backoff, attempt.retries, random);
    if attempt.deadline.is_some_and(|deadline| attempt.now + after >= deadline) {
        return Decision::Final(Final::Deadline);
    }
    withdraw().map_or_else(Decision::Final, |()| Decision::Retry { after })
}

/// Nothing has happened: only what makes another try impossible stands in its way.
fn refusal_unsent(policy: &Retry, attempt: &Attempt<'_>) -> Option<Final> {
    let late = attempt.deadline.is_some_and(|deadline| attempt.now >= deadline);
    match attempt {
        _ if attempt.answered => Some(Final::Answered),
        _ if !policy.on.connect => Some(Final::NotListed),
        _ if !attempt.replayable => Some(Final::Body),
        _ if late => Some(Final::Deadline),
        _ => attempt.no_server,
    }
}

fn refusal_sent(policy: &Retry, attempt: &Attempt<'_>) -> Option<Final> {
    let is_listed = match attempt.cause {
        Cause::Connect => policy.on.connect,
        Cause::Reset | Cause::Begun => policy.on.reset,
        Cause::Timeout => policy.on.timeout,
        Cause::Status(status) => policy.on.holds_status(status),
        Cause::Malformed => false,
    };
    match attempt {
        _ if attempt.answered => Some(Final::Answered),
        _ if !is_listed => Some(Final::NotListed),
        _ if attempt.cause == Cause::Begun => Some(Final::Answered),
        _ if !policy.repeats(attempt.method) => Some(Final::Method),
        _ if attempt.attempts >= policy.attempts => Some(Final::Attempts),
        _ if !attempt.replayable => Some(Final::Body),
        _ => attempt.no_server,
    }
}

fn pause(backoff: Duration, retries: u32, random: impl FnOnce() -> u64) -> Duration {
    if backoff.is_zero() || retries == 0 {
        return Duration::ZERO;
    }
    let growth = 1_u32.checked_shl(retries - 1).unwrap_or(u32::MAX).min(BACKOFF_GROWTH_MAX);
    let most = u64::try_from((backoff * growth).as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(random() % most.saturating_add(1))
}

/// How long a server may be silent before another one is asked as well; `None` while that is not known, or if the route
/// hedges nothing.
pub fn hedge_after(hedge: Option<&Hedge>, latencies: &Latencies, now: Time) -> Option<Duration> {
    match hedge?.after {
        HedgeAfter::Fixed(after) => Some(after),
        HedgeAfter::P95 => latencies.p95(now),
    }
}

/// A route's policy in a line, for people.
pub fn describe(policy: &Retry) -> String {
    if *policy == Retry::off() {
        return "never".into();
    }
    let (servers, on) = (policy.attempts, policy.on.words().join(", "));
    format!(
        "sent to at most {servers} servers, on {on}; {} after it was sent; budget {}%",
        policy.methods.join(", "),
        policy.budget
    )
}

/// A route's hedging in a line, for people.
pub fn describe_hedge(hedge: &Hedge) -> String {
    let after = match hedge.after {
        HedgeAfter::P95 => "what 95 of 100 answers take".to_owned(),
        HedgeAfter::Fixed(after) => format!("{after:?}"),
    };
    format!("another server is asked after {after}")
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
