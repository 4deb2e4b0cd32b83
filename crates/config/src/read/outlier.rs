//! Reads `outlier`, `panic` and `slow_start` of a pool: who is taken out by live traffic, and how servers come back.

use std::time::Duration;

use super::table::Table;
use crate::diagnostic::Diagnostic;
use crate::model::{Outlier, Pool};

/// Servers that it takes to say which one stands out.
const COMPARED_MIN: usize = 3;

pub(super) fn read(table: &Table<'_>) -> Outlier {
    let outlier = Outlier {
        failures: table.small("failures"),
        window: table.duration("window"),
        eject: table.duration("eject"),
        max_ejected: table.percent("max_ejected"),
        success_rate: table.value("success_rate").and_then(|value| value.decimal()),
        latency: table.value("latency").and_then(|value| value.decimal()),
        requests_min: table.integer("requests_min"),
    };
    let compares = table.has("success_rate") || table.has("latency");
    if let Some(span) = table.key_span("requests_min").filter(|_| !compares) {
        table.reader.note(
            Diagnostic::error("`requests_min` has no effect where servers are not compared")
                .at(span)
                .with_expected("only with `success_rate` or `latency`")
                .with_help("add `success_rate = 1.9`, or leave `requests_min` out"),
        );
    }
    outlier
}

pub(super) fn slow_start(table: &Table<'_>) -> Option<Duration> {
    table.value("slow_start").filter(|value| !value.is_word("off"))?.duration()
}

/// Notes what does not fit together within a pool.
pub(super) fn check(table: &Table<'_>, pool: &Pool) {
    if let Some(span) = table.key_span("panic").filter(|_| !table.has("outlier")) {
        table.reader.note(
            Diagnostic::error("`panic` has no effect where no server is ever ejected")
                .at(span)
                .with_expected("only with `outlier`")
                .with_help("add `outlier = {}`, or leave `panic` out"),
        );
    }
    let compares = pool.outlier.as_ref().is_some_and(Outlier::compares);
    let compared = pool.backends.iter().filter(|backend| backend.weight > 0).count();
    if let Some(span) =
        table.key_span("outlier").filter(|_| compares && (1..COMPARED_MIN).contains(&compared))
    {
        let servers = if compared == 1 { "one server has" } else { "two servers have" };
        table.reader.note(
            Diagnostic::warning(format!(
                "only {servers} a weight above zero, and none can stand out among so few"
            ))
            .at(span)
            .with_expected("`success_rate` and `latency` compare three servers at least"),
        );
    }
}
