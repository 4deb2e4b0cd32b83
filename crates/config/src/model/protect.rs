//! What keeps pools and the process from being given more than they can do, as the configuration says it.

use std::time::Duration;

use super::Pool;

/// Requests that may wait for a place, without a `breaker` that says otherwise.
const PENDING_MAX: usize = 100;

/// `breaker` of a pool: limits for the pool as a whole, and its circuit breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    /// Connections in use; `None` with `protocol = "http2"`.
    pub max_connections: Option<u32>,
    /// Requests that wait in the queue. Default 100.
    pub max_pending: u32,
    /// Requests in flight.
    pub max_requests: Option<u32>,
    /// Retries in flight.
    pub max_retries: Option<u32>,
    /// The circuit breaker.
    pub trip: Option<Trip>,
}

/// The circuit breaker of `breaker` or `server_breaker`: at least one of `failures` and `slow` is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trip {
    /// The share of failures that opens it, in percent.
    pub failures: Option<u32>,
    /// The share of slow requests that opens it, in percent.
    pub slow: Option<u32>,
    /// What is slow. Default 2 s.
    pub slow_after: Duration,
    /// How long the end of a request is remembered. Default 10 s.
    pub window: Duration,
    /// Fewer requests within the window say nothing. Default 20.
    pub requests_min: u32,
    /// How long it stays open, the first time. Default 10 s.
    pub open_for: Duration,
    /// Requests that are tried at a time afterwards, and have to succeed. Default 3.
    pub trials: u32,
}

/// `queue` of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// How long a request waits at most. Default 1 s.
    pub wait: Duration,
    /// Who is next.
    pub order: QueueOrder,
}

/// Who of those that wait is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueOrder {
    /// First come, first served. The default.
    First,
    /// The newest, once there has been somebody waiting for a while.
    NewestUnderOverload,
}

/// `concurrency` of a pool: a limit that follows latency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concurrency {
    /// How it follows.
    pub algorithm: ConcurrencyAlgorithm,
    /// Default 10.
    pub min: u32,
    /// Default 1,000; at least `min`.
    pub max: u32,
}

/// How a limit follows latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConcurrencyAlgorithm {
    /// By how the usual latency compares with the present one. The default.
    Gradient,
    /// Up by one, down by a tenth.
    Aimd,
}

/// `[overload]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overload {
    /// Bytes of resident memory.
    pub memory: Option<u64>,
    /// Percent of the file descriptors that the process may open.
    pub descriptors: Option<u32>,
    /// By how much a worker may be late.
    pub delay: Option<Duration>,
}

/// `priority` of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Priority {
    /// Turned away first.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Never turned away for an overload.
    High,
}

impl Pool {
    /// Requests that may wait in its queue.
    pub fn pending_max(&self) -> usize {
        self.breaker.as_ref().map_or(PENDING_MAX, |breaker| breaker.max_pending as usize)
    }

    /// True if its requests are counted against limits, or watched by a circuit breaker.
    pub fn is_guarded(&self) -> bool {
        self.breaker.is_some()
            || self.server_breaker.is_some()
            || self.concurrency.is_some()
            || self.backends.iter().any(|backend| backend.max_connections.is_some())
    }
}
