//! What a simulation has shown, and what must hold of it.

use std::time::Duration;

use evenkeel_config::Pool;

/// A server that is well, and whose share by weight would have been this many requests, has had one.
const STARVED_AT: f64 = 60.0;

/// The figures of one run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How long the good answers took.
    latencies: Vec<Duration>,
    /// Requests that failed, and those that the balancer refused.
    errors: usize,
    refused: usize,
    tries: u64,
    /// Tries by server.
    sent: Vec<u64>,
    /// Servers to which nothing has happened.
    is_well: Vec<bool>,
    /// What the balancer did.
    pub counts: Counts,
}

/// What the balancer did in one run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// How often a server was ejected.
    pub ejections: u64,
    /// How often the pool panicked.
    pub panics: u64,
    /// How often a circuit breaker opened.
    pub opened: u64,
    /// Retries of requests that had been sent.
    pub retries: u64,
    /// Requests that one more server got because another was slow.
    pub hedges: u64,
    /// Hedges that won.
    pub hedges_won: u64,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With a good answer.
    Answered,
    /// With a bad one, or none.
    Failed,
    /// There was no room for it.
    Refused,
    /// Its client left.
    Gone,
}

impl Outcome {
    /// Nothing has happened to so many servers.
    pub fn new(servers: usize) -> Self {
        Self {
            latencies: Vec::new(),
            errors: 0,
            refused: 0,
            tries: 0,
            sent: vec![0; servers],
            is_well: vec![true; servers],
            counts: Counts::default(),
        }
    }

    /// A server got a request.
    pub fn sent(&mut self, server: usize) {
        self.sent[server] += 1;
        self.tries += 1;
    }

    /// A request has ended, after so long.
    pub fn ended(&mut self, how: End, took: Duration) {
        match how {
            End::Answered => self.latencies.push(took),
            End::Failed | End::Gone => self.errors += 1,
            End::Refused => self.refused += 1,
        }
    }

    /// Something happened to a server.
    pub fn hurt(&mut self, server: usize) {
        self.is_well[server] = false;
    }

    /// The end.
    ///
    /// # Panics
    /// When a server that was well and `up` was starved.
    pub fn close(&mut self, pool: &Pool, up: Vec<bool>) {
        self.latencies.sort_unstable();
        let counts = |backup: bool, weight: u32| !backup && weight > 0;
        let of = |it: &evenkeel_config::Backend| counts(it.backup, it.weight);
        let total: f64 = pool.backends.iter().filter(|it| of(it)).map(|it| f64::from(it.weight)).sum();
        for (server, backend) in pool.backends.iter().enumerate().filter(|(_, it)| of(it)) {
            let share = self.tries as f64 * f64::from(backend.weight) / total;
            let is_fine = self.is_well[server] && up[server];
            let is_starved = is_fine && share >= STARVED_AT && self.sent[server] == 0;
            assert!(!is_starved, "server {server} is well and got nothing where its share is {share:.0}");
        }
    }

    /// The latency in milliseconds that this share of the good answers does not exceed.
    pub fn latency_ms(&self, share: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let nth = (share * last as f64).round() as usize;
        self.latencies.get(nth).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    }

    /// The share of requests that failed.
    pub fn errors(&self) -> f64 {
        self.errors as f64 / self.total()
    }

    /// The share of requests that the balancer refused, at once or after they had waited for a place.
    pub fn refused(&self) -> f64 {
        self.refused as f64 / self.total()
    }

    fn total(&self) -> f64 {
        (self.errors + self.refused + self.latencies.len()).max(1) as f64
    }

    /// Tries at servers for each request of a client.
    pub fn amplification(&self, requests: usize) -> f64 {
        self.tries as f64 / requests as f64
    }

    /// How much the busiest server got beyond the mean, as a part of the mean.
    pub fn unevenness(&self) -> f64 {
        let mean = self.tries as f64 / self.sent.len() as f64;
        self.sent.iter().max().map_or(0.0, |&most| most as f64 / mean - 1.0)
    }
}
