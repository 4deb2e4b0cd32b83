//! The way of what the cache does not have: through a node of the pool of parents, if the route names one, else to its own pool.

use std::rc::Rc;

use evenkeel_config::Cache;
use evenkeel_core::cache::{CdnLoop, cdn_loop};
use evenkeel_observe::RequestRefusal;

use super::facts;
use crate::client::writer::ToClient;
use crate::forward::outcome::Outcome;
use crate::forward::target::Target;
use crate::forward::{Forwarding, forward};
use crate::http::field::Known;
use crate::request::admit::Refusal;
use crate::request::incoming::{Incoming, Request};
use crate::request::log::RequestLog;
use crate::request::setting::Setting;
use crate::worker::pool_view::PoolView;

/// The parents of a route, as this worker sees them when a request comes to them.
pub fn parents_of<'x>(setting: Setting<'x>, (rules, position): (&Cache, usize)) -> Option<&'x Rc<PoolView>> {
    rules.parent.as_ref()?;
    let pool = setting.view.snapshot.parent_of(position)?;
    Some(setting.parents.get_or_init(|| setting.view.pool_now(pool)))
}

/// Forwards a request that the cache may answer: to the parent that owns its key, and if no parent answers, to the route's own pool.
/// `target` is the latter.
pub async fn forward_up<'x, 'c>(
    (rules, position): (&'x Cache, usize),
    parents: Option<&'x Rc<PoolView>>,
    target: Target<'x>,
    incoming: Incoming<'x, 'c>,
    client: &mut ToClient<'_, 'c>,
    log: &mut RequestLog,
) -> Outcome<'x, 'c> {
    let Some(parents) = parents else {
        return forward(&mut Forwarding::new(target, incoming), client, log).await;
    };
    let key = facts::shared_hash(rules, &target, incoming.request);
    let above = Target { pool: parents, owner_of: Some(key), ..target };
    log.at_parents = true;
    let refused = match forward(&mut Forwarding::new(above, incoming), client, log).await {
        Outcome::Refused(refusal, _) if !target.is_over() => refusal,
        outcome => return outcome,
    };
    (log.at_parents, log.renewals) = (false, 0);
    log.server = None;
    let (worker, view) = (target.worker, target.view);
    view.tally.cached((position, target.route)).shard(worker.index).went_past_parents();
    let why = log.detail.take().unwrap_or_else(|| refused.why.to_string());
    let (name, own) = (&above.pool().name, &target.pool().name);
    log.note(format!("no parent in pool {name} has answered ({why}), so pool {own} was asked"));
    forward(&mut Forwarding::new(target, incoming), client, log).await
}

/// True if no server would take a request of this target now.
pub fn is_down(target: &Target<'_>) -> bool {
    let now = target.worker.clock.now();
    target.state().members.usable_count() == 0 || target.side().gate.is_circuit_open(now)
}

/// The refusal of a request that goes in a circle among cache nodes (RFC 8586).
pub fn loops(target: &Target<'_>, request: &Request<'_>) -> Option<Refusal> {
    if !request.known.holds(Known::CdnLoop) {
        return None;
    }
    let found: CdnLoop = cdn_loop(request.values(Known::CdnLoop), &target.worker.shared.node)?;
    Some(Refusal::new(508, RequestRefusal::Loop, found.to_string()))
}
