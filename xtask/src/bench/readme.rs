//! The figures in the repository's README, so that they are not copied by hand.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Context;

use super::budget;
use super::proxy::Proxy;
use super::results::{Metric, Outcome, Results, Scenario};

/// In the order of the columns.
const PROXIES: [Proxy; 4] = [Proxy::Evenkeel, Proxy::Nginx, Proxy::Haproxy, Proxy::Varnish];

/// Puts `results`, whose page is `bench/results/all.md`, into the README of `root`.
///
/// # Errors
/// The README is missing or lacks a marker.
pub fn update(root: &Path, results: &Results) -> anyhow::Result<()> {
    write(root, "bench", &block(results))
}

/// Puts `block` into the README of `root`, between the markers of this name.
///
/// # Errors
/// The README is missing or lacks a marker.
pub fn write(root: &Path, name: &str, block: &str) -> anyhow::Result<()> {
    write_to(&root.join("README.md"), name, block)
}

/// The same for any page.
///
/// # Errors
/// The page is missing or lacks a marker.
pub fn write_to(file: &Path, name: &str, block: &str) -> anyhow::Result<()> {
    let page = fs::read_to_string(file)?;
    let no_block = || format!("{} has no block for the figures", file.display());
    let page = replaced(&page, name, block).with_context(no_block)?;
    Ok(fs::write(file, page)?)
}

fn replaced(page: &str, name: &str, block: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->\n"));
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{block}{end}{after}"))
}

fn block(results: &Results) -> String {
    let machine = &results.machine;
    let mut block = String::from(
        "CPU time of the proxy per request in microseconds, user and system, access log and metrics on in Evenkeel:\n\n\
         | load | Evenkeel | nginx | HAProxy | Varnish | to the best of them, in paired rounds | target |\n\
         |---|---:|---:|---:|---:|---:|---:|\n",
    );
    for outcome in results.scenarios.iter().filter(|o| !o.scenario.is_ours_alone()) {
        let Some(cells) = cells(outcome, Metric::CpuUs, &PROXIES) else { continue };
        let share = |share: Option<f64>| share.map_or("-".into(), |share| format!("{share:.2}"));
        let measured = share(budget::share(outcome.scenario, &outcome.rows));
        let allowed = share(budget::share_allowed(outcome.scenario));
        let _ = writeln!(block, "| {} | {cells} | {measured} | {allowed} |", outcome.scenario.title());
    }
    block.push_str("\n| | Evenkeel | nginx | HAProxy |\n|---|---:|---:|---:|\n");
    for outcome in &results.scenarios {
        let title = outcome.scenario.title();
        for (metric, label) in [
            (Metric::IdleBytes, "bytes of memory each"),
            (Metric::AddedP50Us, "us at p50"),
            (Metric::AddedP99Us, "us at p99"),
        ] {
            // Varnish takes no part in these.
            if let Some(cells) = cells(outcome, metric, &PROXIES[..3]) {
                let _ = writeln!(block, "| {title}: {label} | {cells} |");
            }
        }
    }
    block.push_str(&features(results));
    let _ = writeln!(
        block,
        "\nMeasured on {date} on {cores} cores of {cpu}, {kernel}, the proxy alone on one of them, \
         Evenkeel built with {build}. All figures, their \
         spread, the versions and the budgets: [bench/results/all.md](bench/results/all.md).\n\n\
         ![CPU time per request, by proxy and scenario](bench/results/all.svg)",
        date = machine.date,
        cores = machine.cores,
        cpu = machine.cpu,
        kernel = machine.kernel,
        build = results.build,
    );
    block
}

/// What each feature costs; nothing if that was not measured.
fn features(results: &Results) -> String {
    let Some(outcome) = results.scenarios.iter().find(|o| o.scenario == Scenario::Features) else {
        return String::new();
    };
    let mut table = String::from(
        "\n| switched on | more CPU time per request in user space, in microseconds |\n|---|---:|\n",
    );
    for row in &outcome.rows {
        if let (Some(more), Some((_, name))) = (row.median(Metric::MoreUs), row.name.split_once(", ")) {
            let _ = writeln!(table, "| {name} | {} |", Metric::MoreUs.format(more));
        }
    }
    table
}

/// The medians of `metric`, a cell for each proxy; `None` when it was not measured.
fn cells(outcome: &Outcome, metric: Metric, proxies: &[Proxy]) -> Option<String> {
    let row = |proxy| outcome.rows.iter().find(|row| row.proxy == proxy);
    let median = |proxy: &Proxy| row(*proxy).and_then(|row| row.median(metric));
    let medians: Vec<Option<f64>> = proxies.iter().map(median).collect();
    let cell = |median: &Option<f64>| median.map_or("-".into(), |median| metric.format(median));
    let any = medians.iter().any(Option::is_some);
    any.then(|| medians.iter().map(cell).collect::<Vec<_>>().join(" | "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::bench::machine::Machine;
    use crate::bench::results::{Row, Sample};

    fn outcome(scenario: Scenario, metric: Metric, values: &[(Proxy, f64)]) -> Outcome {
        let row = |(proxy, value): &(Proxy, f64)| Row {
            rounds: vec![Sample::from([(metric, *value)])],
            ..Row::new(*proxy)
        };
        Outcome { scenario, rows: values.iter().map(row).collect(), notes: Vec::new(), verdict: None }
    }

    #[test]
    fn a_scenario_is_a_line_with_any_peers() {
        let all = |a, b, c| [(Proxy::Evenkeel, a), (Proxy::Nginx, b), (Proxy::Haproxy, c)];
        let results = Results {
            build: "the profile `dist`",
            machine: Machine::read(&[]),
            rounds: 1,
            seconds: 1,
            scenarios: vec![
                outcome(Scenario::TlsHandshake, Metric::CpuUs, &all(150.0, 300.0, 400.0)),
                outcome(Scenario::TlsHandshakePq, Metric::CpuUs, &[(Proxy::Evenkeel, 200.0)]),
                outcome(Scenario::IdleTls, Metric::IdleBytes, &all(9000.0, 14_000.0, 15_000.0)),
                outcome(Scenario::Workers, Metric::CpuUs, &[(Proxy::Evenkeel, 77.0)]),
                Outcome {
                    rows: vec![Row {
                        name: "evenkeel, a thing".into(),
                        rounds: vec![Sample::from([(Metric::CpuUs, 77.0), (Metric::MoreUs, 0.42)])],
                        ..Row::new(Proxy::Evenkeel)
                    }],
                    ..outcome(Scenario::Features, Metric::CpuUs, &[])
                },
            ],
        };
        let block = block(&results);
        for line in [
            "| HTTPS, a full handshake per request, 64 at a time | 150 | 300 | 400 | - | 0.50 | 0.75 |",
            "| HTTPS, a full handshake per request, post-quantum key exchange | 200 | - | - | - | - | - |",
            "| a thing | 0.42 |",
            "| Idle keep-alive connections over TLS: bytes of memory each | 9,000 | 14,000 | 15,000 |",
        ] {
            assert!(block.lines().any(|l| l == line), "{line}\nis not in\n{block}");
        }
        assert!(!block.contains("77"), "two workers are no comparison:\n{block}");
    }

    #[test]
    fn only_the_block_is_replaced() {
        let page =
            |block: &str| format!("before\n<!-- bench:begin -->\n{block}\n<!-- bench:end -->\nafter\n");
        assert_eq!(replaced(&page("old"), "bench", "new\n"), Some(page("new")));
        assert_eq!(replaced(&page("old"), "other", "new\n"), None);
    }
}
