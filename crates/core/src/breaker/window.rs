//! How requests have ended of late: counts in a ring of buckets that all workers write without a lock.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use evenkeel_types::Time;

/// Buckets of a window: a request is forgotten between nine and ten tenths of a window after its end.
const BUCKETS: u64 = 10;
/// Ends that one bucket counts; beyond, their shares are known well enough.
const COUNT_MAX: u64 = 0xffff;

/// Requests that ended, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// All that ended.
    pub ended: u32,
    /// Those that failed.
    pub failed: u32,
    /// Those that took too long.
    pub slow: u32,
}

/// The ends within the last while. Each bucket is one word, so that a bucket begins anew and is counted in with one
/// compare-and-swap: its epoch, ended, failed and slow, 16 bits each.
#[derive(Debug, Default)]
pub struct Window([AtomicU64; BUCKETS as usize]);

impl Window {
    /// Counts an end at `now`, in a window of `length`.
    pub fn count(&self, failed: bool, slow: bool, length: Duration, now: Time) {
        let epoch = epoch(length, now);
        let bucket = &self.0[(epoch % BUCKETS) as usize];
        let one = 1 << 32 | u64::from(failed) << 16 | u64::from(slow);
        // Refused only when the bucket is full.
        let _ = bucket.fetch_update(Relaxed, Relaxed, |word| match word {
            word if word >> 48 != tag(epoch) => Some(tag(epoch) << 48 | one),
            word if word >> 32 & COUNT_MAX == COUNT_MAX => None,
            word => Some(word + one),
        });
    }

    /// True if nothing that it still holds has failed or was slow: then no share of that can be too large.
    pub fn is_spotless(&self) -> bool {
        let all = self.0.iter().fold(0, |all, bucket| all | bucket.load(Relaxed));
        all & u64::from(u32::MAX) == 0
    }

    /// What has ended within `length` before `now`.
    pub fn tally(&self, length: Duration, now: Time) -> Tally {
        let latest = epoch(length, now);
        let mut tally = Tally::default();
        for epoch in (latest + 1).saturating_sub(BUCKETS)..=latest {
            let word = self.0[(epoch % BUCKETS) as usize].load(Relaxed);
            if word >> 48 == tag(epoch) {
                tally.ended += (word >> 32 & COUNT_MAX) as u32;
                tally.failed += (word >> 16 & COUNT_MAX) as u32;
                tally.slow += (word & COUNT_MAX) as u32;
            }
        }
        tally
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.0.iter().for_each(|bucket| bucket.store(0, Relaxed));
    }
}

/// Which tenth of a window `now` lies in, counted from the beginning of time.
fn epoch(length: Duration, now: Time) -> u64 {
    let width = (length.as_nanos() as u64 / BUCKETS).max(1);
    // Not 0, which an empty bucket has.
    now.as_nanos() / width + BUCKETS
}

/// What tells the epochs of one bucket apart.
fn tag(epoch: u64) -> u64 {
    (epoch / BUCKETS) & COUNT_MAX
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LENGTH: Duration = Duration::from_secs(10);

    #[test]
    fn a_full_bucket_keeps_its_shares() {
        let window = Window::default();
        (0..200_000).for_each(|i| window.count(i % 2 == 0, false, LENGTH, Time::ZERO));
        let Tally { ended, failed, slow } = window.tally(LENGTH, Time::ZERO);
        assert_eq!((ended, slow), (65_535, 0));
        assert!((32_767..=32_768).contains(&failed), "{failed}");
    }

    #[test]
    fn a_failure_or_a_slow_end_is_a_spot_until_its_bucket_begins_anew() {
        for (failed, slow) in [(true, false), (false, true)] {
            let window = Window::default();
            window.count(false, false, LENGTH, Time::ZERO);
            assert!(window.is_spotless());
            window.count(failed, slow, LENGTH, Time::ZERO);
            assert!(!window.is_spotless());
            window.count(false, false, LENGTH, Time::ZERO + LENGTH);
            assert!(window.is_spotless());
        }
    }

    #[test]
    fn nothing_is_lost_between_workers() {
        let window = Window::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| window.count(true, true, LENGTH, Time::ZERO)));
            }
        });
        assert_eq!(window.tally(LENGTH, Time::ZERO), Tally { ended: 40_000, failed: 40_000, slow: 40_000 });
        window.clear();
        assert_eq!(window.tally(LENGTH, Time::ZERO), Tally::default());
    }

    proptest! {
        #[test]
        fn it_holds_what_a_list_of_all_ends_would(
            steps in prop::collection::vec((0_u64..3_000, any::<bool>(), any::<bool>()), 1..200)
        ) {
            let (window, mut all, mut now_ms) = (Window::default(), Vec::new(), 0);
            for (step, failed, slow) in steps {
                now_ms += step;
                window.count(failed, slow, LENGTH, Time::from_millis(now_ms));
                all.push((now_ms / 1_000, failed, slow));
                let since = (now_ms / 1_000).saturating_sub(9);
                let within = || all.iter().filter(|(second, ..)| *second >= since);
                let count = |one: fn(&(u64, bool, bool)) -> bool| within().filter(|end| one(end)).count() as u32;
                let expected = Tally { ended: count(|_| true), failed: count(|e| e.1), slow: count(|e| e.2) };
                prop_assert_eq!(window.tally(LENGTH, Time::from_millis(now_ms)), expected);
                prop_assert!(!window.is_spotless() || expected.failed + expected.slow == 0);
            }
        }
    }
}
