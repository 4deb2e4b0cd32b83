//! A request that has ended goes to the metrics, the access log and the flight recorder, once, whichever way it ended.

use std::time::Duration;

use evenkeel_config::Share;
use evenkeel_observe::{
    CacheFigures, CacheLog, Client, Ended, Record, RenderedWay, RequestFigures, TraceLog,
};
use evenkeel_types::Time;

use crate::http::field::Known;
use crate::request::log::{Cached, Finished};
use crate::request::{flight, own, spans};
use crate::worker::Worker;
use crate::worker::pool_view::PoolView;
use crate::worker::view::View;

/// Counts a request and writes its line of the access log. Returns the time, which it had to ask for.
pub fn record(worker: &Worker, view: &View, finished: &Finished<'_>) -> Time {
    let Finished { request, delivered, log, ended, .. } = *finished;
    let now = worker.clock.now();
    let total = now - request.started;
    let (up, down) = log.tunnel_bytes();
    let (bytes_in, bytes_out) = (finished.bytes_in + up, delivered.bytes + down);
    let first_byte = log.first_byte();
    let before = log.sent.map_or(total, |sent| sent - request.started);
    let figures = RequestFigures {
        status: delivered.status,
        // A tunnel's life is no latency: the request that opened it took until its answer.
        total: log.tunnel.and(log.answered).map_or(total, |answered| answered - request.started),
        upstream: first_byte,
        overhead: before.saturating_sub(log.connect.unwrap_or_default()),
        bytes_in,
        bytes_out,
        tries: log.tries,
        is_broken: delivered.status < 500 && is_broken(ended),
    };
    let mut way = None;
    if delivered.status != 0 {
        if let Some(position) = finished.position {
            view.count_by_listener(position, figures.is_broken || delivered.status >= 500);
        }
        way = Some(view.count(log.route, finished.pool, log.server, &figures));
    }
    if matches!(ended, Ended::ClientAborted | Ended::ClientTimeout) {
        worker.metrics.client_aborts.increment();
    }
    if let (Some(cached), Some(route)) = (&log.cache, log.route) {
        let route = (route, view.snapshot.routes.route(route));
        let Cached { result, coalesced, age_s, .. } = *cached;
        let figures = CacheFigures { result, coalesced, bytes: delivered.bytes, age_s };
        view.tally.cached(route).shard(worker.index).record(&figures);
    }
    let reason = log.why();
    if worker.logs() && is_logged(worker, view, finished, total) {
        let figures = RequestFigures { total, ..figures };
        write_line(worker, view, finished, &figures, (way.as_deref(), reason.as_deref()));
    }
    spans::finish(worker, view, finished, reason.as_deref(), now);
    if !flight::is_ordinary(worker, view, finished, &figures, now) {
        flight::keep(worker, view, finished, &figures, now);
    }
    now
}

/// True if a response broke off by no doing of its client.
fn is_broken(ended: Ended) -> bool {
    matches!(
        ended,
        Ended::BackendAborted | Ended::BackendTimeout | Ended::FileAborted | Ended::RequestTimeout
    )
}

/// Whether a request that took `total` is logged: all are, unless their route logs a share of those that are neither failed nor slow.
#[inline]
fn is_logged(worker: &Worker, view: &View, finished: &Finished<'_>, total: Duration) -> bool {
    let Some(route) = finished.log.route else { return true };
    let share = view.snapshot.routes.route(route).log.0;
    if share == Share::ALL {
        return true;
    }
    let is_good = match finished.ended {
        Ended::Complete | Ended::Refused => finished.delivered.status < 500,
        // It lives as long as it is wanted.
        Ended::Tunnel => return share.holds(worker.random()),
        _ => false,
    };
    !is_good || total >= view.snapshot.config.log.slow || share.holds(worker.random())
}

fn write_line(
    worker: &Worker,
    view: &View,
    finished: &Finished<'_>,
    figures: &RequestFigures,
    (way, reason): (Option<&RenderedWay>, Option<&str>),
) {
    let Finished { request, delivered, log, ended, .. } = *finished;
    let pool = finished.pool.map(PoolView::config);
    let client = finished.client();
    let own = own::of(&view.snapshot.config.log.fields, request, &log.kept);
    worker.log(&Record {
        unix_ns: worker.unix_ns(request.started),
        client,
        origin: finished.origin.filter(|_| matches!(client, Client::Peer(..))),
        listener: finished.listener,
        method: request.method,
        scheme: request.scheme,
        host: request.authority,
        target: finished.target,
        version: finished.version(),
        status: delivered.status,
        route: log.route.map(|route| view.snapshot.routes.route(route).name.as_str()),
        pool: pool.map(|pool| pool.name.as_str()),
        backend: pool.zip(log.server).map(|(pool, server)| pool.backends[server].id.as_str()),
        way,
        tries: log.tries,
        total: figures.total,
        connect: log.connect,
        first_byte: figures.upstream,
        bytes_in: figures.bytes_in,
        bytes_out: figures.bytes_out,
        request_id: &request.id,
        user_agent: request.values(Known::UserAgent).next(),
        referer: request.values(Known::Referer).next(),
        ended,
        reason,
        cache: log.cache.map(|cached| CacheLog { result: cached.result, reason: cached.reason }),
        trace: request.trace.get().map(|trace| TraceLog {
            trace_id: trace.id.0,
            span_id: trace.span.0,
            sampled: trace.is_sampled(),
        }),
        fields: &own,
    });
}
