//! How long the answers of a pool take to begin: a histogram of the last seconds, for the time after which a server
//! counts as slow.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use evenkeel_types::Time;

/// How long samples go into one half of the histogram; they count for twice as long at most.
const HALF_MS: u64 = 10_000;
/// How long a result is used before it is worked out anew.
const CACHED_MS: u64 = 100;
/// Fewer samples say nothing of the slowest twentieth.
const SAMPLES_MIN: u32 = 50;
/// Buckets to a doubling: a result is at most 9 % above what it stands for.
const PER_DOUBLING: u32 = 8;
/// The first bucket ends here, in microseconds.
const FIRST_US: f64 = 100.0;
/// The last one begins at 100 us x 2^20, which is 105 s.
const BUCKETS: usize = (20 * PER_DOUBLING + 1) as usize;

/// The answers of one pool. Written by all workers, and only where something asks for the result.
#[derive(Debug)]
pub struct Latencies {
    halves: [Half; 2],
    /// The last result in microseconds, 0 for none, in the upper half; when, in `u32` milliseconds, in the lower.
    cached: AtomicU64,
}

#[derive(Debug)]
struct Half {
    /// The stretch of time that it is for, counted from 1; 0 before the first.
    stretch: AtomicU64,
    counts: [AtomicU32; BUCKETS],
}

impl Default for Half {
    fn default() -> Self {
        Self { stretch: AtomicU64::new(0), counts: [const { AtomicU32::new(0) }; BUCKETS] }
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self { halves: Default::default(), cached: AtomicU64::new(u64::from(u32::MAX)) }
    }
}

impl Latencies {
    /// Takes in how long one answer took to begin.
    pub fn observe(&self, took: Duration, now: Time) {
        let stretch = stretch(now);
        let half = &self.halves[stretch as usize % 2];
        let old = half.stretch.load(Relaxed);
        // The first worker that comes clears the half. A sample that is lost meanwhile is one of many.
        if old < stretch && half.stretch.compare_exchange(old, stretch, Relaxed, Relaxed).is_ok() {
            half.counts.iter().for_each(|count| count.store(0, Relaxed));
        }
        half.counts[bucket(took)].fetch_add(1, Relaxed);
    }

    /// What 95 of 100 answers took at most; `None` until there are 50 of the last 10 to 20 s.
    pub fn p95(&self, now: Time) -> Option<Duration> {
        let now_ms = now.as_nanos() / 1_000_000;
        let cached = self.cached.load(Relaxed);
        let age = (now_ms as u32).wrapping_sub(cached as u32);
        let us = if u64::from(age) < CACHED_MS {
            cached >> 32
        } else {
            let us = self.work_out(stretch(now));
            self.cached.store(us << 32 | u64::from(now_ms as u32), Relaxed);
            us
        };
        (us > 0).then(|| Duration::from_micros(us))
    }

    /// In microseconds; 0 if there are too few samples.
    fn work_out(&self, stretch: u64) -> u64 {
        let counts = |half: &Half, i: usize| {
            let is_recent = half.stretch.load(Relaxed) + 1 >= stretch;
            if is_recent { half.counts[i].load(Relaxed) } else { 0 }
        };
        let sums: [u32; BUCKETS] =
            std::array::from_fn(|i| self.halves.iter().map(|half| counts(half, i)).sum());
        let all: u32 = sums.iter().sum();
        if all < SAMPLES_MIN {
            return 0;
        }
        let mut below = all - all / 20;
        for (i, count) in sums.iter().enumerate() {
            if *count >= below {
                return bound_us(i);
            }
            below -= count;
        }
        bound_us(BUCKETS - 1)
    }
}

fn stretch(now: Time) -> u64 {
    now.as_nanos() / 1_000_000 / HALF_MS + 1
}

fn bucket(took: Duration) -> usize {
    let doublings = (took.as_secs_f64() * 1e6 / FIRST_US).log2();
    // A cast takes what is below zero for zero.
    ((doublings * f64::from(PER_DOUBLING)).ceil() as usize).min(BUCKETS - 1)
}

/// Where a bucket ends, in microseconds.
fn bound_us(bucket: usize) -> u64 {
    (FIRST_US * (bucket as f64 / f64::from(PER_DOUBLING)).exp2()).ceil() as u64
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn few_samples_say_nothing() {
        let latencies = Latencies::default();
        (0..49).for_each(|_| latencies.observe(Duration::from_millis(5), Time::ZERO));
        assert_eq!(latencies.p95(Time::ZERO), None);
        latencies.observe(Duration::from_millis(5), Time::ZERO);
        assert_eq!(latencies.p95(Time::ZERO), None, "still the last result");
        assert!(latencies.p95(Time::from_millis(CACHED_MS)).is_some());
    }

    #[test]
    fn the_slowest_twentieth_lies_above() {
        let latencies = Latencies::default();
        (0..95).for_each(|_| latencies.observe(Duration::from_millis(10), Time::ZERO));
        (0..5).for_each(|_| latencies.observe(Duration::from_secs(3), Time::ZERO));
        let p95 = latencies.p95(Time::from_millis(500)).unwrap();
        assert!((Duration::from_millis(10)..Duration::from_millis(11)).contains(&p95), "{p95:?}");
    }

    #[test]
    fn old_samples_count_no_more() {
        let latencies = Latencies::default();
        (0..100).for_each(|_| latencies.observe(Duration::from_secs(1), Time::ZERO));
        assert!(latencies.p95(Time::from_millis(2 * HALF_MS - 1)).is_some());
        assert_eq!(latencies.p95(Time::from_millis(3 * HALF_MS)), None);
        (0..100).for_each(|_| latencies.observe(Duration::from_millis(1), Time::from_millis(2 * HALF_MS)));
        let p95 = latencies.p95(Time::from_millis(4 * HALF_MS - 1)).unwrap();
        assert!(p95 < Duration::from_millis(2), "{p95:?}");
    }

    proptest! {
        #[test]
        fn the_result_is_close_to_that_of_the_sorted_list(
            mut samples in prop::collection::vec(100_u64..90_000_000, 50..500),
        ) {
            let latencies = Latencies::default();
            samples.iter().for_each(|us| latencies.observe(Duration::from_micros(*us), Time::ZERO));
            samples.sort_unstable();
            let exact = samples[samples.len() - samples.len() / 20 - 1] as f64;
            let estimate = latencies.p95(Time::from_millis(1_000)).unwrap().as_secs_f64() * 1e6;
            prop_assert!((exact * 0.999..exact * 1.1).contains(&estimate), "{estimate} for {exact}");
        }
    }
}
