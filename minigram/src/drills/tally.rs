//! What became of requests: how many were answered, refused and failed, and when the last one was not as usual.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

/// A request that takes longer is not as usual.
pub const SLOW: Duration = Duration::from_secs(1);
/// Reasons of failures that are counted apart.
const REASONS_MAX: usize = 20;

/// Counts requests.
#[derive(Debug, Default)]
pub struct Tally {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    counts: Counts,
    last_bad: Option<Instant>,
}

/// The numbers.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counts {
    /// All requests.
    pub requests: u64,
    /// Those that were answered, and took longer than a second.
    pub slow: u64,
    /// Those that failed by an honest 503: one with `Retry-After`.
    pub honest: u64,
    /// Those that failed otherwise.
    pub failed: u64,
    /// Why they did.
    pub reasons: BTreeMap<String, u64>,
    /// What became of the reads among them.
    pub reads: Reads,
}

/// The numbers of reads.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Reads {
    /// All reads.
    pub requests: u64,
    /// Those that were refused or failed.
    pub refused_or_failed: u64,
    /// How long the slowest took that was answered, in seconds.
    pub slowest_s: f64,
}

/// What became of one request.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// It was done.
    Done,
    /// 503 with `Retry-After`.
    Honest,
    /// Anything else.
    Failed(&'a str),
}

impl Tally {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a read that took so long.
    pub fn count_read(&self, outcome: &Outcome<'_>, took: Duration) {
        self.count(outcome, took);
        let reads = &mut self.inner().counts.reads;
        reads.requests += 1;
        match outcome {
            Outcome::Done => reads.slowest_s = reads.slowest_s.max(took.as_secs_f64()),
            Outcome::Honest | Outcome::Failed(_) => reads.refused_or_failed += 1,
        }
    }

    /// Counts a request that took so long.
    pub fn count(&self, outcome: &Outcome<'_>, took: Duration) {
        let mut inner = self.inner();
        inner.counts.requests += 1;
        match outcome {
            Outcome::Done if took <= SLOW => return,
            Outcome::Done => inner.counts.slow += 1,
            Outcome::Honest => inner.counts.honest += 1,
            Outcome::Failed(reason) => {
                inner.counts.failed += 1;
                let reasons = &mut inner.counts.reasons;
                let known = reasons.len() < REASONS_MAX || reasons.contains_key(*reason);
                *reasons
                    .entry(if known { (*reason).to_owned() } else { "others".to_owned() })
                    .or_default() += 1;
            }
        }
        inner.last_bad = Some(Instant::now());
    }

    /// When the last request ended that failed or was slow.
    pub fn last_bad(&self) -> Option<Instant> {
        self.inner().last_bad
    }

    /// Begins anew.
    pub fn reset(&self) {
        *self.inner() = Inner::default();
    }

    /// The numbers up to now.
    pub fn counts(&self) -> Counts {
        self.inner().counts.clone()
    }
}
