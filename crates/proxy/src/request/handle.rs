//! One request from its admission to its response, in the order in which it happens.

use std::time::Duration;

use evenkeel_config::{Action, HeaderEdits, Route};
use evenkeel_core::route::{https_location, location};
use evenkeel_observe::{Ended, RequestRefusal};

use crate::client::writer::{ResponseWriter, ToClient, can_stay};
use crate::filter::fields;
use crate::forward::forward;
use crate::forward::outcome::Outcome;
use crate::forward::target::Target;
use crate::request::admit::Refusal;
use crate::request::incoming::Incoming;
use crate::request::log::RequestLog;
use crate::request::overload::shed;
use crate::request::setting::Setting;
use crate::request::{answer, limits, mirror};
use crate::response::Response;

/// Handles a request that was admitted: the response that its client gets.
///
/// # Errors
/// The client has gone, like this.
pub async fn handle<'x, 'c>(
    setting: Setting<'x>,
    incoming: Incoming<'x, 'c>,
    client: &mut ToClient<'_, 'c>,
    log: &mut RequestLog,
) -> Result<Response<'x, 'c>, Ended> {
    let Setting { worker, view, listener, .. } = setting;
    let request = incoming.request;
    if view.listener(listener).redirect_to_https {
        return Ok(to_https(setting, incoming, client.writer, log));
    }
    let Some(position) = view.snapshot.routes.find(listener, request) else {
        let refusal = Refusal::new(404, RequestRefusal::NoRoute, "no route for this request");
        return Ok(refuse(setting, incoming, client.writer, log, &refusal, Ended::Refused));
    };
    log.route = Some(position);
    let route = view.snapshot.routes.route(position);
    let refusal = shed(worker, route).or_else(|| limits::sizes(view, route, incoming));
    let refusal = match refusal {
        None if !route.rate_limits.is_empty() => {
            limits::rates(worker, view, position, request, client.writer, log).await
        }
        refusal => refusal,
    };
    if let Some(refusal) = refusal {
        return Ok(refuse(setting, incoming, client.writer, log, &refusal, Ended::Refused));
    }
    let response = match &route.action {
        Action::Respond(respond) if request.takes_for_tunnel(respond.status) => {
            let refusal = Refusal::new(501, RequestRefusal::Unsupported, "no tunnel to a fixed response");
            return Ok(refuse(setting, incoming, client.writer, log, &refusal, Ended::Refused));
        }
        Action::Respond(respond) => answer::respond(worker, respond),
        Action::Redirect(redirect) => {
            let to = location(redirect, request.scheme, request.authority, &request.path, request.query);
            answer::redirect(worker, redirect.status, &to)
        }
        Action::Pool(_) | Action::Split(_) => {
            match forwarded(setting, (position, route), incoming, client, log).await {
                Outcome::Response(response) => response,
                Outcome::Gone(ended) => return Err(ended),
                Outcome::Refused(refusal, ended) => {
                    return Ok(refuse(setting, incoming, client.writer, log, &refusal, ended));
                }
            }
        }
    };
    Ok(fields::finish(response, worker, request, &route.response_headers, request.started))
}

/// Sends the request to one of the route's pools.
async fn forwarded<'x, 'c>(
    setting: Setting<'x>,
    (position, route): (usize, &'x Route),
    incoming: Incoming<'x, 'c>,
    client: &mut ToClient<'_, 'c>,
    log: &mut RequestLog,
) -> Outcome<'x, 'c> {
    let Setting { worker, view, .. } = setting;
    let Some(pool) = view.snapshot.pool_of(position, worker.random()) else {
        let refusal = Refusal::new(503, RequestRefusal::NoBackend, "no pool for this request");
        return Outcome::Refused(refusal, Ended::Refused);
    };
    let pool = setting.pool.get_or_init(|| view.pool_now(pool));
    let target = Target::new(worker, view, route, pool, incoming.request);
    log.is_copied = route.mirror.is_some() && mirror::begin(setting, position, incoming);
    forward(target, incoming, client, log).await
}

/// Sends the client to the same place over TLS.
fn to_https<'x, 'c>(
    setting: Setting<'x>,
    incoming: Incoming<'x, 'c>,
    writer: &mut ResponseWriter<'c>,
    log: &mut RequestLog,
) -> Response<'x, 'c> {
    let request = incoming.request;
    if request.host.is_empty() {
        let refusal = Refusal::new(400, RequestRefusal::Malformed, "host is missing");
        return refuse(setting, incoming, writer, log, &refusal, Ended::Refused);
    }
    let config = &setting.view.snapshot.config;
    let to = https_location(config, request.authority, &request.host, &request.path, request.query);
    let response = answer::redirect(setting.worker, 308, &to);
    fields::finish(response, setting.worker, request, &HeaderEdits::default(), request.started)
}

/// The error that a client gets, counted and noted.
pub fn refuse<'x, 'c>(
    setting: Setting<'x>,
    incoming: Incoming<'x, 'c>,
    writer: &mut ResponseWriter<'c>,
    log: &mut RequestLog,
    refusal: &Refusal,
    ended: Ended,
) -> Response<'x, 'c> {
    let worker = setting.worker;
    if let Some(kind) = refusal.kind {
        worker.metrics.request_refused(kind);
    }
    log.reason = Some(log.detail.take().unwrap_or_else(|| refusal.why.to_string()));
    writer.keep_alive &= can_stay(&incoming.body.borrow(), refusal.status);
    let response = answer::refuse(worker, refusal, incoming.request, ended);
    fields::finish(response, worker, incoming.request, &HeaderEdits::default(), worker.clock.now())
}

/// Refuses the request of a client that asks more over one connection than it may; its next chance is `retry` away.
pub fn refuse_too_fast<'x, 'c>(
    setting: Setting<'x>,
    incoming: Incoming<'x, 'c>,
    writer: &mut ResponseWriter<'c>,
    log: &mut RequestLog,
    retry: Duration,
) -> Response<'x, 'c> {
    let refusal = limits::too_fast(retry, setting.worker, writer);
    refuse(setting, incoming, writer, log, &refusal, Ended::Refused)
}
