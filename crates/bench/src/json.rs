//! The report for programs.

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use crate::options::Load;
use crate::record::{Fault, Figures};
use crate::report::{PERCENTILES, Report, ms_at};

/// The report as JSON. Times are in milliseconds, rates a second; `docs/load-testing.md` describes the fields.
pub fn json(report: &Report) -> Value {
    let (options, record) = (&report.options, &report.record);
    let names = options.scenario.requests().iter().map(|request| &*request.name);
    let mut value = json!({
        "valid": report.invalid.is_empty(),
        "invalid_because": report.invalid,
        "notes": report.notes(),
        "interrupted": report.interrupted,
        "target": {
            "url": options.target.url(),
            "pids": report.target.as_ref().map(|target| &target.pids),
            "cpu_cores": report.target.as_ref().map(|target| target.cores),
        },
        "options": settings(report),
        "duration_s": report.elapsed.as_secs_f64(),
        "totals": figures(report, &record.total),
        "latency_from": if report.is_open() { "intended start" } else { "start" },
        "latency_from_send_ms": latency(&record.from_sent),
        "waited_for_connection": record.waited,
        "never_started": record.never_started,
        "connections_opened": record.connections,
        "requests": split(report, names.zip(&record.by_request)),
        "generator": {
            "cpu_cores": report.generator_cores(),
            "threads": report.generator.iter().map(|thread| json!({
                "ran": thread.ran, "waited_for_core": thread.waited,
            })).collect::<Value>(),
            "late_ms": latency(&record.lateness),
        },
        "timeline": timeline(report),
    });
    if let Some(header) = &options.split_by {
        let servers = record.by_server.iter().map(|(name, figures)| (&**name, figures));
        value["split_by"] = header.as_str().into();
        value["split"] = split(report, servers);
    }
    value
}

fn settings(report: &Report) -> Value {
    let options = &report.options;
    let (load, rate) = match options.load {
        Load::Closed => ("closed", Value::Null),
        Load::Rate(rate) => ("open", json!({ "from": rate, "to": rate })),
        Load::Ramp { from, to } => ("open", json!({ "from": from, "to": to })),
    };
    json!({
        "loop": load,
        "rate": rate,
        "connections": options.connections,
        "streams": options.streams,
        "threads": options.threads,
        "http": if options.http2 { "2" } else { "1.1" },
        "warmup_s": options.warmup.as_secs_f64(),
        "timeout_s": options.timeout.as_secs_f64(),
    })
}

fn figures(report: &Report, figures: &Figures) -> Value {
    let mut errors = Map::new();
    for (fault, count) in Fault::ALL.iter().zip(figures.faults) {
        errors.insert(fault.name().to_owned(), count.into());
    }
    for (class, range) in [("status_4xx", 400..500), ("status_5xx", 500..600)] {
        let count: u64 = figures.statuses.range(range).map(|(_, count)| count).sum();
        errors.insert(class.to_owned(), count.into());
    }
    let statuses: Map<_, _> =
        figures.statuses.iter().map(|(status, &count)| (status.to_string(), count.into())).collect();
    let requests = figures.requests();
    json!({
        "requests": requests,
        "per_second": report.per_second(requests),
        "errors": figures.errors(),
        "error_share": figures.errors() as f64 / requests.max(1) as f64,
        "errors_by_kind": errors,
        "statuses": statuses,
        "body_bytes": figures.bytes,
        "latency_ms": latency(&figures.latency),
    })
}

fn split<'a>(report: &Report, parts: impl Iterator<Item = (&'a str, &'a Figures)>) -> Value {
    let with_name = |(name, part): (&str, &Figures)| {
        let mut value = figures(report, part);
        value["name"] = name.into();
        value
    };
    parts.map(with_name).collect()
}

fn latency(histogram: &Histogram<u64>) -> Value {
    if histogram.is_empty() {
        return Value::Null;
    }
    let mut value = Map::new();
    let mut put = |name: &str, ms: f64| value.insert(name.to_owned(), ms.into());
    put("min", histogram.min() as f64 / 1e3);
    put("mean", histogram.mean() / 1e3);
    put("stdev", histogram.stdev() / 1e3);
    for (name, quantile) in PERCENTILES {
        put(name, ms_at(histogram, quantile));
    }
    put("max", histogram.max() as f64 / 1e3);
    value.into()
}

fn timeline(report: &Report) -> Value {
    let width = report.record.width().as_secs_f64();
    let at = |(number, interval): (usize, &crate::record::Interval)| {
        json!({
            "at_s": number as f64 * width,
            "per_second": interval.responses as f64 / width,
            "errors": interval.errors,
            "p50_ms": ms_at(&interval.latency, 0.5),
            "p99_ms": ms_at(&interval.latency, 0.99),
        })
    };
    report.record.intervals.iter().enumerate().map(at).collect()
}
