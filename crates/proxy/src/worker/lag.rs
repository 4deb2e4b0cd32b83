//! Event-loop lag: how late a worker is to do what it should, which delays everything on it.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use evenkeel_types::Time;

/// The lag of one worker, in nanoseconds. It alone writes when it is due; the reader takes the worst away.
#[derive(Debug, Default)]
pub struct Lag {
    /// When the worker should look next; 0 while it does not look.
    due: AtomicU64,
    worst: AtomicU64,
}

impl Lag {
    /// The worst delay since this was asked last; a worker that is stuck at this moment has not reported it yet.
    pub fn take(&self, now: Time) -> Duration {
        let since = match self.due.load(Relaxed) {
            0 => Duration::ZERO,
            due => now.since(Time::from_nanos(due)),
        };
        since.max(Duration::from_nanos(self.worst.swap(0, Relaxed)))
    }

    /// The worker looks next at this time; `None` while it does not look.
    pub fn expect(&self, due: Option<Time>) {
        self.due.store(due.map_or(0, Time::as_nanos), Relaxed);
    }

    /// The worker has looked, so much too late.
    pub fn looked(&self, late: Duration) {
        self.worst.fetch_max(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }
}
