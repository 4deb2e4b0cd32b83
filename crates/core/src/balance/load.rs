//! What changes with traffic about one server: requests in flight and how fast it answers.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use evenkeel_types::Time;

use crate::breaker::Breaker;
use crate::health::Terms;
use crate::sync::AtomicU32;

/// The time constant of the latency average: after it, an old sample counts 37 %.
const TAU_MS: f32 = 10_000.0;

/// Facts about one server that change with traffic; shared by all workers and kept across reloads.
///
/// Alone on its cache lines (pairs of 64 bytes, as prefetchers load them), so that one server's traffic does not
/// slow down the reading of another's.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Load {
    in_flight: AtomicU32,
    /// The average latency as `f32` nanoseconds in the upper half, when that was in `u32` milliseconds in the
    /// lower; 0 before the first sample. One word, so that both change together.
    latency: AtomicU64,
    /// What hands out its places, since its pool has had limits.
    breaker: OnceLock<Arc<Breaker>>,
    terms: Arc<Terms>,
}

impl Load {
    /// Counts a request (or a layer 4 connection) that has been given to the server.
    pub fn begin(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// Counts a request as [`begin`](Self::begin) does, unless `max` are in flight already; true if it has a place.
    pub fn try_begin(&self, max: u32) -> bool {
        self.in_flight.fetch_update(SeqCst, SeqCst, |now| (now < max).then_some(now + 1)).is_ok()
    }

    /// Counts the end of what [`begin`](Self::begin) counted, whatever its outcome; exactly once for each.
    pub fn end(&self) {
        // In one order with the count of queued requests: see `breaker`. On the processors that matter it
        // costs no more than a relaxed one.
        let before = self.in_flight.fetch_sub(1, SeqCst);
        debug_assert!(before > 0, "an end without its begin");
    }

    /// Ends what began while its pool had no limits: by now it may have limits, and a queued request may wait for the place.
    pub fn end_unlimited(self: &Arc<Self>, now: impl FnOnce() -> Time) {
        self.end();
        if let Some(breaker) = self.breaker.get() {
            breaker.offer_left(self, now);
        }
    }

    /// Has `breaker` hand out its places from now on. A server has one for as long as it is known.
    pub fn limit_by(&self, breaker: &Arc<Breaker>) {
        self.breaker.get_or_init(|| Arc::clone(breaker));
    }

    /// What identifies the server for as long as it is known.
    pub(crate) fn key(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// The terms of the server, by which connections to it learn that it has lost its role.
    pub fn terms(&self) -> &Arc<Terms> {
        &self.terms
    }

    /// Requests in flight, over all workers.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Takes the time of one answer into the peak EWMA: a sample above the average replaces it at once, one below
    /// pulls it down with a time constant of 10 s, so that a server gone slow is noticed at the first answer (the
    /// cost function of Finagle's `PeakEwma`).
    ///
    /// Leave out failures: a server that fails fast would look like the fastest.
    pub fn observe_latency(&self, took: Duration, now: Time) {
        // At least 1 ns, which tells a sample from none.
        let sample = (took.as_nanos() as f32).max(1.0);
        let stamp = millis(now);
        let mut old = self.latency.load(Relaxed);
        loop {
            let (average, elapsed_ms) = unpack(old, stamp);
            let new = if sample >= average {
                sample
            } else if elapsed_ms == 0 {
                return; // Nothing decays within a millisecond: spare the shared write.
            } else {
                let keep = decay(elapsed_ms);
                average * keep + sample * (1.0 - keep)
            };
            match self.latency.compare_exchange_weak(old, pack(new, stamp), Relaxed, Relaxed) {
                Ok(_) => return,
                Err(current) => old = current,
            }
        }
    }

    /// The average latency in nanoseconds, faded by the time since the last sample so that a slow server is tried
    /// again some day; 0 if there was no sample yet.
    pub fn latency(&self, now: Time) -> f32 {
        let (average, elapsed_ms) = unpack(self.latency.load(Relaxed), millis(now));
        if average == 0.0 || elapsed_ms == 0 { average } else { (average * decay(elapsed_ms)).max(1.0) }
    }
}

/// Wraps after 49 days, which differences survive.
fn millis(now: Time) -> u32 {
    (now.as_nanos() / 1_000_000) as u32
}

fn pack(average: f32, stamp: u32) -> u64 {
    u64::from(average.to_bits()) << 32 | u64::from(stamp)
}

/// The average and its age in milliseconds; 0 if another worker's clock reading was a little ahead.
fn unpack(packed: u64, now_ms: u32) -> (f32, u32) {
    let elapsed_ms = now_ms.wrapping_sub(packed as u32);
    let ahead = elapsed_ms > u32::MAX / 2;
    (f32::from_bits((packed >> 32) as u32), if ahead { 0 } else { elapsed_ms })
}

fn decay(elapsed_ms: u32) -> f32 {
    (-(elapsed_ms as f32) / TAU_MS).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: f32 = 1_000_000.0;

    #[test]
    fn in_flight_counts_what_began_and_has_not_ended() {
        let load = Load::default();
        load.begin();
        load.begin();
        load.end();
        assert_eq!(load.in_flight(), 1);
    }

    #[test]
    fn no_more_requests_begin_than_there_are_permits() {
        let load = Load::default();
        let begun = std::thread::scope(|scope| {
            let ask = || (0..1000).filter(|_| load.try_begin(100)).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no thread panics")).sum::<usize>()
        });
        assert_eq!((begun, load.in_flight()), (100, 100));
        load.end();
        assert!(load.try_begin(100) && !load.try_begin(100));
    }

    #[test]
    fn a_peak_counts_at_once_and_fades() {
        let load = Load::default();
        assert_eq!(load.latency(Time::ZERO), 0.0, "no sample yet");
        load.observe_latency(Duration::from_millis(10), Time::from_millis(1));
        load.observe_latency(Duration::from_millis(100), Time::from_millis(2));
        assert_eq!(load.latency(Time::from_millis(2)), 100.0 * MS);
        let after_tau = load.latency(Time::from_millis(10_002));
        assert!((36.0 * MS..37.5 * MS).contains(&after_tau), "{after_tau}");
    }

    #[test]
    fn lower_samples_pull_the_average_down_over_seconds() {
        let load = Load::default();
        load.observe_latency(Duration::from_millis(100), Time::ZERO);
        for ms in 1..=30_000 {
            load.observe_latency(Duration::from_millis(10), Time::from_millis(ms));
        }
        let average = load.latency(Time::from_millis(30_000));
        assert!((13.0 * MS..16.0 * MS).contains(&average), "10 + 90 / e^3 = 14.5 ms, not {average}");
    }

    #[test]
    fn a_clock_reading_from_the_past_does_no_harm() {
        let load = Load::default();
        load.observe_latency(Duration::from_millis(100), Time::from_millis(500));
        load.observe_latency(Duration::from_millis(1), Time::from_millis(499));
        assert_eq!(load.latency(Time::from_millis(498)), 100.0 * MS);
    }

    #[test]
    fn the_wrap_of_the_millisecond_counter_goes_unnoticed() {
        let load = Load::default();
        load.observe_latency(Duration::from_millis(100), Time::from_millis(u64::from(u32::MAX)));
        let after = load.latency(Time::from_millis(u64::from(u32::MAX) + 1_000));
        assert!((90.0 * MS..91.0 * MS).contains(&after), "{after}");
    }
}
