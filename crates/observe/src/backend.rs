//! What is counted of one server of one pool: its connections and failures by the workers, its state by the control
//! side.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::counter::{Counter, Gauge, SharedCounter, WorkerGauge};
use crate::histogram::{Histogram, HistogramSnapshot};
use crate::names::{BackendFailure, OutlierCause, OutlierOutcome, ProbeResult};
use crate::notes::ServerNotes;

/// The figures of one server of one pool.
#[derive(Debug)]
pub struct BackendMetrics {
    /// 1 when it takes new requests, else 0.
    pub up: Gauge,
    state: Mutex<Option<&'static str>>,
    /// Requests that it is working on.
    pub in_flight: Gauge,
    /// Thousandths of the weight that it counts with.
    pub weight_milli: Gauge,
    /// Its circuit breaker: 0 closed, 1 open, 2 half open.
    pub breaker_state: Gauge,
    /// True if it is not shown by itself, because too many others are.
    pub(crate) is_folded: bool,
    /// How it failed lately, and what its last check came to.
    pub notes: ServerNotes,
    database: Mutex<Option<Database>>,
    probes: [SharedCounter; ProbeResult::ALL.len()],
    outliers: [[SharedCounter; OutlierOutcome::ALL.len()]; OutlierCause::ALL.len()],
    transitions: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    shards: Box<[BackendShard]>,
}

/// What a check of a database has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Database {
    /// `primary` or `replica`.
    pub role: &'static str,
    /// Of PostgreSQL.
    pub timeline: Option<u32>,
    /// Bytes by which a replica lagged.
    pub lag: Option<u64>,
}

impl BackendMetrics {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            up: Gauge::default(),
            state: Mutex::default(),
            in_flight: Gauge::default(),
            weight_milli: Gauge::default(),
            breaker_state: Gauge::default(),
            is_folded: false,
            notes: ServerNotes::default(),
            database: Mutex::default(),
            probes: Default::default(),
            outliers: Default::default(),
            transitions: Mutex::default(),
            shards: (0..workers).map(|_| BackendShard::default()).collect(),
        }
    }

    /// One that is not shown by itself.
    pub(crate) fn folded(self) -> Self {
        Self { is_folded: true, ..self }
    }

    /// The part that `worker` alone writes.
    ///
    /// # Panics
    /// When the registry has no such worker.
    #[inline]
    pub fn shard(&self, worker: usize) -> &BackendShard {
        &self.shards[worker]
    }

    /// Counts an active health check.
    pub fn probed(&self, result: ProbeResult) {
        self.probes[result as usize].increment();
    }

    /// Notes the state that it is in, in the words that health has for states; `None` when it is up.
    pub fn set_state(&self, state: Option<&'static str>) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// The state that was noted last.
    pub(crate) fn state(&self) -> Option<&'static str> {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a check of a database has found.
    pub fn set_database(&self, found: Option<Database>) {
        *self.database.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }

    /// What the last check of a database has found; `None` of a server that is none.
    pub fn database(&self) -> Option<Database> {
        *self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a change of state, in the words that health has for states.
    pub fn transition(&self, from: &'static str, to: &'static str) {
        *self.transitions.lock().unwrap_or_else(PoisonError::into_inner).entry((from, to)).or_default() += 1;
    }

    /// Counts that live traffic spoke against it.
    pub fn stood_out(&self, cause: OutlierCause, outcome: OutlierOutcome) {
        self.outliers[cause as usize][outcome as usize].increment();
    }

    /// How often live traffic spoke against it in the way of `cause` with this outcome.
    pub fn outliers(&self, cause: OutlierCause, outcome: OutlierOutcome) -> u64 {
        self.outliers[cause as usize][outcome as usize].value()
    }

    /// What it did in tries since the process started, for comparing it with others.
    pub fn tries(&self) -> Tries {
        let mut tries = Tries::default();
        for shard in &self.shards {
            let kinds = BackendFailure::ALL.iter().filter(|kind| **kind != BackendFailure::Status);
            let broken: u64 = kinds.map(|kind| shard.failures(*kind)).sum();
            tries.ended += shard.answered.value() + broken;
            tries.failed += shard.answered_badly.value() + broken;
            tries.timed += shard.timed.value();
            tries.latency_sum += Duration::from_nanos(shard.latency_ns.value());
        }
        tries
    }

    /// Active health checks that ended with `result`.
    pub fn probes(&self, result: ProbeResult) -> u64 {
        self.probes[result as usize].value()
    }

    /// Every change of state seen so far, as from, to and how often.
    pub fn transitions(&self) -> Vec<(&'static str, &'static str, u64)> {
        let transitions = self.transitions.lock().unwrap_or_else(PoisonError::into_inner);
        transitions.iter().map(|(&(from, to), &count)| (from, to, count)).collect()
    }

    /// From request sent to response head, over all workers.
    pub fn upstream(&self) -> HistogramSnapshot {
        let mut all = HistogramSnapshot::default();
        self.shards.iter().for_each(|shard| all.merge(&shard.upstream.snapshot()));
        all
    }

    /// A counter of the shards, added up.
    pub(crate) fn total(&self, counter: impl Fn(&BackendShard) -> u64) -> u64 {
        self.shards.iter().map(counter).sum()
    }

    /// True if it was ever asked, or is being asked.
    pub(crate) fn was_used(&self) -> bool {
        let tried = |shard: &BackendShard| shard.connections_opened.value() + shard.connect_failures.value();
        self.in_flight.value() != 0 || self.total(tried) > 0
    }

    /// Idle connections of all workers.
    pub fn connections_idle(&self) -> i64 {
        self.shards.iter().map(|shard| shard.connections_idle.value()).sum()
    }
}

/// What the tries at a server came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tries {
    /// Those that have ended. A response that broke off behind its head counts as two, one of them failed.
    pub ended: u64,
    /// Those without an answer, or with a 5xx.
    pub failed: u64,
    /// Those whose time counts: answered well, or given up for taking too long.
    pub timed: u64,
    /// Their times, added up.
    pub latency_sum: Duration,
}

/// What one worker counts of one server: only that worker's thread may write.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct BackendShard {
    /// Connections opened to it.
    pub connections_opened: Counter,
    /// Requests sent on a connection that had served an earlier one.
    pub connections_reused: Counter,
    /// Open connections that wait for a request.
    pub connections_idle: WorkerGauge,
    /// Connections that could not be opened.
    pub connect_failures: Counter,
    pub(crate) upstream: Histogram,
    answered: Counter,
    answered_badly: Counter,
    timed: Counter,
    latency_ns: Counter,
    failures: [Counter; BackendFailure::ALL.len()],
}

impl BackendShard {
    /// Counts a try that was answered, for comparing servers; `took` is from the request sent to the head of its
    /// response. Unlike the histogram it counts retried answers too, and without waiting for a body's end.
    #[inline]
    pub fn answered(&self, status: u16, took: Option<Duration>) {
        self.answered.increment();
        if status >= 500 {
            self.answered_badly.increment();
        } else if let Some(took) = took {
            self.took(took);
        }
    }

    /// Counts the time of a try that was well answered, or that was given up after so long.
    #[inline]
    pub fn took(&self, time: Duration) {
        self.timed.increment();
        self.latency_ns.add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Counts a try that failed by the server's doing; `connect_failures` is the caller's to count as well.
    pub fn failed(&self, kind: BackendFailure) {
        self.failures[kind as usize].increment();
    }

    /// Tries that failed in the way of `kind`.
    pub fn failures(&self, kind: BackendFailure) -> u64 {
        self.failures[kind as usize].value()
    }
}
