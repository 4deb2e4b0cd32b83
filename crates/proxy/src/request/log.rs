//! What is noted of a request on its way goes to the metrics and the access log, once, when it has ended.

use std::borrow::Cow;
use std::time::Duration;

use evenkeel_config::Share;
use evenkeel_net::Peer;
use evenkeel_observe::{
    CacheFigures, CacheLog, CacheResult, Client, Ended, Record, RequestFigures, TraceLog,
    Version as LoggedVersion,
};
use evenkeel_types::Time;

use crate::client::writer::ResponseWriter;
use crate::http::field::Known;
use crate::http::version::Version;
use crate::request::incoming::Request;
use crate::request::{own, spans};
use crate::response::Head;
use crate::worker::Worker;
use crate::worker::pool_view::PoolView;
use crate::worker::view::View;

/// What is noted of a request on its way.
#[derive(Debug, Default)]
pub struct RequestLog {
    /// The route's position.
    pub route: Option<usize>,
    /// The position in the pool of the server that was tried last.
    pub server: Option<usize>,
    /// That pool is the one of the cache nodes that are asked first.
    pub at_parents: bool,
    /// How often the request went on with a newer view of its pool, because it had waited for a server.
    pub renewals: u32,
    /// How many were tried.
    pub tries: u32,
    /// Time spent connecting.
    pub connect: Option<Duration>,
    /// When the request was written to the server.
    pub sent: Option<Time>,
    /// When the last byte of its body was, if it has one.
    uploaded: Option<Time>,
    /// When the head of the final response was there.
    answered: Option<Time>,
    tunnel: Option<(u64, u64)>,
    /// A copy of it is for another pool, once its body has passed.
    pub is_copied: bool,
    /// Why the balancer answered with an error, or did not pass on what the client asked for.
    pub reason: Option<String>,
    /// The same with what is for the log alone, if there is more to say than the client may know.
    pub detail: Option<String>,
    /// What became of a try that failed or was slow, if another server could have made it good.
    pub retry: Option<String>,
    /// What the cache did; `None` where the route has none.
    pub cache: Option<Cached>,
    /// When the first of several servers was asked that had the request at once.
    pub hedged: Option<Time>,
    /// The fields of the response that the log has, in the order of `fields` of `[log]`, with gaps for others.
    kept: Vec<Option<Vec<u8>>>,
}

/// What the cache did for a request.
#[derive(Debug, Clone, Copy)]
pub struct Cached {
    /// What it came to.
    pub result: CacheResult,
    /// Why it was not simply a hit, in a word.
    pub reason: Option<&'static str>,
    /// Whether the request was sent what another one was fetching.
    pub coalesced: bool,
    /// The age of what was sent from the cache, in seconds.
    pub age_s: u64,
}

impl RequestLog {
    /// The head of the request goes out to a server.
    pub fn sends(&mut self, now: Time) {
        (self.sent, self.uploaded) = (Some(now), None);
    }

    /// The server has taken all of the request's body, if it has one, at this time.
    pub fn uploaded(&mut self, at: Option<Time>) {
        self.uploaded = at;
    }

    /// The head of the final response was there.
    pub fn answer_came(&mut self, now: Time) {
        self.answered = Some(now);
    }

    /// A tunnel has ended, in which so many bytes went up and down.
    pub fn tunnelled(&mut self, up: u64, down: u64) {
        self.tunnel = Some((up, down));
    }

    /// Takes over what was noted of a fetch that this request began.
    pub fn adopt(&mut self, fetch: Self) {
        let (route, is_copied, cache) = (self.route, self.is_copied, self.cache.take());
        *self = Self { route, is_copied, cache, ..fetch };
    }

    /// Keeps what the log has of the response, which goes out with this head.
    #[inline]
    pub fn keep_fields(&mut self, view: &View, head: &Head) {
        if view.logs_response_fields {
            self.kept = own::of_response(&view.snapshot.config.log.fields, head);
        }
    }

    /// What became of a try, beside what is noted of it.
    pub fn note(&mut self, what: String) {
        self.retry = Some(match self.retry.take() {
            None => what,
            Some(before) => format!("{before}; {what}"),
        });
    }

    /// Bytes that went up and down a tunnel that has ended.
    pub fn tunnel_bytes(&self) -> (u64, u64) {
        self.tunnel.unwrap_or_default()
    }

    /// How long the client took to send what is sent of its request by now, which may be all of it.
    pub fn uploading(&self, is_over: bool, now: Time) -> Duration {
        let until = if is_over { self.uploaded } else { Some(now) };
        until.zip(self.sent).map_or(Duration::ZERO, |(until, sent)| until - sent)
    }

    /// From the request sent, to its last byte, to the head of its response: how long a client takes to send it is not its
    /// server's doing.
    pub fn first_byte(&self) -> Option<Duration> {
        Some(self.answered? - self.uploaded.or(self.sent)?)
    }
}

/// A request that has ended, whichever way.
#[derive(Debug, Clone, Copy)]
pub struct Finished<'a> {
    /// The listener's name.
    pub listener: &'a str,
    /// Where it stands in the view; `None` if it is not there any more.
    pub position: Option<usize>,
    /// The other end of the connection.
    pub peer: Peer,
    /// The request target as it came.
    pub target: &'a [u8],
    /// The request.
    pub request: &'a Request<'a>,
    /// What its response came to.
    pub writer: &'a ResponseWriter<'a>,
    /// The pool that it went to.
    pub pool: Option<&'a PoolView>,
    /// Bytes of its body.
    pub bytes_in: u64,
    /// What was noted on its way.
    pub log: &'a RequestLog,
    /// How it ended.
    pub ended: Ended,
}

/// Counts a request and writes its line of the access log. Returns the time, which it had to ask for.
pub fn record(worker: &Worker, view: &View, finished: &Finished<'_>) -> Time {
    let Finished { request, writer, log, ended, .. } = *finished;
    let now = worker.clock.now();
    let total = now - request.started;
    let (up, down) = log.tunnel_bytes();
    let (bytes_in, bytes_out) = (finished.bytes_in + up, writer.bytes() + down);
    let first_byte = log.first_byte();
    let before = log.sent.map_or(total, |sent| sent - request.started);
    let figures = RequestFigures {
        status: writer.status(),
        // A tunnel's life is no latency: the request that opened it took until its answer.
        total: log.tunnel.and(log.answered).map_or(total, |answered| answered - request.started),
        upstream: first_byte,
        overhead: before.saturating_sub(log.connect.unwrap_or_default()),
        bytes_in,
        bytes_out,
        tries: log.tries,
        is_broken: writer.status() < 500 && is_broken(ended),
    };
    if writer.status() != 0 {
        if let Some(position) = finished.position {
            view.count_by_listener(position, figures.is_broken || writer.status() >= 500);
        }
        view.count(log.route, finished.pool, log.server, &figures);
    }
    if matches!(ended, Ended::ClientAborted | Ended::ClientTimeout) {
        worker.metrics.client_aborts.increment();
    }
    if let (Some(cached), Some(route)) = (&log.cache, log.route) {
        let route = (route, view.snapshot.routes.route(route));
        let Cached { result, coalesced, age_s, .. } = *cached;
        let figures = CacheFigures { result, coalesced, bytes: writer.bytes(), age_s };
        view.tally.cached(route).shard(worker.index).record(&figures);
    }
    let reason = match (&log.reason, &log.retry) {
        (Some(reason), Some(retry)) => Some(Cow::Owned(format!("{reason}; {retry}"))),
        (one, other) => one.as_deref().or(other.as_deref()).map(Cow::Borrowed),
    };
    if worker.logs() && is_logged(worker, view, finished, total) {
        write_line(worker, view, finished, &RequestFigures { total, ..figures }, reason.as_deref());
    }
    spans::finish(worker, view, finished, reason.as_deref(), now);
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
        Ended::Complete | Ended::Refused => finished.writer.status() < 500,
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
    reason: Option<&str>,
) {
    let Finished { request, writer, log, ended, .. } = *finished;
    let pool = finished.pool.map(PoolView::config);
    let own = own::of(&view.snapshot.config.log.fields, request, &log.kept);
    worker.log(&Record {
        unix_ns: worker.unix_ns(request.started),
        client: match finished.peer {
            Peer::Ip(peer) if peer.ip() == request.client => Client::Peer(request.peer_text, peer.port()),
            Peer::Unix if request.client.is_unspecified() => Client::Unix,
            _ => Client::Ip(request.client, 0),
        },
        listener: finished.listener,
        method: request.method,
        scheme: request.scheme,
        host: request.authority,
        target: finished.target,
        version: version(request.version),
        status: writer.status(),
        route: log.route.map(|route| view.snapshot.routes.route(route).name.as_str()),
        pool: pool.map(|pool| pool.name.as_str()),
        backend: pool.zip(log.server).map(|(pool, server)| pool.backends[server].id.as_str()),
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

/// The version as records have it.
pub fn version(version: Version) -> LoggedVersion {
    match version {
        Version::Http10 => LoggedVersion::Http10,
        Version::Http11 => LoggedVersion::Http11,
        Version::Http2 => LoggedVersion::Http2,
    }
}
