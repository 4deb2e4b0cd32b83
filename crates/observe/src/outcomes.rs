//! What is counted of rate limits, mirrors and Redis: by outcome, each worker for itself.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use crate::counter::{Counter, SharedCounter};
use crate::names::{LimitOutcome, MirrorOutcome};

/// The maximum of different outcomes.
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

/// How one worker's connection to Redis stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisLink {
    /// Not known yet.
    Connecting,
    /// It answers.
    Up,
    /// It has failed.
    Away,
    /// No configuration uses it any more.
    Gone,
}

/// What a worker's connection changes for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisNews {
    /// Redis has failed a worker, and none before.
    WentAway,
    /// It had failed and does not any more, because Redis answers again or the configuration changed.
    CameBack,
}

/// What is known of the Redis of `[redis]`, to which each worker has a connection.
#[derive(Debug, Default)]
pub struct RedisFigures {
    /// Questions that got no answer, and connections that could not be opened.
    pub errors: SharedCounter,
    /// Connections by how they stand, but for those that are gone.
    links: [AtomicUsize; RedisLink::Gone as usize],
    /// It has failed, and has not come back since.
    is_missed: AtomicBool,
}

impl RedisFigures {
    /// There is one more connection, which is [`RedisLink::Connecting`].
    pub fn begins(&self) {
        self.links[RedisLink::Connecting as usize].fetch_add(1, Relaxed);
    }

    /// A connection is no longer as it was.
    pub fn changes(&self, from: RedisLink, to: RedisLink) -> Option<RedisNews> {
        let others = self.links.get(to as usize).map(|links| links.fetch_add(1, Relaxed));
        if let Some(links) = self.links.get(from as usize) {
            links.fetch_sub(1, Relaxed);
        }
        match to {
            RedisLink::Away if others == Some(0) => {
                self.is_missed.store(true, Relaxed);
                Some(RedisNews::WentAway)
            }
            RedisLink::Up if self.count(RedisLink::Away) == 0 => {
                self.is_missed.swap(false, Relaxed).then_some(RedisNews::CameBack)
            }
            RedisLink::Gone if self.is_up().is_none() => {
                self.is_missed.store(false, Relaxed);
                None
            }
            _ => None,
        }
    }

    /// True if it answers all workers; `None` if no configuration has one.
    pub(crate) fn is_up(&self) -> Option<bool> {
        let [connecting, up, away] =
            [RedisLink::Connecting, RedisLink::Up, RedisLink::Away].map(|link| self.count(link));
        (connecting + up + away > 0).then_some(up > 0 && away == 0)
    }

    fn count(&self, link: RedisLink) -> usize {
        self.links.get(link as usize).map_or(0, |links| links.load(Relaxed))
    }
}
