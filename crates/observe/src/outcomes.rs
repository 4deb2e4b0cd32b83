//! What is counted of rate limits, mirrors and Redis: by outcome, each worker for itself.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::counter::{Counter, Gauge, SharedCounter};
use crate::names::{LimitOutcome, MirrorOutcome};

/// Outcomes that are told apart at most.
const OUTCOMES_MAX: usize = 4;
const _: () = assert!(LimitOutcome::ALL.len() <= OUTCOMES_MAX && MirrorOutcome::ALL.len() <= OUTCOMES_MAX);

/// The counters of one worker, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard([Counter; OUTCOMES_MAX]);

#[derive(Debug)]
struct Outcomes(Box<[Shard]>);

impl Outcomes {
    fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Shard::default()).collect())
    }

    fn total(&self, outcome: usize) -> u64 {
        self.0.iter().map(|shard| shard.0[outcome].value()).sum()
    }
}

/// What one rate limit of one route came to.
#[derive(Debug)]
pub struct LimitCounts(Outcomes);

impl LimitCounts {
    pub(crate) fn new(workers: usize) -> Self {
        Self(Outcomes::new(workers))
    }

    /// Counts a request; only `worker` itself may.
    pub fn count(&self, worker: usize, outcome: LimitOutcome) {
        self.0.0[worker].0[outcome as usize].increment();
    }

    pub(crate) fn total(&self, outcome: LimitOutcome) -> u64 {
        self.0.total(outcome as usize)
    }
}

/// What the copies of one route's requests came to.
#[derive(Debug)]
pub struct MirrorCounts(Outcomes);

impl MirrorCounts {
    pub(crate) fn new(workers: usize) -> Self {
        Self(Outcomes::new(workers))
    }

    /// Counts a copy; only `worker` itself may.
    pub fn count(&self, worker: usize, outcome: MirrorOutcome) {
        self.0.0[worker].0[outcome as usize].increment();
    }

    pub(crate) fn total(&self, outcome: MirrorOutcome) -> u64 {
        self.0.total(outcome as usize)
    }
}

/// What is known of the Redis of `[redis]`, to which each worker has a connection.
#[derive(Debug, Default)]
pub struct RedisFigures {
    /// Workers that are connected to it.
    pub connected: Gauge,
    /// Questions that got no answer, and connections that could not be opened.
    pub errors: SharedCounter,
    away: AtomicUsize,
}

impl RedisFigures {
    /// It has failed a worker; true if it had failed none before.
    pub fn went_away(&self) -> bool {
        self.away.fetch_add(1, Relaxed) == 0
    }

    /// It answers a worker again that it had failed; true if it fails no other.
    pub fn came_back(&self) -> bool {
        self.away.fetch_sub(1, Relaxed) == 1
    }

    /// True if it answers everybody who asks.
    pub(crate) fn is_up(&self) -> bool {
        self.connected.value() > 0 && self.away.load(Relaxed) == 0
    }
}
