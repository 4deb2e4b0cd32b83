//! Plots of results, as SVG.

use std::fmt::Write as _;

use super::scaling::Step;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;

/// Room for axes and titles around the bars of one chart.
const TOP: f64 = 46.0;
const BOTTOM: f64 = 250.0;

/// Throughput and latency by the number of servers: two bar charts side by side.
#[must_use]
pub fn scaling(steps: &[Step]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\" role=\"img\" aria-label=\"Throughput and latency by the number of servers\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    let throughput = |step: &Step| step.per_second;
    bars(&mut svg, 20.0, "requests a second, at most", "#2563a8", steps, throughput);
    let rate = steps.first().map_or(0, |step| step.latency_rate);
    let latency = |step: &Step| step.p95_ms;
    bars(&mut svg, 340.0, &format!("P95 in ms, at {rate} requests a second"), "#b4532a", steps, latency);
    svg.push_str("</svg>\n");
    svg
}

fn bars(svg: &mut String, left: f64, title: &str, fill: &str, steps: &[Step], value: impl Fn(&Step) -> f64) {
    let most = steps.iter().map(&value).fold(f64::MIN_POSITIVE, f64::max);
    let slot = 280.0 / steps.len().max(1) as f64;
    // Writing to a string cannot fail.
    let _ = writeln!(svg, "<text x=\"{left}\" y=\"22\" font-weight=\"bold\">{title}</text>");
    let _ = writeln!(
        svg,
        "<line x1=\"{left}\" y1=\"{BOTTOM}\" x2=\"{}\" y2=\"{BOTTOM}\" stroke=\"#888\"/>",
        left + 280.0
    );
    for (number, step) in steps.iter().enumerate() {
        let value = value(step);
        let height = value / most * (BOTTOM - TOP);
        let (x, y) = (left + slot * number as f64 + slot * 0.2, BOTTOM - height);
        let middle = x + slot * 0.3;
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\" fill=\"{fill}\"/>",
            slot * 0.6
        );
        let label = if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.1}") };
        let _ = writeln!(
            svg,
            "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
            y - 5.0
        );
        let plural = if step.servers == 1 { "" } else { "s" };
        let _ = writeln!(
            svg,
            "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{} server{plural}</text>",
            BOTTOM + 18.0,
            step.servers
        );
    }
}
