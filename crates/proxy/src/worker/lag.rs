//! How late a worker is to do what it should: the delay that everything on it suffers.

use std::rc::Rc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use evenkeel_types::Time;

use crate::worker::Worker;

/// Between two looks, while the delay counts.
const TICK: Duration = Duration::from_millis(25);
/// The same while it does not.
const TICK_IDLE: Duration = Duration::from_secs(1);

/// How late one worker is, in nanoseconds. It alone writes when it is due; whoever reads takes the delay away.
#[derive(Debug, Default)]
pub struct Lateness {
    /// When the worker should look next; 0 while it does not look.
    due: AtomicU64,
    worst: AtomicU64,
}

impl Lateness {
    /// The worst delay since this was asked last; a worker that is stuck at this moment has not told yet.
    pub fn take(&self, now: Time) -> Duration {
        let since = match self.due.load(Relaxed) {
            0 => Duration::ZERO,
            due => now.since(Time::from_nanos(due)),
        };
        since.max(Duration::from_nanos(self.worst.swap(0, Relaxed)))
    }
}

/// Looks again and again how late it has become.
pub async fn watch(worker: Rc<Worker>) {
    let lateness = &worker.shared.lateness[worker.index];
    loop {
        let counts = worker.view().snapshot.config.overload.delay.is_some();
        let tick = if counts { TICK } else { TICK_IDLE };
        let due = worker.clock.now() + tick;
        lateness.due.store(if counts { due.as_nanos() } else { 0 }, Relaxed);
        tokio::time::sleep(tick).await;
        if counts {
            let late = worker.clock.now().since(due).as_nanos();
            lateness.worst.fetch_max(u64::try_from(late).unwrap_or(u64::MAX), Relaxed);
        }
    }
}
