//! Whether a request is traced, decided once its route is known; and its spans, once it has ended.

use evenkeel_config::{PathMatch, Propagation, Route, RouteTrace, Tracing};
use evenkeel_core::plan::{Denied, Routed};
use evenkeel_core::trace_context::{self as context, Incoming, SpanId, TRACESTATE, TraceId};
use evenkeel_net::Peer;
use evenkeel_observe::RequestTrace;
use evenkeel_types::Time;

use super::incoming::Request;
use super::log::{Finished, version};
use super::trace::{Passed, Trace};
use crate::http::field::Known;
use crate::worker::Worker;
use crate::worker::pool_view::PoolView;
use crate::worker::view::View;

/// Bytes of a text in a span at most.
const TEXT_MAX: usize = 2_048;
/// Bytes of `tracestate` that the span keeps; the server gets all of it (Trace Context, 3.3.1.5).
const STATE_MAX: usize = 512;

/// Gives a request whose route is known its place in a trace, unless there is no `[tracing]`, or its route is not traced.
#[inline]
pub fn begun(worker: &Worker, view: &View, request: &Request<'_>, routed: &Result<Routed<'_>, Denied>) {
    if let Some(tracing) = &view.snapshot.config.tracing {
        let route = match routed {
            Ok(Routed::By(taken)) => Some(taken.route),
            Ok(Routed::ToHttps(_)) => None,
            Err(denied) => denied.route.map(|route| view.snapshot.routes.route(route)),
        };
        begin_by(tracing, worker, request, route);
    }
}

#[inline(never)]
fn begin_by(tracing: &Tracing, worker: &Worker, request: &Request<'_>, route: Option<&Route>) {
    let share = match route.and_then(|route| route.trace) {
        Some(RouteTrace::Off) => return,
        Some(RouteTrace::Share(share)) => share,
        None => tracing.sample,
    };
    let said = match request.known.holds(Known::TraceContext) {
        true => context::read(&tracing.propagate, |name| request.only(name)),
        false => Incoming::default(),
    };
    let decides = (tracing.parent_decides, request.trusted);
    let is_sampled = context::is_sampled(said.sampled, decides, share, || worker.random());
    let (id, parent) = match said.parent {
        Some((id, parent)) => (id, Some(parent)),
        None => (fresh_id(worker, request), None),
    };
    let span = SpanId::of(worker.random());
    let trace = Trace::new(id, span, parent, said.is_w3c, is_sampled);
    // It is empty: this is called once for each request.
    let _ = request.trace.set(Box::new(trace));
}

/// The id of a trace that begins here: the request's own where that has the form of one, so that it finds the trace.
fn fresh_id(worker: &Worker, request: &Request<'_>) -> TraceId {
    TraceId::read(request.id.as_bytes()).unwrap_or_else(|| {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&SpanId::of(worker.random()).0);
        id[8..].copy_from_slice(&worker.random().to_be_bytes());
        TraceId(id)
    })
}

/// What the request to the server at `position` says of its trace; `None` if what came passes through.
pub fn passed<'a>(view: &'a View, request: &'a Request<'_>, position: Option<usize>) -> Option<Passed<'a>> {
    let trace = request.trace.get()?;
    let span = position.map_or(trace.span, |position| trace.span_at(position));
    let forms: &[Propagation] =
        view.snapshot.config.tracing.as_ref().map_or(&[], |tracing| &tracing.propagate);
    Some(Passed { trace, span, forms })
}

/// Sends the spans of a request that has ended `now`, if it is traced.
#[inline]
pub fn finish(worker: &Worker, view: &View, finished: &Finished<'_>, reason: Option<&str>, now: Time) {
    if let Some(trace) = finished.request.trace.get()
        && trace.is_sampled()
    {
        worker.trace(record(worker, view, (finished, trace), reason, now));
    }
}

#[cold]
fn record(
    worker: &Worker,
    view: &View,
    (finished, trace): (&Finished<'_>, &Trace),
    reason: Option<&str>,
    now: Time,
) -> RequestTrace {
    let Finished { request, delivered, log, ended, .. } = *finished;
    let pool = finished.pool.map(PoolView::config);
    let (up, down) = log.tunnel_bytes();
    let route = log.route.map(|route| view.snapshot.routes.route(route));
    let peer = match finished.peer {
        Peer::Ip(peer) => Some(peer),
        Peer::Unix => None,
    };
    let unix_ns = |time| worker.unix_ns(time);
    // A span holds no secret that the flight recorder would not keep.
    let redactor = &view.flight.redactor;
    RequestTrace {
        trace_id: trace.id.0,
        span_id: trace.span.0,
        parent: trace.parent.map(|parent| parent.0),
        state: if trace.keeps_state { state(request) } else { String::new() },
        began_unix_ns: unix_ns(request.started),
        ended_unix_ns: unix_ns(now),
        method: text(request.method.as_bytes()),
        scheme: request.scheme,
        host: text(request.host.as_bytes()),
        port: request.port,
        path: text(request.path.as_bytes()),
        query: request.query.map(|query| redactor.query(&text(query.as_bytes()))),
        version: version(request.version),
        client: (request.client, peer),
        user_agent: request
            .values(Known::UserAgent)
            .next()
            .map(|agent| redactor.field("user-agent", &text(agent))),
        request_id: request.id.to_string(),
        listener: finished.listener.to_owned(),
        route: route.map(|route| (route.name.clone(), pattern(&route.path))),
        pool: pool.map(|pool| pool.name.clone()),
        server: pool.zip(log.server).map(|(pool, server)| pool.backends[server].id.clone()),
        status: delivered.status,
        ended,
        reason: reason.map(|reason| redactor.url(&text(reason.as_bytes()))),
        cache: log.cache.map(|cached| cached.result),
        bytes: (finished.bytes_in + up, delivered.bytes + down),
        tries: trace.take_tries(now, unix_ns),
    }
}

/// `tracestate`, whose lines are one list; empty if it is longer than spans keep.
fn state(request: &Request<'_>) -> String {
    let named = |name: &[u8]| name.eq_ignore_ascii_case(TRACESTATE.as_bytes());
    let lines = request.fields.iter().filter(|field| named(field.name.of_bytes(request.bytes)));
    let lines: Vec<_> =
        lines.map(|line| String::from_utf8_lossy(line.value.of_bytes(request.bytes))).collect();
    let all = lines.join(",");
    if all.len() > STATE_MAX { String::new() } else { all }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_MAX)]).into_owned()
}

/// What a route matches of paths, where that is no regular expression.
fn pattern(path: &PathMatch) -> Option<String> {
    match path {
        PathMatch::Exact(path) => Some(path.clone()),
        PathMatch::Prefix(prefix) => Some(format!("{}/*", prefix.trim_end_matches('/'))),
        PathMatch::Regex(_) => None,
    }
}
