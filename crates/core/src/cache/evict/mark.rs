//! What a hit leaves at an object: a stamp or a small counter, written only if it changes.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use evenkeel_types::Time;

use super::policy::Policy;

/// Lets the order of eviction know that an object was used. Hits write it, stores and evictions read it, and none of them
/// waits for another. Its meaning follows from the policy: a stamp, or the number of hits since the last look.
#[derive(Debug, Default)]
pub struct Mark(AtomicU32);

impl Mark {
    /// How many hits between two looks LFU counts. An object that is not used any more is thus gone after the cache has
    /// been renewed about so many times.
    pub(super) const LFU_HITS_MAX: u32 = 63;

    /// How many hits S3-FIFO counts.
    pub(super) const S3_FIFO_HITS_MAX: u32 = 3;

    /// A tick in nanoseconds. Within a tenth of a second, which object was used last makes no difference, and an object
    /// that many workers serve is written ten times a second at most.
    const TICK_NS: u64 = 100_000_000;

    /// The ticks at a time.
    pub const fn tick(now: Time) -> u32 {
        // Ends after 13 years.
        (now.as_nanos() / Self::TICK_NS) as u32
    }

    /// Notes a hit in the tick [`Mark::tick`].
    #[inline]
    pub fn hit(&self, policy: Policy, tick: u32) {
        match policy {
            Policy::Fifo => {}
            Policy::Lru => {
                if self.0.load(Relaxed) != tick {
                    self.0.store(tick, Relaxed);
                }
            }
            Policy::Lfu => self.count(Self::LFU_HITS_MAX),
            Policy::S3Fifo => self.count(Self::S3_FIFO_HITS_MAX),
        }
    }

    fn count(&self, max: u32) {
        // Hits at the same time may count beyond the maximum, by as many as there are threads. Readers take the minimum.
        if self.0.load(Relaxed) < max {
            self.0.fetch_add(1, Relaxed);
        }
    }

    /// Forgets all hits.
    pub(super) fn reset(&self) {
        self.0.store(0, Relaxed);
    }

    /// When it was used last, with LRU; 0 if never.
    pub(super) fn stamp(&self) -> u32 {
        self.0.load(Relaxed)
    }

    /// The number of hits since the last look, `max` at most, which begin anew.
    pub(super) fn take_hits(&self, max: u32) -> u32 {
        if self.0.load(Relaxed) == 0 { 0 } else { self.0.swap(0, Relaxed).min(max) }
    }

    /// Sets the number of hits.
    pub(super) fn set_hits(&self, hits: u32) {
        self.0.store(hits, Relaxed);
    }
}
