//! Whether a request may pass, by how many others came before it.

pub mod redis;

use std::sync::Arc;
use std::time::Duration;

use crate::http::write;
use evenkeel_config::RedisAway;
use evenkeel_core::limit::{self, LimitVerdict, Limiter, Mask};
use evenkeel_observe::flight::StepKind;
use evenkeel_observe::{LimitOutcome, RequestRefusal};

use super::admit::Refusal;
use super::incoming::Request;
use super::log::RequestLog;
use crate::client::writer::ResponseWriter;
use crate::worker::Worker;
use crate::worker::view::View;

/// From when on a wait for the shared rate-limit Redis is worth a note.
const NOTED_WAIT: Duration = Duration::from_millis(1);

/// What the rate limits of a route have come to.
#[derive(Debug, Default)]
pub struct Rated {
    /// Lines for the response, whatever that is: how the limits stand.
    pub lines: Vec<u8>,
    /// Why the request goes no further, if it does not.
    pub refusal: Option<Refusal>,
}

/// Asks the rate limits of the route at `position`.
pub async fn rates(
    worker: &Worker,
    view: &View,
    position: usize,
    request: &Request<'_>,
    log: &mut RequestLog,
) -> Rated {
    let limits = view.snapshot.limits.of(position);
    let shared = mask_of(limits, |limiter| limiter.config.shared);
    let own = limit::ask(limits, !shared, request, request.started);
    let (verdict, away) = if shared == 0 || own.refused(limits).is_some() {
        (own, false)
    } else {
        // In a box, because most routes have none.
        let began = worker.clock.now();
        let asked = Box::pin(ask_shared(view, position, shared, request, own)).await;
        let now = worker.clock.now();
        if now - began >= NOTED_WAIT {
            log.noted.open().waited(began, now, StepKind::Limit, "it waited for the shared rate-limit Redis");
        }
        asked
    };
    conclude(worker, view, position, (&verdict, away), log)
}

/// The same where none of the limits is shared through Redis, without a wait; `None` if one is.
pub fn rates_at_once(
    worker: &Worker,
    view: &View,
    position: usize,
    request: &Request<'_>,
    log: &mut RequestLog,
) -> Option<Rated> {
    let limits = view.snapshot.limits.of(position);
    if limits.is_empty() {
        return Some(Rated::default());
    }
    if limits.iter().any(|limiter| limiter.config.shared) {
        return None;
    }
    let verdict = limit::ask(limits, Mask::MAX, request, request.started);
    Some(conclude(worker, view, position, (&verdict, false), log))
}

/// Counts and notes what the limits have said, and says it to the client. They are `away` if Redis cannot be asked, and one of
/// them then lets nothing pass.
fn conclude(
    worker: &Worker,
    view: &View,
    position: usize,
    (verdict, away): (&LimitVerdict, bool),
    log: &mut RequestLog,
) -> Rated {
    let limits = view.snapshot.limits.of(position);
    tell(view, position, verdict, log);
    let mut lines = worker.buffers.tiny();
    write_standings(&mut lines, limits, verdict);
    let refused = verdict.refused(limits);
    if let Some((_, retry)) = refused {
        write_retry(&mut lines, retry);
    }
    let mut note = |what: String| {
        log.noted.open().step(worker.clock.now(), StepKind::Limit, what);
    };
    let refusal = match refused {
        _ if away => {
            note("the shared rate-limit Redis does not answer, and a limit refuses meanwhile".into());
            Some(Refusal::new(503, RequestRefusal::LimiterAway, "rate limit cannot be checked"))
        }
        Some((limit, _)) => {
            let limit = &limits[limit].config;
            note(format!("rate limit reached: {limit}"));
            Some(Refusal::new(429, RequestRefusal::RateLimited, format!("rate limit {} reached", limit.name)))
        }
        None => None,
    };
    Rated { lines, refusal }
}

/// Asks the shared limits too, after those of this process had a token; true if they cannot be asked, and so refuse.
async fn ask_shared(
    view: &View,
    position: usize,
    shared: Mask,
    request: &Request<'_>,
    mut verdict: LimitVerdict,
) -> (LimitVerdict, bool) {
    let limits = view.snapshot.limits.of(position);
    let is_asked = view.ask_redis(position, shared, request, &mut verdict).await;
    let away = !is_asked && ask_here(view, position, shared, request, &mut verdict);
    if away || verdict.refused(limits).is_some() {
        limit::put_back(limits, !shared, &mut verdict, request, request.started);
    }
    (verdict, away)
}

/// A client that asks more over one connection than it may.
pub fn too_fast(retry: Duration, worker: &Worker, writer: &mut ResponseWriter<'_>) -> Refusal {
    let mut lines = worker.buffers.tiny();
    write_retry(&mut lines, retry);
    writer.add_fields(lines);
    writer.keep_alive = false;
    Refusal::new(429, RequestRefusal::ConnectionRate, "too many requests over this connection")
}

/// What holds while Redis does not answer; true if one of the limits then lets nothing pass.
fn ask_here(
    view: &View,
    position: usize,
    shared: Mask,
    request: &Request<'_>,
    verdict: &mut LimitVerdict,
) -> bool {
    let limits = view.snapshot.limits.of(position);
    let route = (position, view.snapshot.routes.route(position));
    for limit in (0..limits.len()).filter(|limit| shared & 1 << limit != 0) {
        view.tally.limited(route, limit, LimitOutcome::RedisAway);
    }
    let does = |wanted| {
        move |limiter: &Limiter| limiter.config.shared && limiter.config.when_redis_is_away == wanted
    };
    let refuses = |limiter: &Limiter| does(RedisAway::Refuse)(limiter) && !limiter.config.dry_run;
    if mask_of(limits, refuses) != 0 {
        return true;
    }
    let here = limit::ask(limits, mask_of(limits, does(RedisAway::Local)), request, request.started);
    for (standing, here) in verdict.standings.iter_mut().zip(here.standings) {
        *standing = standing.or(here);
    }
    verdict.forgot |= here.forgot;
    false
}

fn mask_of(limits: &[Arc<Limiter>], wanted: impl Fn(&Limiter) -> bool) -> Mask {
    let bit = |(position, limiter): (usize, &Arc<Limiter>)| Mask::from(wanted(limiter)) << position;
    limits.iter().enumerate().map(bit).fold(0, |mask, bit| mask | bit)
}

/// Counts what the limits did, and notes for the log what one of them would have done.
fn tell(view: &View, position: usize, verdict: &LimitVerdict, log: &mut RequestLog) {
    let limits = view.snapshot.limits.of(position);
    let route = (position, view.snapshot.routes.route(position));
    for (limit, (limiter, standing)) in limits.iter().zip(&verdict.standings).enumerate() {
        if standing.is_some_and(|standing| standing.refused) {
            let outcome =
                if limiter.config.dry_run { LimitOutcome::WouldRefuse } else { LimitOutcome::Refused };
            view.tally.limited(route, limit, outcome);
            if limiter.config.dry_run {
                log.reason = Some(format!("rate limit {} would refuse", limiter.config.name));
            }
        }
        if verdict.forgot & 1 << limit != 0 {
            view.tally.limited(route, limit, LimitOutcome::Forgot);
        }
    }
}

/// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10): of each limit what it allows, and the
/// tokens that are left with the seconds until there is one more.
fn write_standings(out: &mut Vec<u8>, limits: &[Arc<Limiter>], verdict: &LimitVerdict) {
    let asked = limits.iter().zip(&verdict.standings);
    let shown = asked
        .filter_map(|(limiter, standing)| Some((limiter, standing.filter(|_| !limiter.config.dry_run)?)));
    let mut before = "ratelimit-policy: ";
    for (limiter, _) in shown.clone() {
        out.extend_from_slice(before.as_bytes());
        out.extend_from_slice(limiter.policy.as_bytes());
        before = ", ";
    }
    before = "\r\nratelimit: \"";
    for (limiter, standing) in shown {
        out.extend_from_slice(before.as_bytes());
        out.extend_from_slice(limiter.config.name.as_bytes());
        out.extend_from_slice(b"\";r=");
        write::number(out, u64::from(standing.remaining));
        if !standing.next.is_zero() {
            out.extend_from_slice(b";t=");
            write::number(out, seconds(standing.next));
        }
        before = ", \"";
    }
    if !out.is_empty() {
        out.extend_from_slice(b"\r\n");
    }
}

/// `Retry-After` in whole seconds (RFC 9110, 10.2.3), never too few.
fn write_retry(out: &mut Vec<u8>, retry: Duration) {
    out.extend_from_slice(b"retry-after: ");
    write::number(out, seconds(retry));
    out.extend_from_slice(b"\r\n");
}

fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
