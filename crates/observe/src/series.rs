//! What is counted of the requests that one route sent to one server of one pool.

use std::sync::Arc;
use std::time::Duration;

use evenkeel_types::{BackendId, PoolName, RouteName};

use crate::backend::BackendMetrics;
use crate::counter::Counter;
use crate::histogram::{Histogram, HistogramSnapshot};
use crate::names::CLASSES;
use crate::registry::OTHER;
use crate::worker::WorkerMetrics;

/// Whose requests a series counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesKey {
    /// The route that took the request; empty when none did.
    pub route: RouteName,
    /// `None` when the balancer answered by itself.
    pub pool: Option<PoolName>,
    /// `None` when no server was reached.
    pub backend: Option<BackendId>,
}

impl SeriesKey {
    /// Requests that no route took, or that were refused before one was looked for.
    pub fn unrouted() -> Self {
        Self { route: "".into(), pool: None, backend: None }
    }

    /// True if its requests are those that no route took, or those of all routes for which there is no room.
    pub fn is_of_no_single_route(&self) -> bool {
        matches!(self.route.as_str(), "" | OTHER)
    }
}

/// What is known of a request when it has ended.
#[derive(Debug, Clone, Copy)]
pub struct RequestFigures {
    /// The status sent to the client. One outside 100 to 599 counts as 5xx (RFC 9110, 15).
    pub status: u16,
    /// From the last byte of its head to the last of its response.
    pub total: Duration,
    /// From the request sent to the response head; `None` when no server answered.
    pub upstream: Option<Duration>,
    /// The balancer's own share of `total`.
    pub overhead: Duration,
    /// Bytes of its body.
    pub bytes_in: u64,
    /// Bytes of its response's body.
    pub bytes_out: u64,
    /// How many servers were tried, 0 when none was needed.
    pub tries: u32,
    /// Whether its response broke off by no doing of the client, although its status is none of 5xx.
    pub is_broken: bool,
}

/// The figures of one route, pool and server.
#[derive(Debug)]
pub struct Series {
    shards: Box<[SeriesShard]>,
}

impl Series {
    /// A series whose requests count for their server and workers too.
    pub(crate) fn new(workers: &[Arc<WorkerMetrics>], backend: Option<&Arc<BackendMetrics>>) -> Self {
        let shard = |(index, worker): (usize, &Arc<WorkerMetrics>)| SeriesShard {
            classes: Default::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            retries: Counter::default(),
            broken: Counter::default(),
            total: Histogram::default(),
            index,
            worker: Arc::clone(worker),
            backend: backend.cloned(),
        };
        Self { shards: workers.iter().enumerate().map(shard).collect() }
    }

    /// The part that `worker` alone writes.
    ///
    /// # Panics
    /// When the registry has no such worker.
    #[inline]
    pub fn shard(&self, worker: usize) -> &SeriesShard {
        &self.shards[worker]
    }

    /// Requests of all workers by the class of their status, 1xx first.
    pub(crate) fn classes(&self) -> [u64; CLASSES.len()] {
        let mut classes = [0; CLASSES.len()];
        for shard in &self.shards {
            classes.iter_mut().zip(&shard.classes).for_each(|(sum, class)| *sum += class.value());
        }
        classes
    }

    /// The figures of all workers together.
    pub fn totals(&self) -> SeriesTotals {
        let mut totals = SeriesTotals::default();
        for shard in &self.shards {
            for (sum, class) in totals.classes.iter_mut().zip(&shard.classes) {
                *sum += class.value();
            }
            totals.bytes_in += shard.bytes_in.value();
            totals.bytes_out += shard.bytes_out.value();
            totals.retries += shard.retries.value();
            totals.broken += shard.broken.value();
            totals.duration.merge(&shard.total.snapshot());
        }
        totals
    }
}

/// The figures of one series at one moment.
#[derive(Debug, Clone, Default)]
pub struct SeriesTotals {
    /// Requests by the class of their status, 1xx first.
    pub classes: [u64; CLASSES.len()],
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of response bodies.
    pub bytes_out: u64,
    /// Tries beyond the first.
    pub retries: u64,
    /// Requests whose response broke off by no doing of the client, although its status is none of 5xx.
    pub broken: u64,
    /// How long whole requests took.
    pub duration: HistogramSnapshot,
}

/// What one worker counts of one series: only that worker's thread may write.
#[derive(Debug)]
#[repr(align(128))]
pub struct SeriesShard {
    classes: [Counter; CLASSES.len()],
    bytes_in: Counter,
    bytes_out: Counter,
    retries: Counter,
    broken: Counter,
    total: Histogram,
    index: usize,
    worker: Arc<WorkerMetrics>,
    backend: Option<Arc<BackendMetrics>>,
}

impl SeriesShard {
    /// Counts one request that has ended, in this series, its server's upstream times and its worker's own time.
    #[inline]
    pub fn record(&self, request: &RequestFigures) {
        self.classes[class(request.status)].increment();
        self.bytes_in.add(request.bytes_in);
        self.bytes_out.add(request.bytes_out);
        self.retries.add(u64::from(request.tries.saturating_sub(1)));
        if request.is_broken {
            self.broken.increment();
        }
        self.total.record(request.total);
        self.worker.overhead.record(request.overhead);
        if let (Some(backend), Some(upstream)) = (&self.backend, request.upstream) {
            backend.shard(self.index).upstream.record(upstream);
        }
    }
}

/// The place of a status in [`CLASSES`].
#[inline]
fn class(status: u16) -> usize {
    match status {
        100..=599 => usize::from(status / 100 - 1),
        _ => CLASSES.len() - 1,
    }
}
