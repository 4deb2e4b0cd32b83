//! One request from its admission to its response, in the order in which it happens.

use std::time::Duration;

use evenkeel_config::{Action, HeaderEdits};
use evenkeel_core::plan::{self, Act, Denied, DenyReason, Routed, Taken};
use evenkeel_core::route::stripped;
use evenkeel_observe::{Ended, RequestRefusal};

use crate::cache::{self, Looked};
use crate::client::writer::{ResponseWriter, ToClient, can_stay};
use crate::files;
use crate::filter::compress::compress;
use crate::filter::fields;
use crate::filter::location::restore_prefix;
use crate::forward::outcome::Outcome;
use crate::forward::target::Target;
use crate::forward::{Forwarding, forward};
use crate::request::admit::Refusal;
use crate::request::incoming::{Incoming, Request};
use crate::request::log::RequestLog;
use crate::request::plain::Begun;
use crate::request::setting::Setting;
use crate::request::{answer, limits, mirror};
use crate::response::Response;

/// When a client that an overloaded process turned away may come again.
const OVERLOAD_RETRY_AFTER: Duration = Duration::from_secs(5);

/// Handles a request that was admitted, and may have been `routed`: the response that its client gets.
///
/// # Errors
/// The client has gone, like this.
pub async fn handle<'x, 'c>(
    setting: Setting<'x>,
    routed: Option<Result<Routed<'x>, Denied>>,
    incoming: Incoming<'x, 'c>,
    client: &mut ToClient<'_, 'c>,
    log: &mut RequestLog,
) -> Result<Response<'x, 'c>, Ended> {
    let Setting { worker, view, .. } = setting;
    let (request, snapshot) = (incoming.request, &view.snapshot);
    let taken = match routed.unwrap_or_else(|| setting.route(request, incoming.body.borrow().left())) {
        Ok(Routed::By(taken)) => taken,
        Ok(Routed::ToHttps(to)) => {
            let response = answer::redirect(worker, 308, &to);
            let edits = HeaderEdits::default();
            return Ok(fields::finish(response, worker, request, &edits, request.started));
        }
        Err(denied) => return Ok(deny(setting, incoming, client.writer, log, denied)),
    };
    let Taken { position, route, body_max } = taken;
    log.route = Some(position);
    incoming.body.borrow_mut().limit_bytes(body_max);
    if !route.rate_limits.is_empty() {
        let rated = limits::rates(worker, view, position, request, log).await;
        client.writer.add_fields(rated.lines);
        if let Some(refusal) = rated.refusal {
            return Ok(refuse(setting, incoming, client.writer, log, &refusal, Ended::Refused));
        }
    }
    let finished = |response| Ok(finish(setting, request, taken, response));
    let pool = match plan::act(snapshot, &taken, request, || worker.random()) {
        Ok(Act::Forward(pool)) => pool,
        Ok(Act::Respond(respond)) => return finished(answer::respond(worker, respond)),
        Ok(Act::Redirect { status, location }) => {
            return finished(answer::redirect(worker, status, &location));
        }
        Ok(Act::Files { files, path }) => {
            let response = match files::at_once(worker, request, (files, &path), log) {
                Some(response) => response,
                // In a box, because it is seldom and large.
                None => Box::pin(files::find(worker, incoming, (files, path), client.writer, log)).await?,
            };
            return finished(response);
        }
        Err(denied) => return Ok(deny(setting, incoming, client.writer, log, denied)),
    };
    let pool = setting.pool.get_or_init(|| view.pool_now(pool));
    let target = Target::new(worker, view, route, pool, request);
    log.is_copied = route.mirror.is_some() && mirror::begin(setting, position, incoming);
    let outcome = match &route.cache {
        // In a box, because it needs no room any more while the response is sent.
        None => Box::pin(forward(&mut Forwarding::new(target, incoming), client, log)).await,
        Some(rules) => match cache::look(setting, (rules, position), pool, target, incoming, log) {
            Looked::Answered(outcome) => outcome,
            // In a box, because a cache has most of what it is asked for.
            looked => Box::pin(cache::answer(looked, (target, incoming), client, log)).await,
        },
    };
    of_outcome(setting, incoming, client.writer, log, taken, outcome)
}

/// Goes on with a request that a plain exchange has begun.
///
/// # Errors
/// The client has gone, like this.
pub async fn go_on<'x, 'c>(
    begun: Box<Begun<'x>>,
    setting: Setting<'x>,
    incoming: Incoming<'x, 'c>,
    client: &mut ToClient<'_, 'c>,
    log: &mut RequestLog,
) -> Result<Response<'x, 'c>, Ended> {
    let taken = begun.taken;
    let mut forwarding = match resume(begun, incoming, client.writer) {
        Ok(forwarding) => forwarding,
        Err(refusal) => {
            return Ok(refuse(setting, incoming, client.writer, log, &refusal, Ended::Refused));
        }
    };
    let outcome = Box::pin(forward(&mut forwarding, client, log)).await;
    of_outcome(setting, incoming, client.writer, log, taken, outcome)
}

/// Takes up what a plain exchange has begun, unless a rate limit has refused the request.
fn resume<'x, 'c>(
    begun: Box<Begun<'x>>,
    incoming: Incoming<'x, 'c>,
    writer: &mut ResponseWriter<'c>,
) -> Result<Forwarding<'x, 'c>, Refusal> {
    let Begun { taken, lines, forwarding } = *begun;
    incoming.body.borrow_mut().limit_bytes(taken.body_max);
    writer.add_fields(lines);
    Ok(Forwarding::begun(forwarding?, incoming))
}

/// The response that forwarding a request comes to.
///
/// # Errors
/// The client has gone, like this.
fn of_outcome<'x, 'c>(
    setting: Setting<'x>,
    incoming: Incoming<'x, 'c>,
    writer: &mut ResponseWriter<'c>,
    log: &mut RequestLog,
    taken: Taken<'x>,
    outcome: Outcome<'x, 'c>,
) -> Result<Response<'x, 'c>, Ended> {
    let (request, route) = (incoming.request, taken.route);
    match outcome {
        Outcome::Response(mut response) => {
            if cache::may_invalidate(setting.view, request) {
                cache::invalidate(setting, route, request, &response.head);
            }
            if route.rewrite.is_some()
                && let Some(prefix) = stripped(route, &request.forwarded(route))
            {
                restore_prefix(&mut response.head, prefix, request.authority);
            }
            Ok(finish(setting, request, taken, response))
        }
        Outcome::Gone(ended) => Err(ended),
        Outcome::Refused(refusal, ended) => Ok(refuse(setting, incoming, writer, log, &refusal, ended)),
    }
}

/// Does to a response what its route says.
fn finish<'x, 'c>(
    setting: Setting<'x>,
    request: &Request<'_>,
    Taken { position, route, .. }: Taken<'x>,
    response: Response<'x, 'c>,
) -> Response<'x, 'c> {
    let Setting { worker, view, .. } = setting;
    let response = fields::finish(response, worker, request, &route.response_headers, request.started);
    let Some(settings) = &route.compress else { return response };
    let is_fixed = matches!(route.action, Action::Respond(_));
    let fixed = is_fixed.then_some((&view.fixed_bodies, position));
    compress(response, worker, request, settings, fixed)
}

/// The error of a client whose request the plan lets go no further.
#[cold]
fn deny<'x, 'c>(
    setting: Setting<'x>,
    incoming: Incoming<'x, 'c>,
    writer: &mut ResponseWriter<'c>,
    log: &mut RequestLog,
    denied: Denied,
) -> Response<'x, 'c> {
    let Denied { why, route } = denied;
    log.route = route;
    let kind = match why {
        DenyReason::NoHost => RequestRefusal::Malformed,
        DenyReason::Path(_) => RequestRefusal::BadPath,
        DenyReason::NoRoute => RequestRefusal::NoRoute,
        DenyReason::Overload => RequestRefusal::Overload,
        DenyReason::HeadTooLarge => RequestRefusal::HeadTooLarge,
        DenyReason::BodyTooLarge => RequestRefusal::BodyTooLarge,
        DenyReason::NoTunnel => RequestRefusal::Unsupported,
        DenyReason::NoPool => RequestRefusal::NoBackend,
    };
    let refusal = Refusal::new(why.status(), kind, why.to_string());
    let refusal = if why == DenyReason::Overload { refusal.after(OVERLOAD_RETRY_AFTER) } else { refusal };
    refuse(setting, incoming, writer, log, &refusal, Ended::Refused)
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
        log.noted.refused(kind.as_str());
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
