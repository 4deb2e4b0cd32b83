//! One request from its admission to its record, in the order in which it happens.

use std::rc::Rc;
use std::time::Duration;

use evenkeel_config::{Action, HeaderEdits};
use evenkeel_core::route::{https_location, location};
use evenkeel_observe::{Ended, RequestRefusal};

use crate::forward::{Destination, Ending, forward};
use crate::request::admit::Refusal;
use crate::request::exchange::Exchange;
use crate::request::log::Trail;
use crate::request::overload::shed;
use crate::request::{answer, limits, mirror};
use crate::worker::Worker;
use crate::worker::timer::WriteError;
use crate::worker::view::View;

/// Handles a request that was admitted through the listener at position `listener`, and tells how it ended.
pub async fn handle(
    worker: &Rc<Worker>,
    view: &View,
    listener: usize,
    exchange: &mut Exchange<'_>,
    trail: &mut Trail,
) -> Ended {
    exchange.reply.answers_head(exchange.request.is_head());
    if view.listener(listener).redirect_to_https {
        return to_https(worker, view, exchange, trail).await;
    }

    let Some(position) = view.snapshot.routes.find(listener, &exchange.request) else {
        let refusal = Refusal::new(404, RequestRefusal::NoRoute, "no route for this request");
        return refuse(worker, exchange, trail, &refusal, Ended::Refused).await;
    };
    trail.route = Some(position);
    let route = view.snapshot.routes.route(position);
    if let Some(refusal) = shed(worker, route) {
        return refuse(worker, exchange, trail, &refusal, Ended::Refused).await;
    }
    if let Some(refusal) = limits::sizes(view, route, exchange) {
        return refuse(worker, exchange, trail, &refusal, Ended::Refused).await;
    }
    if !route.rate_limits.is_empty()
        && let Some(refusal) = limits::rates(worker, view, position, exchange, trail).await
    {
        return refuse(worker, exchange, trail, &refusal, Ended::Refused).await;
    }

    let Exchange { request, reply, .. } = exchange;
    let edits = &route.response_headers;
    match &route.action {
        Action::Respond(respond) if request.takes_for_tunnel(respond.status) => {
            let refusal = Refusal::new(501, RequestRefusal::Unsupported, "no tunnel to a fixed response");
            refuse(worker, exchange, trail, &refusal, Ended::Refused).await
        }
        Action::Respond(respond) => settle(answer::respond(reply, respond, &request.id, edits).await),
        Action::Redirect(redirect) => {
            let to = location(redirect, request.scheme, request.authority, &request.path, request.query);
            settle(answer::redirect(reply, redirect.status, &to, &request.id, edits).await)
        }
        Action::Pool(_) | Action::Split(_) => {
            let Some(pool) = view.snapshot.pool_of(position, worker.random()) else {
                let refusal = Refusal::new(503, RequestRefusal::NoBackend, "no pool for this request");
                return refuse(worker, exchange, trail, &refusal, Ended::Refused).await;
            };
            trail.pool = Some(pool);
            let to = Destination::new(view, (position, route), pool, request);
            let is_copied = route.mirror.is_some() && mirror::begin(worker, view, position, exchange);
            let ending = forward(worker, &to, exchange, trail).await;
            if is_copied {
                mirror::finish(worker, view, position, exchange);
            }
            (trail.held, trail.seat) = (None, None);
            match ending {
                Ending::Answered => Ended::Complete,
                Ending::Tunnelled => Ended::Tunnel,
                Ending::ClientGone(ended) => ended,
                Ending::Refused(refusal, ended) => refuse(worker, exchange, trail, &refusal, ended).await,
                Ending::Cut(ended, why) => {
                    trail.reason = Some(why);
                    exchange.reply.cut();
                    ended
                }
            }
        }
    }
}

/// Sends the client to the same place over TLS.
async fn to_https(worker: &Worker, view: &View, exchange: &mut Exchange<'_>, trail: &mut Trail) -> Ended {
    let Exchange { request, reply, .. } = exchange;
    if request.host.is_empty() {
        let refusal = Refusal::new(400, RequestRefusal::Malformed, "host is missing");
        return refuse(worker, exchange, trail, &refusal, Ended::Refused).await;
    }
    let config = &view.snapshot.config;
    let to = https_location(config, request.authority, &request.host, &request.path, request.query);
    settle(answer::redirect(reply, 308, &to, &request.id, &HeaderEdits::default()).await)
}

async fn refuse(
    worker: &Worker,
    exchange: &mut Exchange<'_>,
    trail: &mut Trail,
    refusal: &Refusal,
    ended: Ended,
) -> Ended {
    let Exchange { request, body, reply, .. } = exchange;
    if let Some(kind) = refusal.kind {
        worker.metrics.request_refused(kind);
    }
    trail.reason = Some(trail.detail.take().unwrap_or_else(|| refusal.why.to_string()));
    reply.reset();
    // A body that nobody will read to its end, or that cannot be read, leaves nothing to go on with.
    reply.keep_alive &= body.is_worth_draining() && !matches!(refusal.status, 400 | 408 | 413);
    match answer::refuse(reply, refusal, request).await {
        Ok(()) => ended,
        Err(gone) => gone_as(&gone),
    }
}

/// Answers a client that asks more over one connection than it may; its next chance is `retry` away.
pub async fn refuse_too_fast(
    worker: &Worker,
    retry: Duration,
    exchange: &mut Exchange<'_>,
    trail: &mut Trail,
) -> Ended {
    exchange.reply.answers_head(exchange.request.is_head());
    let refusal = limits::too_fast(retry, worker, exchange);
    refuse(worker, exchange, trail, &refusal, Ended::Refused).await
}

fn settle(sent: Result<(), WriteError>) -> Ended {
    sent.map_or_else(|gone| gone_as(&gone), |()| Ended::Complete)
}

fn gone_as(gone: &WriteError) -> Ended {
    match gone {
        WriteError::Failed => Ended::ClientAborted,
        WriteError::Stalled => Ended::ClientTimeout,
    }
}
