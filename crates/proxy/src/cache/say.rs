//! What the log says of the cache's part in a request, and the refusals of the cache.

use evenkeel_core::cache::Forward;
use evenkeel_observe::{CacheResult, Ended};

use crate::forward::outcome::Outcome;
use crate::request::admit::Refusal;
use crate::request::log::{Cached, RequestLog};

/// Notes what the cache did for a request whose response does not come from it.
pub fn say(log: &mut RequestLog, result: CacheResult, reason: Option<&'static str>, coalesced: bool) {
    log.cache = Some(Cached { result, reason, coalesced, age_s: 0 });
}

/// What it is called that a request went to a server.
pub fn result_of(why: Forward) -> CacheResult {
    match why {
        Forward::Stale | Forward::Request => CacheResult::Expired,
        Forward::Bypass | Forward::Method => CacheResult::Bypass,
        Forward::UriMiss | Forward::VaryMiss | Forward::Miss | Forward::Partial => CacheResult::Miss,
    }
}

/// Another request has found that no server can be reached: this one need not try.
#[cold]
pub fn unreachable<'x, 'c>(status: u16, why: Forward, log: &mut RequestLog) -> Outcome<'x, 'c> {
    say(log, result_of(why), Some("no-response"), true);
    let (why, ended) = match status {
        504 => ("no connection to a server in time", Ended::BackendTimeout),
        _ => ("cannot connect to a server", Ended::BackendAborted),
    };
    log.detail = Some(format!("{why}, as another request for the same has found"));
    Outcome::Refused(Refusal { status, kind: None, why: why.into(), retry_after: None }, ended)
}

/// The client wants no server to be asked (RFC 9111, 5.2.1.7).
pub fn only_if_cached<'x, 'c>(log: &mut RequestLog) -> Outcome<'x, 'c> {
    say(log, CacheResult::Miss, Some("only-if-cached"), false);
    let refusal = Refusal { status: 504, kind: None, why: "not in the cache".into(), retry_after: None };
    Outcome::Refused(refusal, Ended::Refused)
}
