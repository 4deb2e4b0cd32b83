//! The cache on the way of a request: a kept response answers it, or one fetch does for all that ask at the same time.
//!
//! [`look`] and [`answer`] are the whole of it; what may be kept and for how long is decided in `core::cache`, where it is kept is
//! `evenkeel_cache`'s affair.

pub mod body;
mod disk;
mod facts;
mod fetch;
mod kept;
mod parent;
mod say;
pub mod store;
mod visit;

pub use self::facts::{Beside, RequestFields, beside};

use std::rc::Rc;

use evenkeel_cache::Found;
use evenkeel_config::{Cache, Route};
use evenkeel_core::cache::{
    Bypass, CacheOutcome, CacheStatus, Forward, Scope, Strength, admit, admit_plain, invalidated,
};
use evenkeel_observe::{CacheResult, Ended, PurgeMode, PurgeScope};

use self::say::say;
use self::store::Meta;
use self::visit::Visit;
use crate::client::writer::ToClient;
use crate::forward::outcome::Outcome;
use crate::forward::target::Target;
use crate::forward::{Forwarding, forward};
use crate::http::field::Known;
use crate::http::framing::Framing;
use crate::request::admit::Refusal;
use crate::request::incoming::{Incoming, Request};
use crate::request::log::RequestLog;
use crate::request::setting::Setting;
use crate::response::{Head, Response};
use crate::worker::pool_view::PoolView;
use crate::worker::view::View;

/// What a look into the cache came to.
pub enum Looked<'x, 'c> {
    /// The answer.
    Answered(Outcome<'x, 'c>),
    /// A server is to be asked, or the disk, or what another request does is to be waited for.
    Begun(Visit<'x, 'c>, Found<Meta>),
    /// The cache is not asked.
    PassedBy(Bypass),
}

/// Looks for the answer to a request whose route has a cache. Waits for nothing.
pub fn look<'x, 'c>(
    setting: Setting<'x>,
    (rules, position): (&'x Cache, usize),
    pool: &'x Rc<PoolView>,
    target: Target<'x>,
    incoming: Incoming<'x, 'c>,
    log: &mut RequestLog,
) -> Looked<'x, 'c> {
    let request = incoming.request;
    if let Some(refusal) = parent::loops(&target, request) {
        say(log, CacheResult::Bypass, Some("loop"), false);
        return Looked::Answered(Outcome::Refused(refusal, Ended::Refused));
    }
    if request.method == PURGE && !setting.view.snapshot.config.cache.purge_from.is_empty() {
        return Looked::Answered(purge_by_method(setting, target, incoming, log));
    }
    let has_body = incoming.body.borrow().framing() != Framing::Empty;
    let content = (has_body, request.upgrade.is_some());
    let admitted = if request.known.holds(Known::SpeaksToCaches) {
        admit(rules, request.method, &RequestFields(request), content)
    } else {
        admit_plain(rules, request.method, content)
    };
    let asked = match admitted {
        Ok(asked) => asked,
        Err(why) => return Looked::PassedBy(why),
    };
    let beside = facts::beside(request);
    if beside == Beside::Method {
        return Looked::PassedBy(Bypass::OtherMethod);
    }
    let mut key = setting.worker.buffers.small();
    facts::write_key(rules, &target, request, &beside, &mut key);
    let visit = Visit { setting, rules, position, pool, target, incoming, asked, key };
    match visit.at_once(log) {
        Ok(response) => {
            setting.worker.buffers.give(visit.key);
            Looked::Answered(Outcome::Response(response))
        }
        Err(found) => Looked::Begun(visit, found),
    }
}

/// The answer to a request after a look into the cache.
pub async fn answer<'x, 'c>(
    looked: Looked<'x, 'c>,
    (target, incoming): (Target<'x>, Incoming<'x, 'c>),
    client: &mut ToClient<'_, 'c>,
    log: &mut RequestLog,
) -> Outcome<'x, 'c> {
    match looked {
        Looked::Answered(outcome) => outcome,
        Looked::PassedBy(why) => pass_by(why, target, incoming, client, log).await,
        Looked::Begun(visit, found) => {
            let outcome = visit.answer(found, client, log).await;
            visit.setting.worker.buffers.give(visit.key);
            outcome
        }
    }
}

/// The method that purges the URL that it names, for those in `cache.purge_from`.
const PURGE: &str = "PURGE";

/// A client purges what is kept for a URL.
fn purge_by_method<'x, 'c>(
    setting: Setting<'x>,
    target: Target<'x>,
    incoming: Incoming<'x, 'c>,
    log: &mut RequestLog,
) -> Outcome<'x, 'c> {
    let (worker, request) = (setting.worker, incoming.request);
    say(log, CacheResult::Bypass, Some("purge"), false);
    let client = request.client.to_canonical();
    if !setting.view.snapshot.config.cache.purge_from.iter().any(|net| net.contains(&client)) {
        let why = "this client may not purge";
        return Outcome::Refused(
            Refusal { status: 403, kind: None, why: why.into(), retry_after: None },
            Ended::Refused,
        );
    }
    if worker.shared.cache.is_cut_off() {
        let why = "another process serves from now on: send the request again, over another connection";
        return Outcome::Refused(
            Refusal { status: 503, kind: None, why: why.into(), retry_after: Some(1) },
            Ended::Refused,
        );
    }
    let path = request.forwarded(target.route);
    worker.shared.registry.purges.count(PurgeScope::Url, PurgeMode::Hard);
    purge(setting, Scope::url(request.authority, &path, request.query));
    let mut head = Head::new(200, b"OK", worker.buffers.medium());
    head.field("content-type", b"text/plain; charset=utf-8");
    Outcome::Response(Response::of_bytes(head, &b"purged\n"[..]))
}

/// True of a request that may change at a server what some cache keeps.
#[inline]
pub fn may_invalidate(view: &View, request: &Request<'_>) -> bool {
    view.uses().caches && !matches!(request.method, "GET" | "HEAD")
}

/// What a request has changed at a server is not kept any longer (RFC 9111, 4.4), whichever route it took.
#[cold]
pub fn invalidate(setting: Setting<'_>, route: &Route, request: &Request<'_>, head: &Head) {
    let asked = request.forwarded(route);
    let of = (request.authority, &*asked, request.query);
    for scope in invalidated(request.method, head.status, of, head) {
        purge(setting, scope);
    }
}

/// The cache is not asked.
async fn pass_by<'x, 'c>(
    why: Bypass,
    target: Target<'x>,
    incoming: Incoming<'x, 'c>,
    client: &mut ToClient<'_, 'c>,
    log: &mut RequestLog,
) -> Outcome<'x, 'c> {
    say(log, CacheResult::Bypass, Some(why.word()), false);
    let mut outcome = forward(&mut Forwarding::new(target, incoming), client, log).await;
    if let Outcome::Response(response) = &mut outcome {
        let forward = if why == Bypass::Method { Forward::Method } else { Forward::Bypass };
        note(&mut response.head, forward, Some(why.word()));
    }
    outcome
}

/// Says in the response why the cache did not answer.
fn note(head: &mut Head, why: Forward, detail: Option<&'static str>) {
    let outcome = CacheOutcome::Forwarded { why, status: None, stored: false, collapsed: false };
    kept::write_status(head, &CacheStatus { outcome, ttl: None, detail });
}

fn purge(setting: Setting<'_>, scope: Scope) {
    setting.worker.shared.cache.purge(&scope, Strength::Hard);
}
