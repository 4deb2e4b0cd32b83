//! How many requests a pool can have in flight before they only wait for one another: found out by their latency.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use evenkeel_config::{Concurrency, ConcurrencyAlgorithm};
use evenkeel_types::Time;

/// How long samples are gathered before the limit follows them.
const WINDOW: Duration = Duration::from_millis(100);
/// Samples that make a window worth following.
const SAMPLES_MIN: u32 = 10;
/// The limit begins here, within `min` and `max`.
const INITIAL: u32 = 20;
/// How much slower than usual answers may become before the limit falls.
const TOLERANCE: f64 = 1.5;
/// How much of what a window says is followed at once.
const SMOOTHING: f64 = 0.2;
/// Windows over which the usual latency is averaged.
const USUAL_WINDOWS: f64 = 600.0;
/// The same while the limit is at its minimum.
const LEAST_WINDOWS: f64 = 20.0;
/// What is left of the limit after a window that was too slow, under `aimd`.
const BACK_OFF: f64 = 0.9;

/// What one window has shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// The average latency of answers.
    pub latency: Duration,
    /// The most requests in flight.
    pub in_flight: u32,
    /// True if more requests got no answer in time than got one.
    pub mostly_lost: bool,
}

/// The law that a limit follows, window by window.
///
/// `gradient` is Netflix's Gradient2: the limit is multiplied by how the usual latency compares with the present one,
/// between a half and one, and given room to grow by its square root. `aimd` adds one after a window within tolerance
/// and takes a tenth after one that is not. Neither grows while less than half of it is used.
#[derive(Debug, Clone, Default)]
pub struct Law {
    /// 0 before the first window.
    limit: f64,
    /// The usual latency in nanoseconds.
    usual: f64,
    windows: f64,
}

impl Law {
    /// Takes in a window; returns the limit.
    pub fn update(&mut self, settings: &Concurrency, sample: Sample) -> u32 {
        let (min, max) = (f64::from(settings.min), f64::from(settings.max));
        if self.limit == 0.0 {
            self.limit = f64::from(initial(settings));
        }
        let latency = (sample.latency.as_nanos() as f64).max(1.0);
        self.learn(latency, self.limit <= min);
        let is_used = f64::from(sample.in_flight) * 2.0 >= self.limit;
        let slowness = latency / (self.usual * TOLERANCE);
        let wanted = match settings.algorithm {
            ConcurrencyAlgorithm::Gradient => {
                let gradient = if sample.mostly_lost { 0.5 } else { (1.0 / slowness).clamp(0.5, 1.0) };
                let next = self.limit * gradient + self.limit.sqrt();
                self.limit * (1.0 - SMOOTHING) + next * SMOOTHING
            }
            ConcurrencyAlgorithm::Aimd if sample.mostly_lost || slowness > 1.0 => self.limit * BACK_OFF,
            ConcurrencyAlgorithm::Aimd => self.limit + 1.0,
        };
        if is_used || wanted < self.limit {
            self.limit = wanted;
        }
        self.limit = self.limit.clamp(min, max);
        self.limit as u32
    }

    /// The usual latency: the average of the first windows at once, of later ones slowly; and down faster than up,
    /// since what is slow for long is at last taken for usual. At its minimum the limit makes no request wait for others:
    /// what is slow then is slow by itself, and becomes usual soon.
    fn learn(&mut self, latency: f64, is_least: bool) {
        self.windows = (self.windows + 1.0).min(if is_least { LEAST_WINDOWS } else { USUAL_WINDOWS });
        self.usual += (latency - self.usual) / self.windows;
        if self.usual > 2.0 * latency {
            self.usual *= 0.95;
        }
    }
}

fn initial(settings: &Concurrency) -> u32 {
    INITIAL.clamp(settings.min, settings.max)
}

/// A limit that all workers read, and feed with what they see.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Adaptive {
    /// 0 before the first window.
    limit: AtomicU32,
    answered: AtomicU32,
    lost: AtomicU32,
    in_flight: AtomicU32,
    latency_ns: AtomicU64,
    /// When the window ends.
    due_ns: AtomicU64,
    /// Locked once a window, by the worker that ends it.
    law: Mutex<Law>,
}

impl Adaptive {
    /// The limit now.
    pub fn limit(&self, settings: &Concurrency) -> u32 {
        match self.limit.load(Relaxed) {
            0 => initial(settings),
            // A reload may have changed the range.
            limit => limit.clamp(settings.min, settings.max),
        }
    }

    /// Takes in how long an answer took, or that none came in time, while so many requests were in flight; returns
    /// the limit if it has changed.
    pub fn observe(
        &self,
        settings: &Concurrency,
        took: Option<Duration>,
        in_flight: u32,
        now: Time,
    ) -> Option<u32> {
        match took {
            Some(took) => {
                self.latency_ns.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
                self.answered.fetch_add(1, Relaxed);
            }
            None => drop(self.lost.fetch_add(1, Relaxed)),
        }
        if self.in_flight.load(Relaxed) < in_flight {
            self.in_flight.fetch_max(in_flight, Relaxed);
        }
        let due = self.due_ns.load(Relaxed);
        let samples = || self.answered.load(Relaxed).saturating_add(self.lost.load(Relaxed));
        if now.as_nanos() < due || samples() < SAMPLES_MIN {
            return None;
        }
        let next = (now + WINDOW).as_nanos();
        // One of the requests that come at the end of a window ends it.
        self.due_ns.compare_exchange(due, next, Relaxed, Relaxed).ok()?;
        self.end_window(settings)
    }

    fn end_window(&self, settings: &Concurrency) -> Option<u32> {
        let (answered, lost) = (self.answered.swap(0, Relaxed), self.lost.swap(0, Relaxed));
        let (latency, in_flight) = (self.latency_ns.swap(0, Relaxed), self.in_flight.swap(0, Relaxed));
        let mut law = self.law.lock().unwrap_or_else(PoisonError::into_inner);
        let usual = law.usual as u64;
        let average = latency.checked_div(u64::from(answered)).unwrap_or(usual);
        let sample =
            Sample { latency: Duration::from_nanos(average), in_flight, mostly_lost: lost > answered };
        let before = self.limit(settings);
        let limit = law.update(settings, sample);
        self.limit.store(limit, Relaxed);
        (limit != before).then_some(limit)
    }
}

#[cfg(test)]
#[path = "adaptive_tests.rs"]
mod tests;
