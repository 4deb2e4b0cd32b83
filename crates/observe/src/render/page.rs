//! The text formats themselves: families, samples and labels, line by line.

use std::fmt::{Display, Write};
use std::time::Duration;

use crate::histogram::HistogramSnapshot;
use crate::names::{Kind, Metric};

/// The text formats that Prometheus reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The Prometheus text format 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0: counters are announced without `_total`, and the page has an end.
    OpenMetrics,
}

impl Format {
    /// Its media type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The text being written. Writing to a `String` cannot fail, so results of `write!` are dropped.
pub(super) struct Page(String, Format);

impl Page {
    /// An empty page, with room for what a small pool fills.
    pub(super) fn new(format: Format) -> Self {
        Self(String::with_capacity(64 << 10), format)
    }

    /// The whole text.
    pub(super) fn finish(mut self) -> String {
        if self.1 == Format::OpenMetrics {
            self.0.push_str("# EOF\n");
        }
        self.0
    }

    /// The lines that announce a metric; all its samples follow at once.
    pub(super) fn family(&mut self, metric: &Metric) {
        let name = match (self.1, metric.kind) {
            (Format::OpenMetrics, Kind::Counter) => metric.name.trim_end_matches("_total"),
            _ => metric.name,
        };
        let kind = metric.kind.as_str();
        let _ = writeln!(self.0, "# HELP {name} {}\n# TYPE {name} {kind}", metric.help);
    }

    /// A metric without labels, whole.
    pub(super) fn single(&mut self, metric: &Metric, value: impl Display) {
        self.family(metric);
        self.sample(metric, &[], value);
    }

    /// A metric without labels, if its value is known.
    pub(super) fn known(&mut self, metric: &Metric, value: Option<impl Display>) {
        if let Some(value) = value {
            self.single(metric, value);
        }
    }

    /// One sample of a metric, with a value for each of its labels.
    pub(super) fn sample(&mut self, metric: &Metric, values: &[&str], value: impl Display) {
        self.line(metric, "", values, None, value);
    }

    /// A counter of one of many servers, which begins with its first value: thousands of servers that are never asked, or
    /// never fail, would fill the page with zeros.
    pub(super) fn begun(&mut self, metric: &Metric, values: &[&str], count: u64) {
        if count > 0 {
            self.sample(metric, values, count);
        }
    }

    /// All samples of a histogram.
    pub(super) fn histogram(&mut self, metric: &Metric, values: &[&str], figures: &HistogramSnapshot) {
        let seconds = |bound: Option<Duration>| bound.map_or(f64::INFINITY, |bound| bound.as_secs_f64());
        let buckets = figures.buckets().map(|(bound, inside)| (seconds(bound), inside));
        self.buckets(metric, values, buckets, figures.sum().as_secs_f64());
    }

    /// The same of a histogram with bounds of its own, the last of which is infinity; each bucket has what lies in it alone.
    pub(super) fn buckets(
        &mut self,
        metric: &Metric,
        values: &[&str],
        buckets: impl Iterator<Item = (f64, u64)>,
        sum: f64,
    ) {
        let mut cumulative = 0;
        for (bound, inside) in buckets {
            cumulative += inside;
            self.line(metric, "_bucket", values, Some(bound), cumulative);
        }
        self.line(metric, "_sum", values, None, sum);
        self.line(metric, "_count", values, None, cumulative);
    }

    fn line(
        &mut self,
        metric: &Metric,
        suffix: &str,
        values: &[&str],
        bound: Option<f64>,
        value: impl Display,
    ) {
        debug_assert_eq!(metric.labels.len(), values.len(), "labels of {}", metric.name);
        self.0.push_str(metric.name);
        self.0.push_str(suffix);
        let mut opening = '{';
        for (label, text) in metric.labels.iter().zip(values) {
            self.0.push(opening);
            opening = ',';
            let _ = write!(self.0, "{label}=\"");
            self.escaped(text);
            self.0.push('"');
        }
        match bound {
            Some(bound) if bound.is_finite() => drop(write!(self.0, "{opening}le=\"{bound}\"")),
            Some(_) => drop(write!(self.0, "{opening}le=\"+Inf\"")),
            None => {}
        }
        if bound.is_some() || !values.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// A label's value: backslash, quote and line feed are the only three that the format escapes.
    fn escaped(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                c => self.0.push(c),
            }
        }
    }
}
