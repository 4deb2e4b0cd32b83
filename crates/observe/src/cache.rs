//! What is counted of the cache: by route, each worker for itself, and of the store as a whole.

use std::sync::Arc;

use crate::counter::{Counter, SharedCounter, WorkerGauge};
use crate::names::{CacheResult, PurgeMode, PurgeScope};

/// Upper bounds (inclusive) of the buckets of an age, in seconds: from a second to a month.
const AGE_BOUNDS_S: [u64; AGE_BOUNDS] = [1, 10, 60, 300, 900, 3_600, 21_600, 86_400, 604_800, 2_592_000];
const AGE_BOUNDS: usize = 10;

/// What is known of a request of a route with a cache when it has ended.
#[derive(Debug, Clone, Copy)]
pub struct CacheFigures {
    /// What the cache did for it.
    pub result: CacheResult,
    /// Whether it was sent what another request was fetching.
    pub coalesced: bool,
    /// Bytes of the body that were sent to the client. They count as saved if they came from the cache.
    pub bytes: u64,
    /// The age of what was sent from the cache (RFC 9111, 4.2.3), in seconds.
    pub age_s: u64,
}

/// The figures of one route's cache.
#[derive(Debug)]
pub struct CacheSeries {
    shards: Box<[CacheShard]>,
}

impl CacheSeries {
    pub(crate) fn new(workers: usize) -> Self {
        Self { shards: (0..workers).map(|_| CacheShard::default()).collect() }
    }

    /// The part that `worker` alone writes.
    ///
    /// # Panics
    /// When the registry has no such worker.
    #[inline]
    pub fn shard(&self, worker: usize) -> &CacheShard {
        &self.shards[worker]
    }

    /// The figures of all workers together.
    pub fn totals(&self) -> CacheTotals {
        let mut totals = CacheTotals::default();
        for shard in &self.shards {
            for (sum, count) in totals.results.iter_mut().zip(&shard.results) {
                *sum += count.value();
            }
            for (sum, count) in totals.ages.iter_mut().zip(&shard.ages) {
                *sum += count.value();
            }
            totals.age_sum_s = totals.age_sum_s.wrapping_add(shard.age_sum_s.value());
            totals.coalesced += shard.coalesced.value();
            totals.bytes += shard.bytes.value();
            totals.stored += shard.stored.value();
            totals.past_parents += shard.past_parents.value();
            totals.fetches += shard.fetches.value();
        }
        totals
    }
}

/// What one worker counts of one route's cache: only that worker's thread may write.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct CacheShard {
    results: [Counter; CacheResult::ALL.len()],
    bytes: Counter,
    /// One for each bound, and one for what is above the last.
    ages: [Counter; AGE_BOUNDS + 1],
    age_sum_s: Counter,
    coalesced: Counter,
    stored: Counter,
    past_parents: Counter,
    fetches: WorkerGauge,
}

impl CacheShard {
    /// Counts one request that has ended.
    #[inline]
    pub fn record(&self, request: &CacheFigures) {
        self.results[request.result as usize].increment();
        if request.coalesced {
            self.coalesced.increment();
        }
        if request.result.is_served() {
            self.bytes.add(request.bytes);
            self.ages[AGE_BOUNDS_S.partition_point(|bound| *bound < request.age_s)].increment();
            self.age_sum_s.add(request.age_s);
        }
    }

    /// Counts a response that was stored.
    pub fn stored(&self) {
        self.stored.increment();
    }

    /// Counts a request to the route's own pool because no cache node of `parent` has answered.
    pub fn went_past_parents(&self) {
        self.past_parents.increment();
    }
}

/// A fetch in progress: it counts as one for as long as this lives. Only the worker that made it may drop it.
#[derive(Debug)]
pub struct Fetching {
    series: Arc<CacheSeries>,
    worker: usize,
}

impl Fetching {
    /// A fetch begins at `worker`.
    pub fn begin(series: &Arc<CacheSeries>, worker: usize) -> Self {
        series.shard(worker).fetches.increment();
        Self { series: Arc::clone(series), worker }
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.series.shard(self.worker).fetches.decrement();
    }
}

/// The figures of one route's cache, or of several together, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheTotals {
    results: [u64; CacheResult::ALL.len()],
    ages: [u64; AGE_BOUNDS + 1],
    /// All ages together, in seconds.
    pub age_sum_s: u64,
    /// Requests that were sent what another request was fetching.
    pub coalesced: u64,
    /// Bytes of bodies sent from the cache.
    pub bytes: u64,
    /// Responses stored.
    pub stored: u64,
    /// Requests to the route's own pool because no cache node of `parent` had answered.
    pub past_parents: u64,
    /// Fetches in progress.
    pub fetches: i64,
}

impl CacheTotals {
    /// Requests that came to `result`.
    pub fn requests(&self, result: CacheResult) -> u64 {
        self.results[result as usize]
    }

    /// Of the requests that may be answered from the cache, the share whose body came from it, from 0 to 1; `None` before
    /// the first.
    pub fn hit_ratio(&self) -> Option<f64> {
        let sum = |of: fn(CacheResult) -> bool| -> u64 {
            CacheResult::ALL.iter().filter(|result| of(**result)).map(|result| self.requests(*result)).sum()
        };
        let asked = sum(|result| result != CacheResult::Bypass);
        (asked > 0).then(|| sum(CacheResult::is_served) as f64 / asked as f64)
    }

    /// Adds the figures of another route.
    pub fn add(&mut self, other: &Self) {
        self.results.iter_mut().zip(other.results).for_each(|(sum, count)| *sum += count);
        self.ages.iter_mut().zip(other.ages).for_each(|(sum, count)| *sum += count);
        self.age_sum_s = self.age_sum_s.wrapping_add(other.age_sum_s);
        self.coalesced += other.coalesced;
        self.bytes += other.bytes;
        self.stored += other.stored;
        self.past_parents += other.past_parents;
        self.fetches += other.fetches;
    }

    /// Each bucket's upper bound in seconds (inclusive; infinity is the last) and how many ages lie in it alone.
    pub(crate) fn ages(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let bounds = AGE_BOUNDS_S.iter().map(|bound| *bound as f64).chain([f64::INFINITY]);
        bounds.zip(self.ages)
    }

    /// Whether anything was counted.
    pub(crate) fn has_begun(&self) -> bool {
        *self != Self::default()
    }
}

/// The store at one moment, as it says itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreFigures {
    /// Stored responses.
    pub objects: u64,
    /// What they occupy, in bytes.
    pub bytes: u64,
    /// What fetches in progress occupy, in bytes.
    pub fetching: u64,
    /// The most that both may occupy, in bytes.
    pub limit: u64,
    /// Responses that made room for others, by the name of the policy.
    pub evictions: Vec<(&'static str, u64)>,
    /// Responses that purges removed.
    pub purged: u64,
    /// The disk behind the memory, if there is one.
    pub disk: Option<DiskFigures>,
}

/// The disk cache at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskFigures {
    /// Stored responses.
    pub objects: u64,
    /// What they occupy, in bytes.
    pub bytes: u64,
    /// The most that they may occupy, in bytes.
    pub limit: u64,
    /// Responses written since the start.
    pub written: u64,
    /// Responses read since the start.
    pub read: u64,
    /// Responses and purges that could not be written since the start.
    pub failures: u64,
}

/// Purges by scope and mode. Written by any thread.
#[derive(Debug, Default)]
pub struct PurgeCounts([[SharedCounter; PurgeMode::ALL.len()]; PurgeScope::ALL.len()]);

impl PurgeCounts {
    /// Counts a purge.
    pub fn count(&self, scope: PurgeScope, mode: PurgeMode) {
        self.0[scope as usize][mode as usize].increment();
    }

    /// Purges of this kind.
    pub fn value(&self, scope: PurgeScope, mode: PurgeMode) -> u64 {
        self.0[scope as usize][mode as usize].value()
    }
}
