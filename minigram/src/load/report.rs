//! What a load run found: a table for people, JSON for programs, and the verdicts.

use std::fmt::Write as _;

use serde::Serialize;

use super::bench::{Outcome, Part};
use super::caches::Savings;
use super::scenario::Plan;
use super::targets;

/// The longest that 95 of 100 requests may take, in milliseconds.
pub const P95_MS_MAX: f64 = 300.0;

/// The share of requests that may fail.
pub const ERRORS_MAX: f64 = 0.001;

/// The share of the rate that must have been reached.
const RATE_MIN: f64 = 0.98;

/// What a run found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Users.
    pub users: usize,
    /// How long a user looks at a page, in seconds.
    pub think_s: f64,
    /// Application servers.
    pub servers: usize,
    /// Cores of the machine, which the generator, Evenkeel, the servers and the workers share.
    pub cores: usize,
    /// Requests a second that were asked for.
    pub rate: u32,
    /// Requests a second that were answered.
    pub per_second: f64,
    /// Requests in all.
    pub requests: u64,
    /// The share of them that failed.
    pub error_share: f64,
    /// Latencies in milliseconds, from the intended start.
    pub p50_ms: f64,
    /// 95 of 100.
    pub p95_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// By request.
    pub by_request: Vec<Row>,
    /// By server.
    pub by_server: Vec<Row>,
    /// What caches and compression saved.
    pub savings: Savings,
    /// Cores that Evenkeel and this system used, and the generator.
    pub system_cores: Option<f64>,
    /// Cores that the generator used.
    pub generator_cores: Option<f64>,
    /// What was asked for, and whether it is so.
    pub verdicts: Vec<Verdict>,
}

/// Figures of a part of the requests.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Which part.
    pub name: String,
    /// How many.
    pub requests: u64,
    /// How many failed.
    pub errors: u64,
    /// Latencies in milliseconds.
    pub p50_ms: f64,
    /// 95 of 100.
    pub p95_ms: f64,
}

/// Something that was asked for.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// What, and what was found.
    pub what: String,
    /// Whether it is so.
    pub met: bool,
}

impl Report {
    /// From what the generator and the caches say.
    #[must_use]
    pub fn new(
        outcome: &Outcome,
        plan: &Plan,
        savings: Savings,
        users: usize,
        servers: usize,
        rate: u32,
    ) -> Self {
        let latency = outcome.totals.latency_ms;
        let ms = |read: fn(&super::bench::Latency) -> f64| latency.as_ref().map_or(f64::INFINITY, read);
        let (per_second, error_share) = (outcome.totals.per_second, outcome.totals.error_share);
        let p95_ms = ms(|latency| latency.p95);
        let verdict = |met, what| Verdict { what, met };
        let mut verdicts = vec![
            verdict(
                outcome.valid,
                format!("the generator kept up {}", outcome.invalid_because.join("; ")).trim().to_owned(),
            ),
            verdict(
                per_second >= f64::from(rate) * RATE_MIN,
                format!("{per_second:.0} of {rate} requests a second were answered"),
            ),
            verdict(p95_ms < P95_MS_MAX, format!("P95 is {p95_ms:.1} ms, below {P95_MS_MAX} ms")),
            verdict(
                error_share < ERRORS_MAX,
                format!("{:.3} % failed, below {} %", error_share * 100.0, ERRORS_MAX * 100.0),
            ),
        ];
        verdicts.extend(targets::judge(&savings));
        Self {
            users,
            think_s: plan.think.as_secs_f64(),
            servers,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            rate,
            per_second,
            requests: outcome.totals.requests,
            error_share,
            p50_ms: ms(|latency| latency.p50),
            p95_ms,
            p99_ms: ms(|latency| latency.p99),
            by_request: outcome.requests.iter().map(row).collect(),
            by_server: outcome.split.iter().map(row).collect(),
            savings,
            system_cores: outcome.target.cpu_cores,
            generator_cores: outcome.generator.cpu_cores,
            verdicts,
        }
    }

    /// Whether everything that was asked for is so.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.met)
    }

    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        let cores = |cores: Option<f64>| cores.map_or_else(|| "?".to_owned(), |cores| format!("{cores:.2}"));
        let mut text = format!(
            "{} users, who look at a page for {:.1} s, at {} requests/s over {} servers on {} cores\n\n",
            self.users, self.think_s, self.rate, self.servers, self.cores
        );
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  requests {}, {:.1}/s, {:.3} % failed",
            self.requests,
            self.per_second,
            self.error_share * 100.0
        );
        let _ = writeln!(
            text,
            "  latency  p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms",
            self.p50_ms, self.p95_ms, self.p99_ms
        );
        let _ = writeln!(
            text,
            "  cores    {} of the system, {} of the generator\n",
            cores(self.system_cores),
            cores(self.generator_cores)
        );
        for (title, rows) in [("request", &self.by_request), ("server", &self.by_server)] {
            let _ = writeln!(
                text,
                "  {title:20} {:>9} {:>9} {:>9} {:>9}",
                "requests", "errors", "p50 ms", "p95 ms"
            );
            for Row { name, requests, errors, p50_ms, p95_ms } in rows {
                let _ = writeln!(text, "  {name:20} {requests:>9} {errors:>9} {p50_ms:>9.1} {p95_ms:>9.1}");
            }
            text.push('\n');
        }
        text += &self.savings.table();
        text.push('\n');
        for Verdict { what, met } in &self.verdicts {
            let _ = writeln!(text, "  {} {what}", if *met { "ok    " } else { "NOT OK" });
        }
        text
    }
}

fn row(part: &Part) -> Row {
    let figures = &part.figures;
    Row {
        name: part.name.clone(),
        requests: figures.requests,
        errors: figures.errors,
        p50_ms: figures.latency_ms.map_or(0.0, |latency| latency.p50),
        p95_ms: figures.latency_ms.map_or(0.0, |latency| latency.p95),
    }
}
