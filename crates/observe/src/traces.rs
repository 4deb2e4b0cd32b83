//! Traces of requests: what a worker notes of each traced one, and hands over in batches to what sends them to the collector.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use evenkeel_types::{Address, BackendId, PoolName, RouteName};

use crate::access::{Ended, Version};
use crate::names::CacheResult;
use crate::registry::Registry;

/// Batches that may wait for the exporter; what comes while so many wait is dropped and counted.
const BATCHES_MAX: usize = 64;

/// Requests in a batch at most. With [`BATCHES_MAX`] and some 2 KiB for each, 8 MiB may wait.
const BATCH_MAX: usize = 64;

/// One request that was traced, and has ended.
#[derive(Debug, Clone)]
pub struct RequestTrace {
    /// The trace.
    pub trace_id: [u8; 16],
    /// The span of the request.
    pub span_id: [u8; 8],
    /// The span that it came from, at another process.
    pub parent: Option<[u8; 8]>,
    /// `tracestate` as it came; empty without.
    pub state: String,
    /// When its head was there, in nanoseconds since the Unix epoch.
    pub began_unix_ns: u64,
    /// When its response was sent, in nanoseconds since the Unix epoch.
    pub ended_unix_ns: u64,
    /// The method, as it came.
    pub method: String,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The host, without the port.
    pub host: String,
    /// The port that the client came to; `None` over a unix socket.
    pub port: Option<u16>,
    /// The path, as routes are matched.
    pub path: String,
    /// Behind the `?`.
    pub query: Option<String>,
    /// The version that the client spoke.
    pub version: Version,
    /// The client, and the peer if it has an address.
    pub client: (IpAddr, Option<SocketAddr>),
    /// `User-Agent`, cut where it is long.
    pub user_agent: Option<String>,
    /// As in `X-Request-Id`.
    pub request_id: String,
    /// The listener's name.
    pub listener: String,
    /// The route, and what it matches of paths if that is no regular expression.
    pub route: Option<(RouteName, Option<String>)>,
    /// The pool.
    pub pool: Option<PoolName>,
    /// The server that gave the final answer.
    pub server: Option<BackendId>,
    /// The status sent to the client; 0 when none was.
    pub status: u16,
    /// How it ended.
    pub ended: Ended,
    /// Why the balancer answered with an error, or why more than one server was asked.
    pub reason: Option<String>,
    /// What the cache did; `None` where the route has none.
    pub cache: Option<CacheResult>,
    /// Bytes of the request's body, and of the response's.
    pub bytes: (u64, u64),
    /// The tries at servers, in the order in which they began.
    pub tries: Vec<TryTrace>,
}

/// One try at a server.
#[derive(Debug, Clone)]
pub struct TryTrace {
    /// Its span.
    pub span_id: [u8; 8],
    /// The server's pool.
    pub pool: PoolName,
    /// The server.
    pub server: BackendId,
    /// Its address.
    pub address: Address,
    /// True if it was asked beside another that was slow.
    pub is_hedge: bool,
    /// When the server was chosen, in nanoseconds since the Unix epoch.
    pub began_unix_ns: u64,
    /// When it had answered or failed, in nanoseconds since the Unix epoch.
    pub ended_unix_ns: u64,
    /// The status that the server answered with; 0 when it did not.
    pub status: u16,
    /// How it failed: a word, and the sentence of the log.
    pub error: Option<(&'static str, String)>,
}

impl RequestTrace {
    /// How many spans it makes.
    pub fn spans(&self) -> u64 {
        1 + self.tries.len() as u64
    }
}

/// What reaches the exporter.
#[derive(Debug)]
pub enum TraceMessage {
    /// Requests that have ended.
    Batch(Vec<RequestTrace>),
    /// The exporter has other orders.
    Wake,
}

/// The end of the channel that workers send by.
#[derive(Debug, Clone)]
pub struct Traces {
    to_exporter: SyncSender<TraceMessage>,
    registry: Arc<Registry>,
}

impl Traces {
    /// A channel to an exporter, which counts in `registry` what it loses.
    pub fn new(registry: Arc<Registry>) -> (Self, Receiver<TraceMessage>) {
        let (to_exporter, receiver) = sync_channel(BATCHES_MAX);
        (Self { to_exporter, registry }, receiver)
    }

    /// Has the exporter look at its orders. It does so by itself once it has taken what waits.
    pub fn wake(&self) {
        let _ = self.to_exporter.try_send(TraceMessage::Wake);
    }

    /// Where spans are counted.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// What one worker adds its requests to.
    pub fn worker(&self) -> WorkerTraces {
        WorkerTraces { traces: self.clone(), batch: Vec::new() }
    }
}

/// A worker's end; dropping it flushes.
#[derive(Debug)]
pub struct WorkerTraces {
    traces: Traces,
    batch: Vec<RequestTrace>,
}

impl WorkerTraces {
    /// Adds a request.
    pub fn record(&mut self, request: RequestTrace) {
        self.batch.push(request);
        if self.batch.len() >= BATCH_MAX {
            self.flush();
        }
    }

    /// Whether requests wait for a [`flush`](Self::flush), which should follow within 100 ms or so.
    pub fn pending(&self) -> bool {
        !self.batch.is_empty()
    }

    /// Hands over what waits. Never blocks.
    pub fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let batch = TraceMessage::Batch(std::mem::take(&mut self.batch));
        let Err(error) = self.traces.to_exporter.try_send(batch) else { return };
        let (TrySendError::Full(lost) | TrySendError::Disconnected(lost)) = error;
        if let TraceMessage::Batch(lost) = lost {
            self.traces.registry.spans_dropped.add(lost.iter().map(|request| request.spans()).sum());
        }
    }
}

impl Drop for WorkerTraces {
    fn drop(&mut self) {
        self.flush();
    }
}
