//! What is counted of the requests that come by one listener.

use crate::counter::Counter;

/// The figures of one listener.
#[derive(Debug)]
pub struct ListenerSeries {
    shards: Box<[ListenerShard]>,
}

/// What one worker counts of one listener: only that worker's thread may write.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ListenerShard {
    requests: Counter,
    errors: Counter,
}

impl ListenerSeries {
    pub(crate) fn new(workers: usize) -> Self {
        Self { shards: (0..workers).map(|_| ListenerShard::default()).collect() }
    }

    /// The part that `worker` alone writes.
    ///
    /// # Panics
    /// When the registry has no such worker.
    #[inline]
    pub fn shard(&self, worker: usize) -> &ListenerShard {
        &self.shards[worker]
    }

    /// Requests that have ended, and those of them that were answered 5xx or whose response broke off.
    pub fn totals(&self) -> (u64, u64) {
        let sum = |counter: fn(&ListenerShard) -> &Counter| {
            self.shards.iter().map(|shard| counter(shard).value()).sum()
        };
        (sum(|shard| &shard.requests), sum(|shard| &shard.errors))
    }
}

impl ListenerShard {
    /// Counts a request that has ended; `has_failed` if it was answered 5xx or its response broke off.
    #[inline]
    pub fn record(&self, has_failed: bool) {
        self.requests.increment();
        if has_failed {
            self.errors.increment();
        }
    }
}
