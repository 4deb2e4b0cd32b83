//! What a run has shown.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::cpu::Busy;
use crate::options::{Load, Options};
use crate::record::Record;

/// What a run has shown.
#[derive(Debug)]
pub struct Report {
    /// What was asked for.
    pub options: Options,
    /// What was counted.
    pub record: Record,
    /// For how long requests started that count.
    pub elapsed: Duration,
    /// A signal ended it.
    pub interrupted: bool,
    /// How busy each thread was.
    pub generator: Vec<Busy>,
    /// What the target used, if its processes are known.
    pub target: Option<Target>,
    /// Why the figures are not the server's; empty when they are.
    pub invalid: Vec<String>,
}

/// The processes of the target.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Their ids.
    pub pids: Vec<u32>,
    /// Cores that they used, all together.
    pub cores: f64,
}

/// The percentiles of the table and of the JSON: name and quantile.
pub const PERCENTILES: [(&str, f64); 7] = [
    ("p50", 0.5),
    ("p75", 0.75),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("p99.99", 0.9999),
];

/// The share of requests that never started from which a report says so in words.
const NEVER_STARTED_SHARE: f64 = 0.001;

impl Report {
    /// An open loop.
    pub fn is_open(&self) -> bool {
        self.options.load != Load::Closed
    }

    /// No request got a whole response, although some were sent.
    pub fn is_without_response(&self) -> bool {
        self.record.total.requests() > 0 && self.record.total.responses() == 0
    }

    /// What a reader must know about the figures although they are valid.
    pub fn notes(&self) -> Vec<String> {
        let never = self.record.never_started;
        let due = never + self.record.total.requests();
        if never == 0 || (never as f64) < due as f64 * NEVER_STARTED_SHARE {
            return Vec::new();
        }
        vec![format!(
            "the rate was not held: {never} of {due} requests never started, because no connection was free. The \
             server does not keep up, or the run needs more connections than {}",
            self.options.connections
        )]
    }

    /// The rate that was asked for, a second, in the mean.
    pub fn rate_wanted(&self) -> Option<f64> {
        match self.options.load {
            Load::Closed => None,
            Load::Rate(rate) => Some(rate),
            Load::Ramp { from, to } => Some((from + to) / 2.0),
        }
    }

    /// How many a second that is, over the run.
    pub fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.elapsed.as_secs_f64().max(1e-6)
    }

    /// Cores that the generator used.
    pub fn generator_cores(&self) -> f64 {
        self.generator.iter().map(|thread| thread.ran).sum()
    }
}

/// Milliseconds at a quantile.
pub fn ms_at(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1e3
}
