//! A bar chart of CPU time per request as SVG, readable on a light page and on a dark one.

use std::fmt::Write;

use super::proxy::Proxy;
use super::results::{Metric, Outcome, Results, Row};

const WIDTH: f64 = 760.0;
/// Where the bars begin.
const LEFT: f64 = 100.0;
/// The longest bar of each scenario; what is right of it is for its label.
const BAR_MAX: f64 = 440.0;
const BAR: f64 = 18.0;
const STEP: f64 = 24.0;
const TITLE: f64 = 28.0;
const GAP: f64 = 18.0;
const TOP: f64 = 64.0;

/// The colours hold on white and on black; only the text changes with the page.
const STYLE: &str = "\
text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#1f2328}\
.head{font-weight:600;font-size:15px}.title{font-weight:600}.small{font-size:12px;fill:#59636e}\
.evenkeel{fill:#2f81f7}.nginx{fill:#2da44e}.haproxy{fill:#d4842a}.varnish{fill:#8957e5}.kernel{opacity:.55}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9198a1}}";

/// One panel for each scenario with CPU times, each to its own scale; `None` when there is none.
pub fn svg(results: &Results) -> Option<String> {
    let panels: Vec<(&Outcome, f64)> =
        results.scenarios.iter().filter_map(|o| Some((o, longest(o)?))).collect();
    if panels.is_empty() {
        return None;
    }
    let mut body = String::new();
    let mut y = TOP;
    for (outcome, longest) in panels {
        let _ = writeln!(
            body,
            r#"<text class="title" x="0" y="{}">{}</text>"#,
            y + 15.0,
            outcome.scenario.title()
        );
        y += TITLE;
        for row in &outcome.rows {
            bar(&mut body, row, longest, y);
            y += STEP;
        }
        y += GAP;
    }
    let machine =
        format!("{}, {} cores, {}", results.machine.cpu, results.machine.cores, results.machine.date);
    Some(format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img" aria-label="CPU time per request">
<style>{STYLE}</style>
<text class="head" x="0" y="18">CPU time per request (shorter is better)</text>
<text class="small" x="0" y="38">full colour: user space, pale: kernel; {}</text>
{body}</svg>
"#,
        escaped(&machine)
    ))
}

fn longest(outcome: &Outcome) -> Option<f64> {
    outcome.rows.iter().filter_map(|row| row.median(Metric::CpuUs)).max_by(f64::total_cmp)
}

fn bar(body: &mut String, row: &Row, longest: f64, y: f64) {
    let Some(total) = row.median(Metric::CpuUs) else { return };
    let user = row.median(Metric::CpuUserUs).unwrap_or_default();
    let scale = BAR_MAX / longest;
    let class = row.proxy.name();
    let name = if row.proxy == Proxy::Evenkeel && row.name != class {
        row.name.trim_start_matches("evenkeel, ").to_owned()
    } else {
        class.to_owned()
    };
    let text_y = y + BAR - 4.5;
    let (user_width, total_width) = (user * scale, total * scale);
    let _ = writeln!(
        body,
        r#"<text x="{}" y="{text_y}" text-anchor="end">{}</text>"#,
        LEFT - 8.0,
        escaped(&name)
    );
    let _ = writeln!(
        body,
        r#"<rect class="{class}" x="{LEFT}" y="{y}" width="{user_width:.1}" height="{BAR}"/>"#
    );
    let _ = writeln!(
        body,
        r#"<rect class="{class} kernel" x="{:.1}" y="{y}" width="{:.1}" height="{BAR}"/>"#,
        LEFT + user_width,
        total_width - user_width
    );
    let label = format!("{} us, {} in user space", Metric::CpuUs.format(total), Metric::CpuUs.format(user));
    let _ = writeln!(body, r#"<text x="{:.1}" y="{text_y}">{label}</text>"#, LEFT + total_width + 8.0);
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
