//! The results as files: `results.json` for programs, a Markdown page and a chart for people.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Context;

use super::budget;
use super::chart;
use super::results::{Metric, Outcome, Results, Row};

/// The order of the columns; a table has those that were measured.
const COLUMNS: [Metric; 14] = [
    Metric::CpuUs,
    Metric::MoreUs,
    Metric::CpuUserUs,
    Metric::CpuSystemUs,
    Metric::SpeedUp,
    Metric::IdleBytes,
    Metric::AddedP50Us,
    Metric::AddedP95Us,
    Metric::AddedP99Us,
    Metric::DirectP99Us,
    Metric::Rate,
    Metric::Throughput,
    Metric::Mebibytes,
    Metric::Errors,
];

/// Writes `NAME.md`, `NAME.svg` (when there is CPU time to show) and `results.json` to `dir`; the Markdown.
///
/// # Errors
/// `dir` is not writable.
pub fn write(dir: &Path, name: &str, results: &Results) -> anyhow::Result<String> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let chart = chart::svg(results);
    let image = chart.as_ref().map(|_| format!("{name}.svg"));
    if let (Some(file), Some(svg)) = (&image, &chart) {
        fs::write(dir.join(file), svg)?;
    }
    let page = markdown(results, image.as_deref());
    fs::write(dir.join(format!("{name}.md")), &page)?;
    fs::write(dir.join("results.json"), serde_json::to_string_pretty(results)? + "\n")?;
    Ok(page)
}

fn markdown(results: &Results, image: Option<&str>) -> String {
    let machine = &results.machine;
    let mut page = String::from("# Comparison with nginx, HAProxy and Varnish\n\n");
    let _ = writeln!(
        page,
        "{date}, {cpu}, {cores} cores, {kernel}; load average before the run {load}. Medians of {rounds} rounds of \
         {seconds} s, the proxies taking turns in each round. evenkeel is built with \
         {build}. Written by `cargo xtask bench`.\n",
        date = machine.date,
        cpu = machine.cpu,
        cores = machine.cores,
        kernel = machine.kernel,
        load = machine.load_average,
        rounds = results.rounds,
        seconds = results.seconds,
        build = results.build,
    );
    for version in &machine.versions {
        let _ = writeln!(page, "- {version}");
    }
    if let Some(image) = image {
        let _ = writeln!(page, "\n![CPU time per request, by proxy and scenario]({image})");
    }
    page.push_str("\n## Budgets\n\n| scenario | budget | measured | result |\n|---|---|---|---|\n");
    for outcome in &results.scenarios {
        let Some(words) = budget::words(outcome.scenario) else { continue };
        let (measured, result) = match &outcome.verdict {
            Some(v) => {
                let digits = if v.measured < 10.0 { 2 } else { 0 };
                let note = if outcome.notes.is_empty() { "" } else { " (see the note below)" };
                (format!("{:.digits$}{note}", v.measured), if v.pass { "pass" } else { "**miss**" })
            }
            None => ("not measured".into(), ""),
        };
        let _ = writeln!(page, "| {} | {words} | {measured} | {result} |", outcome.scenario.title());
    }
    for outcome in &results.scenarios {
        let _ = writeln!(page, "\n## {}", outcome.scenario.title());
        if !outcome.rows.is_empty() {
            let _ = writeln!(page, "\n{}", table(outcome));
        }
        for note in &outcome.notes {
            let _ = writeln!(page, "\n{note}");
        }
    }
    page
}

/// A line for each row; the first column of numbers with the range that its median comes from.
fn table(outcome: &Outcome) -> String {
    let measured = |metric: &Metric| outcome.rows.iter().any(|row| row.median(*metric).is_some());
    let columns: Vec<Metric> = COLUMNS.into_iter().filter(measured).collect();
    let labels: Vec<&str> = columns.iter().map(|metric| metric.label()).collect();
    let mut lines = vec![
        format!("| proxy | {} |", labels.join(" | ")),
        format!("|---|{}", "---:|".repeat(columns.len())),
    ];
    for row in &outcome.rows {
        let cell = |(index, metric): (usize, &Metric)| {
            let Some(median) = row.median(*metric) else { return "-".into() };
            let range = if index == 0 { range(row, *metric) } else { String::new() };
            format!("{}{range}", metric.format(median))
        };
        let cells: Vec<String> = columns.iter().enumerate().map(cell).collect();
        lines.push(format!("| {} | {} |", row.name, cells.join(" | ")));
    }
    lines.join("\n")
}

fn range(row: &Row, metric: Metric) -> String {
    let values = row.values(metric);
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!(" ({} to {})", metric.format(least), metric.format(most))
}

#[cfg(test)]
mod tests;
