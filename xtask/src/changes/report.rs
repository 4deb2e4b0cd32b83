//! The latencies and failures that clients saw, phase by phase.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;

/// The longest latency that the histogram can hold, in microseconds: clients give up a request before.
const LATENCY_US_MAX: u64 = 20_000_000;
/// Faults that the verdict lists; it counts the others.
const FAULTS_LISTED_MAX: usize = 20;

/// One phase of a run.
#[derive(Debug, Clone)]
pub struct Phase {
    name: String,
    /// How often the change was made.
    changes: usize,
    latency_us: Histogram<u64>,
    /// Requests that were repeated on a new connection, because the balancer had closed the kept one before.
    repeated: u64,
}

/// All phases, and what went wrong in them.
#[derive(Debug, Default, Clone)]
pub struct Report {
    phases: Vec<Phase>,
    faults: Vec<String>,
}

impl Report {
    /// Begins a phase: what follows counts in it.
    ///
    /// # Errors
    /// There is no memory for its histogram.
    pub fn phase(&mut self, name: &str) -> anyhow::Result<()> {
        let latency_us = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)
            .context("cannot make a histogram of latencies")?;
        self.phases.push(Phase { name: name.into(), changes: 0, latency_us, repeated: 0 });
        Ok(())
    }

    fn now(&mut self) -> Option<&mut Phase> {
        self.phases.last_mut()
    }

    /// A change was made.
    pub fn changed(&mut self) {
        if let Some(phase) = self.now() {
            phase.changes += 1;
        }
    }

    /// A request was answered.
    pub fn answered(&mut self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(phase) = self.now() {
            phase.latency_us.saturating_record(us);
        }
    }

    /// A request found its connection closed and was sent over a new one.
    pub fn repeated(&mut self) {
        if let Some(phase) = self.now() {
            phase.repeated += 1;
        }
    }

    /// Something went wrong.
    pub fn fault(&mut self, what: &str) {
        let during = self.phases.last().map_or("start", |phase| phase.name.as_str());
        self.faults.push(format!("{what}, during: {during}"));
    }

    /// Fails if anything went wrong.
    ///
    /// # Errors
    /// The first faults.
    pub fn verdict(&self) -> anyhow::Result<()> {
        let listed: Vec<&str> = self.faults.iter().take(FAULTS_LISTED_MAX).map(String::as_str).collect();
        ensure!(self.faults.is_empty(), "{} faults:\n{}", self.faults.len(), listed.join("\n"));
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<18} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "phase", "changes", "requests", "repeated", "p50 ms", "p99 ms", "most ms"
        )?;
        for Phase { name, changes, latency_us, repeated } in &self.phases {
            let ms = |us: u64| us as f64 / 1e3;
            let at = |quantile| ms(latency_us.value_at_quantile(quantile));
            writeln!(
                f,
                "{name:<18} {changes:>8} {:>9} {repeated:>9} {:>9.2} {:>9.2} {:>9.2}",
                latency_us.len(),
                at(0.5),
                at(0.99),
                ms(latency_us.max())
            )?;
        }
        write!(f, "faults: {}", self.faults.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_fault_names_its_phase_and_fails_the_run() {
        let mut report = Report::default();
        report.phase("reloads").unwrap();
        report.answered(Duration::from_millis(2));
        report.changed();
        assert!(report.verdict().is_ok());
        report.fault("503");
        assert_eq!(report.verdict().unwrap_err().to_string(), "1 faults:\n503, during: reloads");
        assert!(report.to_string().contains("reloads"));
    }
}
