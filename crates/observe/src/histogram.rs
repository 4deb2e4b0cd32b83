//! A latency histogram with fixed bounds: a record costs a few nanoseconds, and histograms of workers add up exactly.

use std::time::Duration;

use crate::counter::Counter;

/// Upper bounds (inclusive) of the buckets in microseconds, about 1-2-3-5 in each decade from 50 us to 60 s.
const BOUNDS_US: [u32; BOUNDS] = [
    50, 100, 200, 300, 500, 1_000, 2_000, 3_000, 5_000, 10_000, 20_000, 30_000, 50_000, 100_000, 200_000,
    300_000, 500_000, 1_000_000, 2_000_000, 3_000_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];
const BOUNDS: usize = 24;

/// Durations counted by size; written by one thread and read by any.
#[derive(Debug, Default)]
pub struct Histogram {
    /// One for each bound, and one for what is above the last.
    buckets: [Counter; BOUNDS + 1],
    sum_ns: Counter,
}

impl Histogram {
    /// Counts one duration.
    #[inline]
    pub fn record(&self, duration: Duration) {
        let ns = duration
            .as_secs()
            .saturating_mul(1_000_000_000)
            .saturating_add(u64::from(duration.subsec_nanos()));
        self.buckets[bucket(ns)].increment();
        self.sum_ns.add(ns);
    }

    /// The figures now. Taken while a worker records, the sum may lack (or hold) one request more than the buckets.
    pub fn snapshot(&self) -> HistogramSnapshot {
        HistogramSnapshot {
            buckets: self.buckets.each_ref().map(Counter::value),
            sum_ns: self.sum_ns.value(),
        }
    }
}

/// For each number of bits that a number of microseconds has: how many bounds have fewer bits, so lie below it.
const BELOW: [u8; 33] = {
    let mut below = [0; 33];
    let mut bits = 0;
    while bits <= 32 {
        let mut bound = 0;
        while bound < BOUNDS && u32::BITS - BOUNDS_US[bound].leading_zeros() < bits {
            bound += 1;
        }
        below[bits as usize] = bound as u8;
        bits += 1;
    }
    below
};

/// The bucket of a duration: how many bounds lie below it. At most two bounds have as many bits as it has. Without a branch,
/// because request times are exactly what a branch predictor cannot guess.
#[inline]
fn bucket(ns: u64) -> usize {
    let us = u32::try_from(ns.div_ceil(1_000)).unwrap_or(u32::MAX);
    let first = usize::from(BELOW[(u32::BITS - us.leading_zeros()) as usize]);
    let is_below = |bound: usize| usize::from(BOUNDS_US.get(bound).is_some_and(|bound| *bound < us));
    first + is_below(first) + is_below(first + 1)
}

/// The figures of one or several histograms at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistogramSnapshot {
    buckets: [u64; BOUNDS + 1],
    sum_ns: u64,
}

impl HistogramSnapshot {
    /// Adds the figures of another one.
    pub fn merge(&mut self, other: &HistogramSnapshot) {
        for (mine, theirs) in self.buckets.iter_mut().zip(other.buckets) {
            *mine = mine.wrapping_add(theirs);
        }
        self.sum_ns = self.sum_ns.wrapping_add(other.sum_ns);
    }

    /// What was recorded since `earlier`, which is a snapshot of the same histograms.
    pub fn since(&self, earlier: &HistogramSnapshot) -> HistogramSnapshot {
        let mut since = self.clone();
        for (mine, theirs) in since.buckets.iter_mut().zip(earlier.buckets) {
            *mine = mine.saturating_sub(theirs);
        }
        since.sum_ns = since.sum_ns.saturating_sub(earlier.sum_ns);
        since
    }

    /// How many durations were recorded.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns)
    }

    /// Each bucket's upper bound (inclusive; `None` is infinity) and how many durations lie in it alone.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> + '_ {
        let bounds = BOUNDS_US.iter().map(|&us| Some(micros(us))).chain([None]);
        bounds.zip(self.buckets)
    }

    /// The duration that the share `q` (0 to 1) of all does not exceed, interpolated within its bucket as
    /// Prometheus' `histogram_quantile` does. Zero when nothing was recorded; 60 s for whatever took longer.
    pub fn quantile(&self, q: f64) -> Duration {
        let rank = q.clamp(0.0, 1.0) * self.count() as f64;
        let mut below = 0;
        let mut lower = Duration::ZERO;
        for (bound, inside) in self.buckets() {
            let Some(upper) = bound else { break };
            if inside > 0 && (below + inside) as f64 >= rank {
                let part = ((rank - below as f64) / inside as f64).clamp(0.0, 1.0);
                return lower + (upper - lower).mul_f64(part);
            }
            below += inside;
            lower = upper;
        }
        if self.count() == 0 { Duration::ZERO } else { lower }
    }
}

fn micros(us: u32) -> Duration {
    Duration::from_micros(u64::from(us))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn of(durations: &[Duration]) -> HistogramSnapshot {
        let histogram = Histogram::default();
        durations.iter().for_each(|&d| histogram.record(d));
        histogram.snapshot()
    }

    /// The upper bound of the bucket in which a single duration lands; `None` is infinity.
    fn bound_of(duration: Duration) -> Option<Duration> {
        of(&[duration]).buckets().find(|(_, n)| *n == 1).unwrap().0
    }

    #[test]
    fn bounds_are_inclusive_to_the_nanosecond() {
        for us in BOUNDS_US {
            let bound = micros(us);
            assert_eq!(bound_of(bound), Some(bound));
            assert_ne!(bound_of(bound + Duration::from_nanos(1)), Some(bound));
        }
        assert_eq!(bound_of(Duration::ZERO), Some(Duration::from_micros(50)));
        assert_eq!(bound_of(Duration::MAX), None);
    }

    #[test]
    fn nothing_recorded_is_zero_everywhere() {
        let empty = of(&[]);
        assert_eq!((empty.count(), empty.sum(), empty.quantile(0.99)), (0, Duration::ZERO, Duration::ZERO));
    }

    #[test]
    fn what_exceeds_the_last_bound_is_reported_as_that_bound() {
        assert_eq!(of(&[Duration::from_secs(3_600)]).quantile(0.5), Duration::from_secs(60));
    }

    #[test]
    fn even_latencies_give_their_quantiles_back() {
        let all: Vec<_> = (1..=100_000).map(Duration::from_micros).collect();
        let histogram = of(&all);
        for (q, exact_ms) in [(0.5, 50.0), (0.95, 95.0), (0.99, 99.0)] {
            let found = histogram.quantile(q).as_secs_f64() * 1e3;
            assert!((found - exact_ms).abs() < 0.1, "p{q}: {found} ms");
        }
    }

    proptest! {
        /// The estimate lies in the bucket of the exact quantile (nearest rank).
        #[test]
        fn a_quantile_lies_in_the_bucket_of_the_exact_one(
            ns in prop::collection::vec(1u64..60_000_000_000, 1..300), q in 0.01f64..1.0,
        ) {
            let mut all: Vec<_> = ns.into_iter().map(Duration::from_nanos).collect();
            let histogram = of(&all);
            all.sort();
            let rank = ((q * all.len() as f64).ceil() as usize).clamp(1, all.len());
            let upper = bound_of(all[rank - 1]).unwrap();
            let lower = BOUNDS_US.iter().map(|&us| micros(us)).take_while(|b| *b < upper).last();
            let found = histogram.quantile(q);
            prop_assert!(found <= upper && found >= lower.unwrap_or_default(), "{found:?} not in {lower:?}..{upper:?}");
        }

        #[test]
        fn merging_is_recording_together(
            a in prop::collection::vec(0u64..100_000_000_000, 0..50),
            b in prop::collection::vec(0u64..100_000_000_000, 0..50),
        ) {
            let durations = |ns: &[u64]| ns.iter().copied().map(Duration::from_nanos).collect::<Vec<_>>();
            let mut merged = of(&durations(&a));
            merged.merge(&of(&durations(&b)));
            prop_assert_eq!(merged, of(&durations(&[a, b].concat())));
        }
    }
}
