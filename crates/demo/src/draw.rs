//! The picture: a pure function from [`Figures`] to what stands on the screen.

use std::time::Duration;

use evenkeel_core::health::State;
use evenkeel_terminal::{show_bytes, show_clock, show_count, show_duration};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Sparkline};

use super::figures::{Event, Figures, Latency, SHARE_SECONDS, ServerFigures, Work};
use super::kind::Kind;

/// Lines of the curve.
const CURVE: u16 = 3;
/// Columns of a bar.
const BAR: usize = 12;
/// Columns of a bar and its figure.
const WIDTH: usize = BAR + 5;
/// Where the name of a section begins, and all text.
const INDENT: &str = "  ";

/// Draws everything. A terminal that is too low loses events first.
pub fn draw(frame: &mut Frame<'_>, figures: &Figures) {
    let servers = u16::try_from(figures.servers.len()).unwrap_or(u16::MAX).saturating_mul(2);
    let [header, totals, table, events, keys] = Layout::vertical([
        Constraint::Length(5),
        Constraint::Length(3 + CURVE),
        Constraint::Length(servers.saturating_add(3)),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    draw_header(frame, header, figures);
    draw_totals(frame, totals, figures);
    draw_servers(frame, table, figures);
    draw_events(frame, events, figures);
    let names = figures.servers.iter().enumerate();
    let mut spans = vec![Span::raw(INDENT)];
    for (position, server) in names {
        let what = if server.running { "stop" } else { "start" };
        spans
            .extend([(position + 1).to_string().bold().cyan(), format!(" {what} {}   ", server.name).into()]);
    }
    spans.extend(["q".bold().cyan(), " quit".into()]);
    frame.render_widget(Line::from(spans), keys);
}

fn draw_header(frame: &mut Frame<'_>, area: Rect, figures: &Figures) {
    let clock = match figures.left {
        Some(left) => {
            format!("{} of {}", show_clock(figures.elapsed), show_clock(figures.elapsed + left))
        }
        None => show_clock(figures.elapsed),
    };
    let try_it = Line::from(vec![dim("try it   "), figures.command.clone().bold()]);
    let admin = match &figures.admin {
        Some(url) => vec![
            dim("look at  "),
            format!("{url}/").bold(),
            " the dashboard, ".into(),
            format!("{url}/metrics").bold(),
        ],
        None => vec![dim("look at  "), "no admin API".into()],
    };
    let lines = vec![
        Line::from(vec![
            "Evenkeel".bold().cyan(),
            format!(" balances {} over three sample servers", figures.kind.balanced()).into(),
        ]),
        Line::default(),
        try_it,
        Line::from(admin),
    ];
    frame.render_widget(Paragraph::new(indented(lines)), area);
    frame.render_widget(
        Line::from(format!("{clock}{INDENT}")).right_aligned(),
        Rect { height: area.height.min(1), ..area },
    );
}

fn draw_totals(frame: &mut Frame<'_>, area: Rect, figures: &Figures) {
    let heading = match figures.reconnects {
        0 => "what the clients see".to_owned(),
        broken => {
            format!("what the clients see: {} connections broke, and were opened anew", show_count(broken))
        }
    };
    let inside = section(frame, area, &heading);
    let [line, curve] = Layout::vertical([Constraint::Length(1), Constraint::Length(CURVE)]).areas(inside);
    let failed = show_count(figures.failed);
    let failed = if figures.failed == 0 { failed.bold().green() } else { failed.bold().red() };
    let mut spans = vec![
        show_count(figures.exchanges).bold(),
        format!(" {}   ", figures.kind.exchanges()).into(),
        failed,
        " failed   ".into(),
        show_count(figures.rates.last().copied().unwrap_or_default()).bold(),
        " a second   ".into(),
    ];
    for (name, duration) in quantiles(&figures.latency) {
        spans.extend([dim(name), " ".into(), show_duration(duration).bold(), "   ".into()]);
    }
    frame.render_widget(Paragraph::new(indented(vec![Line::from(spans)])), line);
    let indent = INDENT.len() as u16;
    let curve = Rect { x: curve.x + indent, width: curve.width.saturating_sub(2 * indent), ..curve };
    let shown = figures.rates.len().saturating_sub(curve.width.into());
    frame.render_widget(Sparkline::default().data(&figures.rates[shown..]).style(Color::Cyan), curve);
}

fn draw_servers(frame: &mut Frame<'_>, area: Rect, figures: &Figures) {
    let inside = section(frame, area, "what the balancer does");
    let share = format!("share of last {SHARE_SECONDS} s");
    let measures = match figures.kind {
        Kind::Http => format!(
            "{:>8}  {share:<WIDTH$} {:>9} {:>6} {:>6} {:>6}",
            "requests", "in flight", "p50", "p95", "p99"
        ),
        Kind::Tcp => {
            format!("{:>8}  {share:<WIDTH$} {:>9} {:>9} {:>9}", "accepted", "open", "received", "sent")
        }
    };
    let title = format!("  {:<6} {:<10} {measures}", "server", "state");
    let mut lines = vec![Line::from(dim(title))];
    for (position, server) in figures.servers.iter().enumerate() {
        lines.push(server_line(position, server));
        let running = if server.running { "" } else { "process stopped; " };
        lines.push(Line::from(dim(format!("  {}  {running}{}", server.address, server.reason))));
    }
    frame.render_widget(Paragraph::new(indented(lines)), inside);
}

fn server_line(position: usize, server: &ServerFigures) -> Line<'static> {
    let colour = colour(server.state);
    let filled = ((server.share_now * BAR as f64).round() as usize).min(BAR);
    let mut spans = vec![
        format!("{} ", position + 1).bold().cyan(),
        format!("{:<6} ", server.name).bold(),
        Span::styled(format!("● {:<8} ", server.state.as_str()), colour),
        format!("{:>8}  ", show_count(server.taken)).into(),
        Span::styled("█".repeat(filled), colour),
        dim("·".repeat(BAR - filled)),
        format!("{:>3.0} % {:>9}", server.share_now * 100.0, server.in_flight).into(),
    ];
    match server.work {
        Work::Requests(_, latency) => {
            let shown =
                quantiles(&latency).map(|(_, duration)| format!(" {:>6}", show_duration(duration)).into());
            spans.extend(shown);
        }
        Work::Bytes { received, sent } => {
            spans.extend([received, sent].map(|bytes| format!(" {:>9}", show_bytes(bytes)).into()));
        }
    }
    Line::from(spans)
}

fn draw_events(frame: &mut Frame<'_>, area: Rect, figures: &Figures) {
    let inside = section(frame, area, "what happened");
    if figures.events.is_empty() {
        let hint = match figures.kind {
            Kind::Http => "Press 2: server two stops, and no request fails.",
            Kind::Tcp => "Press 2: server two stops, its clients connect again, and no message fails.",
        };
        return frame.render_widget(Paragraph::new(indented(vec![Line::from(dim(hint))])), inside);
    }
    let newest_first = figures.events.iter().rev().take(inside.height.into());
    frame.render_widget(Paragraph::new(indented(newest_first.map(event_line).collect())), inside);
}

fn event_line(event: &Event) -> Line<'static> {
    let at = show_clock(event.at);
    Line::from(vec![
        dim(format!("{at:>5}  ")),
        format!("{:<6} ", event.server).bold(),
        event.what.clone().into(),
    ])
}

/// A rule with a name in it; what is below it is returned.
fn section(frame: &mut Frame<'_>, area: Rect, name: &str) -> Rect {
    let title = Span::styled(format!("{INDENT}{name} "), Style::new().remove_modifier(Modifier::DIM));
    let block = Block::new().borders(Borders::TOP).border_style(Modifier::DIM).title(title);
    let inside = block.inner(area);
    frame.render_widget(block, area);
    inside
}

fn quantiles(latency: &Latency) -> [(&'static str, Duration); 3] {
    [("p50", latency.p50), ("p95", latency.p95), ("p99", latency.p99)]
}

/// The terminal's own colours, so that they suit its background.
fn colour(state: State) -> Color {
    match state {
        State::Up => Color::Green,
        State::Starting | State::Draining | State::Disabled | State::Unfit => Color::Yellow,
        State::Down | State::Ejected => Color::Red,
    }
}

fn dim<'a>(text: impl Into<std::borrow::Cow<'a, str>>) -> Span<'a> {
    Span::styled(text, Modifier::DIM)
}

fn indented(mut lines: Vec<Line<'_>>) -> Vec<Line<'_>> {
    for line in &mut lines {
        line.spans.insert(0, Span::raw(INDENT));
    }
    lines
}
