//! docs/metrics.md is made of the table of metrics, so that it cannot be out of date.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::Path;

use super::ALL;

const START: &str = "\
# Metrics

What `GET /metrics` of the admin address says, in the text format of Prometheus, or as OpenMetrics to a scraper that prefers
it. A test writes this page: `UPDATE_DOCS=1 cargo test -p evenkeel-observe reference`. [Monitoring](monitoring.md) says how to use it.

| Metric | Type | Labels | What it is |
|---|---|---|---|
";

#[test]
fn the_reference_is_up_to_date() {
    let mut text = START.to_owned();
    for metric in ALL {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, labels, help) = (metric.name, metric.kind.as_str(), labels.join(", "), metric.help);
        writeln!(text, "| `{name}` | {kind} | {labels} | {help} |").unwrap();
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == text, "docs/metrics.md is stale: run the tests with UPDATE_DOCS=1");
}
