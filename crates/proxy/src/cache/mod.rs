//! The cache on the way of a request: a kept response answers it, or one fetch does for all that ask at the same time.
//!
//! [`answer`] is the whole of it; what may be kept and for how long is decided in `core::cache`, where it is kept is
//! `evenkeel_cache`'s affair.

pub mod body;
mod facts;
mod fetch;
mod kept;
mod visit;

pub use self::facts::{Meta, Store};

use evenkeel_config::Cache;
use evenkeel_core::cache::{Bypass, CacheOutcome, CacheStatus, Forward, admit, invalidated};
use evenkeel_core::cache::Scope;

use self::facts::RequestFields;
use self::visit::Visit;
use crate::client::writer::ToClient;
use crate::forward::forward;
use crate::forward::outcome::Outcome;
use crate::forward::target::Target;
use crate::http::framing::Framing;
use crate::request::incoming::Incoming;
use crate::request::log::RequestLog;
use crate::request::setting::Setting;

/// Answers a request whose route has a cache.
pub async fn answer<'x, 'c>(
    setting: Setting<'x>,
    (rules, position): (&'x Cache, usize),
    target: Target<'x>,
    incoming: Incoming<'x, 'c>,
    client: &mut ToClient<'_, 'c>,
    log: &mut RequestLog,
) -> Outcome<'x, 'c> {
    let request = incoming.request;
    let has_body = incoming.body.borrow().framing() != Framing::Empty;
    let admitted = admit(rules, request.method, &RequestFields(request), (has_body, request.upgrade.is_some()));
    match admitted {
        Ok(asked) => {
            let key = facts::key(rules, &target, request);
            let visit = Visit { setting, position, target, incoming, asked, key };
            visit.answer(client, log).await
        }
        Err(why) => pass_by(setting, why, target, incoming, client, log).await,
    }
}

/// The cache is not asked. What the request changes at the server is not kept any longer (RFC 9111, 4.4).
async fn pass_by<'x, 'c>(
    setting: Setting<'x>,
    why: Bypass,
    target: Target<'x>,
    incoming: Incoming<'x, 'c>,
    client: &mut ToClient<'_, 'c>,
    log: &mut RequestLog,
) -> Outcome<'x, 'c> {
    let request = incoming.request;
    let mut outcome = forward(target, incoming, client, log).await;
    if let Outcome::Response(response) = &mut outcome {
        let asked = request.forwarded(target.route);
        let of = (request.authority, &*asked, request.query);
        for scope in invalidated(request.method, response.head.status, of, &response.head) {
            purge(setting, scope);
        }
        let forward = if why == Bypass::Method { Forward::Method } else { Forward::Bypass };
        note(&mut response.head, forward, Some(why.word()));
    }
    outcome
}

/// Says in the response why the cache did not answer.
fn note(head: &mut crate::response::Head, why: Forward, detail: Option<&'static str>) {
    let outcome = CacheOutcome::Forwarded { why, status: None, stored: false, collapsed: false };
    head.field("cache-status", CacheStatus { outcome, ttl: None, detail }.member().as_bytes());
}

fn purge(setting: Setting<'_>, scope: Scope) {
    setting.worker.shared.cache.purge(scope, false);
}
