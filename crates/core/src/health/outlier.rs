//! Which servers do worse than the others: success rates and latencies of a pool's servers, compared among themselves.
//!
//! What counts failures cannot see: a server that fails a share of its requests, or answers all of them slowly. What
//! share is too large, and what is slow, the other servers say.

use std::collections::VecDeque;
use std::time::Duration;

use evenkeel_config::Outlier;

/// Servers that it takes to say which one stands out.
const COMPARED_MIN: usize = 3;

/// A standard deviation counts as this at least: among servers that never fail, one failure is no outlier.
const DEVIATION_MIN: f64 = 0.02;

/// A median counts as this at least, in nanoseconds: below a millisecond all are quick.
const MEDIAN_MIN_NS: f64 = 1_000_000.0;

/// A window is looked at this often, and moves on by as much.
const TICKS: u32 = 10;

/// But never more often than this.
const TICK_MIN: Duration = Duration::from_millis(250);

/// What one server did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Tries that have ended, those without an answer included.
    pub requests: u64,
    /// Those of them that failed by the server's doing; at most `requests`.
    pub failures: u64,
    /// Those of them whose time counts: answered well, or given up after the pool's `timeout.response`. An error that
    /// comes at once would make a slow server look quick.
    pub timed: u64,
    /// Their times together, from the request sent to the head of its response, or to the timeout.
    pub latency_sum: Duration,
}

impl Figures {
    /// What was done since `earlier`.
    fn since(&self, earlier: &Self) -> Self {
        let requests = self.requests.saturating_sub(earlier.requests);
        Self {
            requests,
            // The counters are read one after the other, while they grow.
            failures: self.failures.saturating_sub(earlier.failures).min(requests),
            timed: self.timed.saturating_sub(earlier.timed),
            latency_sum: self.latency_sum.saturating_sub(earlier.latency_sum),
        }
    }

    fn success_rate(&self) -> f64 {
        1.0 - self.failures as f64 / self.requests as f64
    }

    fn latency_ns(&self) -> f64 {
        self.latency_sum.as_nanos() as f64 / self.timed as f64
    }
}

/// How often servers are compared.
pub(super) fn tick(settings: &Outlier) -> Duration {
    (settings.window / TICKS).max(TICK_MIN)
}

/// What one server did within the window, from totals that are taken down every [`tick`]; at most 11 of them.
#[derive(Debug, Clone, Default)]
pub(super) struct LiveWindow {
    totals: VecDeque<Figures>,
}

impl LiveWindow {
    /// Takes down what the server has done since the beginning of time.
    pub fn observe(&mut self, total: Figures, settings: &Outlier) {
        let ticks = settings.window.as_nanos().div_ceil(tick(settings).as_nanos()) as usize;
        while self.totals.len() > ticks {
            self.totals.pop_front();
        }
        self.totals.push_back(total);
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.totals.clear();
    }

    /// What the server did within the window.
    pub fn figures(&self) -> Figures {
        match (self.totals.front(), self.totals.back()) {
            (Some(first), Some(last)) => last.since(first),
            _ => Figures::default(),
        }
    }
}

/// By what a server stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EjectionCause {
    /// Too many failures of its own, whatever the others do.
    Failures,
    /// Its success rate.
    SuccessRate,
    /// Its average latency.
    Latency,
}

/// A server that stands out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    /// Its position.
    pub server: usize,
    /// By what.
    pub cause: EjectionCause,
    /// The figures, for people.
    pub reason: String,
}

/// Finds the servers that stand out, the worst first, each once. Servers with fewer than `requests_min` requests are
/// not compared, and three at least are needed.
///
/// A success rate is an outlier when it is more than `success_rate` standard deviations below the mean, as in Envoy.
/// Unlike there, mean and deviation are those of the *other* servers: one of `n` servers can never be further than
/// `sqrt(n - 1)` deviations from a mean that it is part of, which among four is 1.7. And the deviation counts as no
/// less than chance would have it among as few requests, nor than 2 points.
///
/// A latency is an outlier when it is more than `latency` times the median of all.
pub(super) fn judge(settings: &Outlier, figures: &[Figures]) -> Vec<Finding> {
    let compared: Vec<(usize, &Figures)> =
        figures.iter().enumerate().filter(|(_, it)| it.requests >= settings.requests_min.max(1)).collect();
    let mut findings = settings.success_rate.map_or_else(Vec::new, |factor| unreliable(&compared, factor));
    let slow = settings.latency.map_or_else(Vec::new, |factor| slow(&compared, factor));
    for finding in slow {
        if findings.iter().all(|other| other.server != finding.server) {
            findings.push(finding);
        }
    }
    findings
}

fn unreliable(compared: &[(usize, &Figures)], factor: f64) -> Vec<Finding> {
    if compared.len() < COMPARED_MIN {
        return Vec::new();
    }
    let rates = || compared.iter().map(|(_, figures)| figures.success_rate());
    let (sum, squares) = rates().fold((0.0, 0.0), |(sum, squares), rate| (sum + rate, squares + rate * rate));
    let others = (compared.len() - 1) as f64;
    let mut found: Vec<(f64, Finding)> = compared
        .iter()
        .filter_map(|&(server, figures)| {
            let rate = figures.success_rate();
            let mean = (sum - rate) / others;
            let spread = ((squares - rate * rate) / others - mean * mean).max(0.0);
            let chance = (mean * (1.0 - mean)).max(0.0) / figures.requests as f64;
            let deviation = spread.max(chance).sqrt().max(DEVIATION_MIN);
            let reason = || {
                let (rate, mean) = (percent(rate), percent(mean));
                format!(
                    "success rate {rate} % where the others have {mean} %, of {} requests",
                    figures.requests
                )
            };
            (rate < mean - factor * deviation)
                .then(|| (rate, Finding { server, cause: EjectionCause::SuccessRate, reason: reason() }))
        })
        .collect();
    found.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    found.into_iter().map(|(_, finding)| finding).collect()
}

fn slow(compared: &[(usize, &Figures)], factor: f64) -> Vec<Finding> {
    let mut timed: Vec<(f64, usize)> = compared
        .iter()
        .filter(|(_, figures)| figures.timed > 0)
        .map(|(server, figures)| (figures.latency_ns(), *server))
        .collect();
    if timed.len() < COMPARED_MIN {
        return Vec::new();
    }
    timed.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let (above, below) = (timed[(timed.len() - 1) / 2].0, timed[timed.len() / 2].0);
    let median = ((above + below) / 2.0).max(MEDIAN_MIN_NS);
    let finding = |(latency, server): (f64, usize)| Finding {
        server,
        cause: EjectionCause::Latency,
        reason: format!("{:.1} ms on average where the median is {:.1} ms", latency / 1e6, median / 1e6),
    };
    timed.into_iter().take_while(|(latency, _)| *latency > factor * median).map(finding).collect()
}

/// With one decimal, where that tells more than none.
fn percent(rate: f64) -> String {
    let tenths = (rate * 1_000.0).round() as u32;
    if tenths.is_multiple_of(10) {
        (tenths / 10).to_string()
    } else {
        format!("{}.{}", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
