//! `outlier` of a pool: passive checks, by which live traffic takes servers out.

use std::time::Duration;

use super::failure::{self, FailureOn};
use crate::declare::{Rules, Shown, section};
use crate::diagnostic::Diagnostic;
use crate::keys::Absent::{Are, Is, Means};
use crate::keys::syntax::FAILURE_ON;
use crate::keys::{DURATION, Kind, key};
use crate::read::Table;

section! {
    /// Passive checks: a server that fails live requests, or does worse than the others, is taken out for a while.
    #[derive(PartialEq)]
    pub struct Outlier "outlier of [pool.NAME]" {
        /// Failures within `window` that take a server out.
        failures: u32 = key(Kind::Integer(1, 1_000), Is("3"), "3"),
        /// Failures that count: `connect`: the server could not be reached. `reset`: the connection ended before the end
        /// of the answer, or the answer was malformed. `timeout`: no answer in time. A status, or all of `5xx`.
        on: FailureOn = key(
            Kind::OneOrList(&Kind::Text(&FAILURE_ON), 64),
            Are(failure::DEFAULT),
            r#"["connect", "reset", "timeout", "5xx"]"#,
        ),
        /// How long a failure is remembered.
        window: Duration = key(DURATION, Is("30s"), r#""30s""#),
        /// How long it stays out the first time; doubled on each repeat, up to ten times.
        eject: Duration = key(DURATION, Is("30s"), r#""30s""#),
        /// Of the pool's servers, how many may be out at a time. One may always be, if another is up.
        max_ejected: u32 = key(Kind::Percent(1, 100), Is("50%"), r#""50%""#),
        /// Takes a server out whose success rate within `window` is this many standard deviations below that of the
        /// others.
        success_rate: Option<f64> = key(
            Kind::Decimal(0.1, 100.0),
            Means("success rates are not compared"),
            "1.9",
        ),
        /// Takes a server out whose average latency within `window` is this many times the median of all servers'.
        latency: Option<f64> = key(Kind::Decimal(1.1, 1_000.0), Means("latencies are not compared"), "3.0"),
        /// Requests within `window` that a server must have had to be compared; three such servers are needed. Only
        /// with `success_rate` or `latency`.
        requests_min: u64 = key(Kind::Integer(1, 1_000_000), Is("50"), "50"),
    }
}

impl Outlier {
    /// True when servers are compared with one another.
    pub fn compares(&self) -> bool {
        self.success_rate.is_some() || self.latency.is_some()
    }
}

impl Rules for Outlier {
    fn finish(&mut self, table: &Table<'_>) {
        let compares = table.has("success_rate") || table.has("latency");
        if let Some(span) = table.key_span("requests_min").filter(|_| !compares) {
            table.reader.note(
                Diagnostic::error("`requests_min` has no effect where servers are not compared")
                    .at(span)
                    .with_expected("only with `success_rate` or `latency`")
                    .with_help("add `success_rate = 1.9`, or leave `requests_min` out"),
            );
        }
    }

    fn shown(&self, key: &str) -> Shown {
        Shown::only_if(key != "requests_min" || self.compares())
    }
}
