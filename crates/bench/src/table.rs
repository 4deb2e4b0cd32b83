//! The report for people.

use std::fmt::Write;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::options::Load;
use crate::record::{Fault, Figures};
use crate::report::{PERCENTILES, Report, ms_at};

/// The share of the time without a core from which the report says so.
const WAITED_MUCH: f64 = 0.1;

/// The report as text.
pub fn table(report: &Report) -> String {
    let mut out = heading(report);
    totals(report, &mut out);
    latencies(report, &mut out);
    let record = &report.record;
    if record.by_request.len() > 1 {
        let names = report.options.scenario.requests().iter().map(|request| &*request.name);
        split(report, "request", &mut names.zip(&record.by_request), &mut out);
    }
    if let Some(header) = &report.options.split_by {
        let servers = record.by_server.iter().map(|(name, figures)| (&**name, figures));
        split(report, header.as_str(), &mut { servers }, &mut out);
    }
    cpu(report, &mut out);
    for note in report.notes() {
        let _ = writeln!(out, "\nNOTE: {note}");
    }
    for reason in &report.invalid {
        let _ = writeln!(out, "\nINVALID: {reason}");
    }
    out
}

fn heading(report: &Report) -> String {
    let options = &report.options;
    let kind = match options.load {
        Load::Closed => "closed loop".to_owned(),
        Load::Rate(rate) => format!("open loop at {}/s", number(rate)),
        Load::Ramp { from, to } => format!("open loop from {}/s to {}/s", number(from), number(to)),
    };
    let version = if options.http2 { "HTTP/2" } else { "HTTP/1.1" };
    let streams =
        if options.streams > 1 { format!(" of {} streams", options.streams) } else { String::new() };
    let mut out = format!("{}\n", report.options.target.url());
    let _ = writeln!(
        out,
        "{kind}, {version}, {}{streams}, {}, {}{}{}",
        counted(options.connections, "connection"),
        counted(options.threads, "thread"),
        seconds(report.elapsed),
        if options.warmup.is_zero() {
            String::new()
        } else {
            format!(" after {} of warm-up", seconds(options.warmup))
        },
        if report.interrupted { ", interrupted" } else { "" },
    );
    out
}

fn totals(report: &Report, out: &mut String) {
    let (record, total) = (&report.record, &report.record.total);
    let wanted = report.rate_wanted().map_or_else(String::new, |rate| format!(" of {}/s", number(rate)));
    let requests = total.requests();
    let _ = writeln!(out, "\n  requests     {requests}, {:.1}/s{wanted}", report.per_second(requests));
    let share = 100.0 * total.errors() as f64 / requests.max(1) as f64;
    let _ = writeln!(out, "  errors       {}, {share:.3} %{}", total.errors(), kinds(total));
    let statuses: Vec<String> =
        total.statuses.iter().map(|(status, count)| format!("{status}: {count}")).collect();
    if !statuses.is_empty() {
        let _ = writeln!(out, "  statuses     {}", statuses.join(", "));
    }
    let rate = bytes(report.per_second(total.bytes));
    let _ = writeln!(out, "  bodies       {}, {rate}/s", bytes(total.bytes as f64));
    let _ = writeln!(out, "  connections  {} opened", record.connections);
    if record.waited > 0 || record.never_started > 0 {
        let _ = writeln!(
            out,
            "  late         {} found no free connection at their intended start, {} never started",
            record.waited, record.never_started
        );
    }
    for (fault, why) in Fault::ALL.iter().zip(&record.first_failures) {
        if let Some(why) = why {
            let _ = writeln!(out, "  first {:<6} {why}", fault.name());
        }
    }
}

/// Errors by kind.
fn kinds(figures: &Figures) -> String {
    let mut kinds = Vec::new();
    for (fault, count) in Fault::ALL.iter().zip(figures.faults) {
        if count > 0 {
            kinds.push(format!("{} {count}", fault.name()));
        }
    }
    for (status, count) in figures.statuses.range(400..) {
        kinds.push(format!("status {status} {count}"));
    }
    if kinds.is_empty() { String::new() } else { format!(": {}", kinds.join(", ")) }
}

fn latencies(report: &Report, out: &mut String) {
    let total = &report.record.total.latency;
    if total.is_empty() {
        return;
    }
    let what = if report.is_open() {
        "from the intended start: corrected for coordinated omission"
    } else {
        "from the start of each request: a closed loop, not corrected for coordinated omission"
    };
    let _ = writeln!(out, "\n  latency in ms, {what}");
    let mut heading = format!("  {:<10}", "");
    for name in ["mean"].into_iter().chain(PERCENTILES.map(|(name, _)| name)).chain(["max"]) {
        let _ = write!(heading, "{name:>10}");
    }
    let _ = writeln!(out, "{heading}");
    row(out, if report.is_open() { "corrected" } else { "plain" }, total);
    if report.is_open() {
        row(out, "from send", &report.record.from_sent);
    }
}

fn row(out: &mut String, name: &str, histogram: &Histogram<u64>) {
    let _ = write!(out, "  {name:<10}{:>10}", ms(histogram.mean() / 1e3));
    for (_, quantile) in PERCENTILES {
        let _ = write!(out, "{:>10}", ms(ms_at(histogram, quantile)));
    }
    let _ = writeln!(out, "{:>10}", ms(histogram.max() as f64 / 1e3));
}

fn split<'a>(
    report: &Report,
    what: &str,
    parts: &mut dyn Iterator<Item = (&'a str, &'a Figures)>,
    out: &mut String,
) {
    let parts: Vec<_> = parts.collect();
    let width =
        parts.iter().map(|(name, _)| name.chars().count()).chain([what.len()]).max().unwrap_or_default();
    let columns = ["requests", "share", "per s", "errors", "p50 ms", "p95 ms", "p99 ms", "max ms"];
    let _ = write!(out, "\n  {what:<width$}");
    for column in columns {
        let _ = write!(out, "{column:>10}");
    }
    out.push('\n');
    let all = report.record.total.requests().max(1) as f64;
    for (name, figures) in parts {
        let requests = figures.requests();
        let _ = write!(out, "  {name:<width$}{requests:>10}{:>8.1} %", 100.0 * requests as f64 / all);
        let _ = write!(out, "{:>10.1}{:>10}", report.per_second(requests), figures.errors());
        for quantile in [0.5, 0.95, 0.99, 1.0] {
            let _ = write!(out, "{:>10}", ms(ms_at(&figures.latency, quantile)));
        }
        out.push('\n');
    }
}

fn cpu(report: &Report, out: &mut String) {
    let busiest = report.generator.iter().map(|thread| thread.ran).fold(0.0, f64::max);
    let waited = report.generator.iter().map(|thread| thread.waited).fold(0.0, f64::max);
    let cores = report.generator_cores();
    let _ = write!(out, "\n  generator    {cores:.2} cores, its busiest thread {:.0} %", busiest * 100.0);
    if report.is_open() {
        let late = ms(ms_at(&report.record.lateness, 0.99));
        let _ = write!(out, "; starts late by {late} ms at p99");
    }
    if waited >= WAITED_MUCH {
        let _ = write!(out, "; a thread waited for a core {:.0} % of the time", waited * 100.0);
    }
    match &report.target {
        Some(target) => {
            let pids: Vec<String> = target.pids.iter().map(u32::to_string).collect();
            let _ = writeln!(out, "\n  target       {:.2} cores (pid {})", target.cores, pids.join(", "));
        }
        None => out.push_str("\n  target       CPU unknown: name its process by --target-pid\n"),
    }
}

fn ms(ms: f64) -> String {
    if ms < 100.0 { format!("{ms:.2}") } else { format!("{ms:.0}") }
}

fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds.fract() < 0.05 { format!("{seconds:.0} s") } else { format!("{seconds:.1} s") }
}

fn number(rate: f64) -> String {
    if rate.fract() == 0.0 { format!("{rate:.0}") } else { format!("{rate}") }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn bytes(count: f64) -> String {
    let (mut value, mut unit) = (count, "B");
    for larger in ["KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, larger);
    }
    if unit == "B" { format!("{value:.0} B") } else { format!("{value:.1} {unit}") }
}
