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
    errors: usize,
    tries: u64,
    /// Tries by server.
    sent: Vec<u64>,
    /// Servers to which nothing has happened.
    is_well: Vec<bool>,
    /// How often a server was ejected.
    pub ejections: u64,
    /// How often the pool panicked.
    pub panics: u64,
}

impl Outcome {
    /// Nothing has happened to so many servers.
    pub fn new(servers: usize) -> Self {
        Self {
            latencies: Vec::new(),
            errors: 0,
            tries: 0,
            sent: vec![0; servers],
            is_well: vec![true; servers],
            ejections: 0,
            panics: 0,
        }
    }

    /// A server got a request.
    pub fn sent(&mut self, server: usize) {
        self.sent[server] += 1;
        self.tries += 1;
    }

    /// A request was answered, after so long, or failed.
    pub fn ended(&mut self, took: Option<Duration>) {
        match took {
            Some(took) => self.latencies.push(took),
            None => self.errors += 1,
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
    pub fn close(&mut self, pool: &Pool, up: Vec<bool>, ejections: u64, panics: u64) {
        (self.ejections, self.panics) = (ejections, panics);
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

    /// The share of requests that got no good answer.
    pub fn errors(&self) -> f64 {
        self.errors as f64 / (self.errors + self.latencies.len()).max(1) as f64
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
