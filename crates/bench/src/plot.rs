//! The report as a picture: latency by percentile, and throughput and latency over time.

use std::error::Error;
use std::ops::Range;

use hdrhistogram::Histogram;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;

use crate::report::{Report, ms_at};

const SIZE: (u32, u32) = (1_000, 1_080);
const BLUE: RGBColor = RGBColor(0, 90, 181);
const ORANGE: RGBColor = RGBColor(213, 94, 0);
/// Points of a line over the percentiles.
const POINTS: usize = 200;
/// How much higher a chart is than its highest value, so that the names of the lines stand above them.
const ROOM: f64 = 1.25;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

/// A line: its name, colour and points.
type Curve = (&'static str, RGBColor, Vec<(f64, f64)>);

/// The picture as SVG.
///
/// # Errors
/// It cannot be drawn.
pub fn plot(report: &Report) -> Result<String, String> {
    let mut svg = String::new();
    draw(report, &mut svg).map_err(|why| why.to_string())?;
    Ok(svg)
}

fn draw(report: &Report, svg: &mut String) -> Drawn {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let verdict = if report.invalid.is_empty() { "" } else { "INVALID: the generator was saturated - " };
    let root = root.titled(&format!("{verdict}{}", report.options.target.url()), ("sans-serif", 20))?;
    let [percentiles, throughput, latency] = &root.split_evenly((3, 1))[..] else { return Ok(()) };
    by_percentile(report, percentiles)?;
    let record = &report.record;
    let width = record.width().as_secs_f64();
    // The last stretch is shorter than the others where responses came after the end.
    let whole = (report.elapsed.as_secs_f64() / width).ceil() as usize;
    let over_time = |value: &dyn Fn(&crate::record::Interval) -> f64| -> Vec<(f64, f64)> {
        let intervals = record.intervals.iter().take(whole.max(1)).enumerate();
        intervals.map(|(at, interval)| (at as f64 * width, value(interval))).collect()
    };
    let rate = vec![
        ("responses", BLUE, over_time(&|interval| interval.responses as f64 / width)),
        ("errors", ORANGE, over_time(&|interval| interval.errors as f64 / width)),
    ];
    chart(throughput, "Responses and errors a second, over time", Scale::Seconds, &rate)?;
    let times = vec![
        ("p50", BLUE, over_time(&|interval| ms_at(&interval.latency, 0.5))),
        ("p99", ORANGE, over_time(&|interval| ms_at(&interval.latency, 0.99))),
    ];
    chart(latency, "Latency in ms, over time", Scale::Seconds, &times)?;
    root.present()?;
    Ok(())
}

fn by_percentile(report: &Report, area: &Area) -> Drawn {
    let record = &report.record;
    let mut curves = vec![("latency", BLUE, quantiles(&record.total.latency))];
    let mut title = "Latency in ms by percentile";
    if report.is_open() {
        title = "Latency in ms by percentile, from the intended start (corrected) and from send";
        curves = vec![
            ("corrected", BLUE, quantiles(&record.total.latency)),
            ("from send", ORANGE, quantiles(&record.from_sent)),
        ];
    }
    chart(area, title, Scale::Nines, &curves)
}

/// Points over the percentiles up to that of the largest value, in the scale that HdrHistogram's plots have.
fn quantiles(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let nines_max = (histogram.len().max(10) as f64).log10();
    let point = |at: usize| {
        let nines = nines_max * at as f64 / POINTS as f64;
        // The last point is the largest value.
        let quantile = if at == POINTS { 1.0 } else { 1.0 - 10_f64.powf(-nines) };
        (nines, ms_at(histogram, quantile))
    };
    (0..=POINTS).map(point).collect()
}

/// What runs to the right.
#[derive(Clone, Copy)]
enum Scale {
    Seconds,
    /// 1 is the 90th percentile, 2 the 99th, 3 the 99.9th.
    Nines,
}

/// A scale from 0 to its right end.
struct Axis {
    scale: Scale,
    right: f64,
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        from + (value / self.right * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        let step = match self.scale {
            Scale::Nines => 1.0,
            Scale::Seconds => {
                let steps = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 3_600.0];
                steps.into_iter().find(|step| self.right / step <= 12.0).unwrap_or(self.right / 12.0)
            }
        };
        (0..=(self.right / step) as usize).map(|at| at as f64 * step).collect()
    }

    fn range(&self) -> Range<f64> {
        0.0..self.right
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        match self.scale {
            Scale::Seconds => format!("{} s", (value * 10.0).round() / 10.0),
            Scale::Nines if *value == 0.0 => "0".into(),
            Scale::Nines => {
                let percent = 100.0 * (1.0 - 10_f64.powf(-value));
                format!("p{}", (percent * 1e4).round() / 1e4)
            }
        }
    }
}

fn chart(area: &Area, title: &str, scale: Scale, curves: &[Curve]) -> Drawn {
    let all = || curves.iter().flat_map(|(_, _, points)| points);
    let right = all().map(|(x, _)| *x).fold(1e-3, f64::max);
    let top = all().map(|(_, y)| *y).fold(1e-3, f64::max) * ROOM;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(28)
        .y_label_area_size(64)
        .build_cartesian_2d(Axis { scale, right }, 0.0..top)?;
    chart.configure_mesh().max_light_lines(0).draw()?;
    for (name, colour, points) in curves {
        let style = colour.stroke_width(2);
        let line = chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
        line.label(*name).legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}
