//! What is counted of one pool as a whole: what its limits turn away, how many requests are queued, and what is tried again.

use std::time::Duration;

use crate::counter::{Gauge, SharedCounter};
use crate::names::{BreakerRefusal, QueueRefusal};
use crate::retries::RetryMetrics;

/// The figures of one pool. Written by any worker, where a limit has been reached or a state has changed: what goes
/// through at once writes nothing here.
#[derive(Debug, Default)]
pub struct PoolMetrics {
    /// Servers that it has.
    pub backends: Gauge,
    /// Servers that take new requests.
    pub backends_up: Gauge,
    /// 1 while ejected servers are used as well, else 0.
    pub panic: Gauge,
    /// Its retries and hedges.
    pub retries: RetryMetrics,
    /// The circuit breaker: 0 closed, 1 open, 2 half open.
    pub breaker_state: Gauge,
    /// Requests in the queue.
    pub queue_length: Gauge,
    /// Requests that the queue has room for; 0 without a queue.
    pub queue_limit: Gauge,
    /// Requests that wait for a server which may be used.
    pub waiting_for_server: Gauge,
    /// The limit that follows latency; 0 without one.
    pub concurrency_limit: Gauge,
    /// Requests that left the queue with a permit.
    pub queue_waits: SharedCounter,
    queue_wait_us: SharedCounter,
    refused: [SharedCounter; BreakerRefusal::ALL.len()],
    queue_refused: [SharedCounter; QueueRefusal::ALL.len()],
}

impl PoolMetrics {
    /// Counts a request that was turned away.
    pub fn refuse(&self, reason: BreakerRefusal) {
        self.refused[reason as usize].increment();
    }

    /// Counts a request that found no room in the queue, or left it without a permit.
    pub fn refuse_to_wait(&self, reason: QueueRefusal) {
        self.queue_refused[reason as usize].increment();
    }

    /// Counts a request that left the queue with a permit after this time.
    pub fn waited(&self, time: Duration) {
        self.queue_waits.increment();
        self.queue_wait_us.add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Requests turned away for `reason`.
    pub fn refused(&self, reason: BreakerRefusal) -> u64 {
        self.refused[reason as usize].value()
    }

    /// Requests that got no permit from the queue, by `reason`.
    pub fn queue_refused(&self, reason: QueueRefusal) -> u64 {
        self.queue_refused[reason as usize].value()
    }

    /// How long requests that got a permit were queued in all, in seconds.
    pub fn queue_wait_seconds(&self) -> f64 {
        self.queue_wait_us.value() as f64 / 1e6
    }
}
