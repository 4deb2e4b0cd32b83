//! Draws the screen: a pure function of [`State`]. Each state of a server has a glyph and a word as well as a colour, so that
//! a terminal without colours shows the same.

use std::time::{Duration, Instant};

use evenkeel_terminal::{show_count, show_duration};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Paragraph, Sparkline};

use crate::message::{Event, Now, Pool, Problem, Server, Tick};
use crate::state::{Row, State};

/// Lines of the curve.
const CURVE: u16 = 2;
/// Problems that are shown.
const PROBLEMS_MAX: usize = 4;
/// Lines of events, below their heading.
const EVENTS: u16 = 4;
/// Columns of a name, on a screen of 80; a wider one gives it more.
const NAME: usize = 22;
const NAME_MAX: usize = 48;
const WIDTH: u16 = 80;

const HELP: &[&str] = &[
    "/      show only pools and servers with a text in their names; Enter keeps it, Esc clears it",
    "d      show only servers that are not up",
    "s      sort: configuration, requests, errors, p99, in flight",
    "j k    scroll; so do the arrows, Page Up, Page Down, Home and End",
    "?      these keys",
    "q      quit",
    "",
    "Figures of pools and servers are those of the last 10 seconds.",
];

/// How the screen looks.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Whether there are colours.
    pub has_colours: bool,
}

/// Draws everything at this moment.
pub fn draw(frame: &mut Frame<'_>, state: &State, look: Look, now: Instant) {
    let problems = state.tick.as_ref().map_or(0, |tick| tick.problems.len());
    let problem_lines = problems.clamp(1, PROBLEMS_MAX + 1) as u16;
    let [header, totals, found, table, events, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1 + CURVE),
        Constraint::Length(1 + problem_lines),
        Constraint::Min(3),
        Constraint::Length(1 + EVENTS),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    draw_header(frame, header, state, look, now);
    match &state.tick {
        None => {
            let why = state.trouble.as_deref().unwrap_or("waiting for the first figures");
            frame.render_widget(Line::from(format!("  {why}")), totals);
        }
        Some(tick) => {
            draw_totals(frame, totals, (state, tick), look);
            draw_problems(frame, found, tick, look);
            draw_table(frame, table, state, look);
            draw_events(frame, events, (state, tick), look);
        }
    }
    frame.render_widget(keys_line(state), keys);
    if state.is_help {
        draw_help(frame);
    }
}

fn draw_header(frame: &mut Frame<'_>, area: Rect, state: &State, look: Look, now: Instant) {
    let mut spans = vec![Span::from("Evenkeel").bold()];
    if let Some(tick) = &state.tick {
        let status = &tick.status;
        spans.push(
            format!(
                " {}   pid {}   up {}   generation {}   {} connections",
                status.version,
                status.pid,
                show_age(status.uptime_seconds),
                status.generation,
                tick.point.connections
            )
            .into(),
        );
        if status.leaving {
            spans.push(look.coloured("   leaving", Color::Yellow).bold());
        }
    }
    frame.render_widget(Line::from(spans), area);
    if let Some(since) = state.stale(now) {
        let text = format!(" stale for {} s ", since.as_secs());
        let span = look.coloured(text, Color::Red).add_modifier(Modifier::REVERSED | Modifier::BOLD);
        frame.render_widget(Line::from(span).right_aligned(), area);
    }
}

fn draw_totals(frame: &mut Frame<'_>, area: Rect, (state, tick): (&State, &Tick), look: Look) {
    let [line, curve] = Layout::vertical([Constraint::Length(1), Constraint::Length(CURVE)]).areas(area);
    let now = &tick.status.now;
    let ratio = percent(now);
    let errors = look.coloured(ratio, if now.errors > 0.0 { Color::Red } else { Color::Green });
    let mut spans = vec![show_rate(now.rps).bold(), " req/s  ".into(), errors.bold(), " errors  ".into()];
    for (name, value) in [("p50", now.p50), ("p95", now.p95), ("p99", now.p99)] {
        spans.extend([name.dim(), " ".into(), show_ms(value).bold(), "  ".into()]);
    }
    spans.extend([now.in_flight.to_string().bold(), " in flight".into()]);
    frame.render_widget(Line::from(spans), line);
    let rates: Vec<u64> = state.rates.iter().copied().collect();
    let shown = rates.len().saturating_sub(curve.width.into());
    frame.render_widget(Sparkline::default().data(&rates[shown..]).style(look.style(Color::Cyan)), curve);
}

fn draw_problems(frame: &mut Frame<'_>, area: Rect, tick: &Tick, look: Look) {
    let inside = section(frame, area, "is it fine?");
    let line = |problem: &Problem| {
        let (glyph, colour) = match problem.severity.as_str() {
            "critical" => ("✖", Color::Red),
            _ => ("▲", Color::Yellow),
        };
        let word = format!("  {glyph} {:<8} ", problem.severity);
        let since = format!("   for {}", show_age(tick.at - problem.since));
        Line::from(vec![look.coloured(word, colour).bold(), problem.what.clone().into(), since.dim()])
    };
    let mut lines: Vec<Line<'_>> = tick.problems.iter().take(PROBLEMS_MAX).map(line).collect();
    match tick.problems.len() {
        0 => lines.push(look.coloured("  ● nothing is wrong", Color::Green).into()),
        found if found > PROBLEMS_MAX => lines.push(format!("    and {} more", found - PROBLEMS_MAX).into()),
        _ => {}
    }
    frame.render_widget(Paragraph::new(lines), inside);
}

fn draw_table(frame: &mut Frame<'_>, area: Rect, state: &State, look: Look) {
    let mut heading = format!("pools and servers, by {}", state.sort.word());
    if state.only_down {
        heading.push_str(", only those that are not up");
    }
    if !state.filter.is_empty() {
        heading.push_str(&format!(", with \"{}\"", state.filter));
    }
    let inside = section(frame, area, &heading);
    let name = (NAME + usize::from(inside.width.saturating_sub(WIDTH))).clamp(NAME, NAME_MAX);
    let title = format!(
        "  {:<name$} {:<11} {:>8} {:>6} {:>7} {:>7} {:>6} {:>4}",
        "", "state", "req/s", "errors", "p50", "p99", "flight", "wt"
    );
    let rows = state.rows();
    let mut lines = vec![Line::from(title.dim())];
    if rows.is_empty() {
        lines.push("  none".into());
    }
    let room = usize::from(inside.height).saturating_sub(1);
    let first = state.scroll.min(rows.len().saturating_sub(1));
    lines.extend(rows.iter().skip(first).take(room).map(|row| match row {
        Row::Pool(pool) => pool_line(pool, name, look),
        Row::Server(server) => server_line(server, name, look),
    }));
    frame.render_widget(Paragraph::new(lines), inside);
}

fn pool_line(pool: &Pool, name: usize, look: Look) -> Line<'static> {
    let usable = format!("{} of {} up", pool.usable, pool.servers.len());
    let colour = if pool.usable == 0 { Color::Red } else { Color::Reset };
    let (left, right) = (format!("{:<1$} ", cut(&pool.name, name + 1), name + 1), figures(&pool.now));
    Line::from(vec![
        Span::from(left).bold(),
        look.coloured(format!(" {usable:<11}"), colour).bold(),
        Span::from(right).bold(),
    ])
}

fn server_line(server: &Server, name: usize, look: Look) -> Line<'static> {
    let (glyph, colour) = match server.state.as_str() {
        "up" => ("●", Color::Green),
        "down" | "ejected" => ("✖", Color::Red),
        _ => ("▲", Color::Yellow),
    };
    let state = format!("{glyph} {:<9}", server.state);
    let mut spans = vec![
        Span::from(format!("  {:<name$} ", cut(&server.id, name))),
        look.coloured(state, colour),
        format!("{} {:>4}", figures(&server.now), server.weight).into(),
    ];
    if server.state != "up" {
        let since = show_age(server.since_seconds);
        spans.push(format!("  {}, for {since}", server.reason).dim());
    }
    Line::from(spans)
}

fn figures(now: &Now) -> String {
    format!(
        " {:>8} {:>6} {:>7} {:>7} {:>6}",
        show_rate(now.rps),
        percent(now),
        show_ms(now.p50),
        show_ms(now.p99),
        now.in_flight
    )
}

fn draw_events(frame: &mut Frame<'_>, area: Rect, (state, tick): (&State, &Tick), look: Look) {
    let inside = section(frame, area, "what happened");
    let line = |event: &Event| {
        let colour = match event.severity.as_str() {
            "critical" => Color::Red,
            "warning" => Color::Yellow,
            _ => Color::Reset,
        };
        let pool = event.pool.as_ref().map(|pool| format!("{pool}: ")).unwrap_or_default();
        let who = event.who.as_ref().map(|who| format!(", by {who}")).unwrap_or_default();
        let why = event.why.as_ref().map(|why| format!(", because: {why}")).unwrap_or_default();
        let age = format!("  {:>6}  ", show_age(tick.at - event.at));
        Line::from(vec![age.dim(), look.coloured(format!("{pool}{}{who}{why}", event.what), colour)])
    };
    let shown = state.events.iter().take(inside.height.into());
    frame.render_widget(Paragraph::new(shown.map(line).collect::<Vec<_>>()), inside);
}

fn keys_line(state: &State) -> Line<'static> {
    if state.is_typing {
        return Line::from(vec!["/".bold(), state.filter.clone().into(), "█".into()]);
    }
    let keys = [("/", "filter"), ("d", "only not up"), ("s", "sort"), ("?", "help"), ("q", "quit")];
    let mut spans: Vec<Span<'_>> =
        keys.iter().flat_map(|(key, what)| [key.bold(), format!(" {what}   ").into()]).collect();
    if let Some(why) = &state.trouble {
        spans.push(why.clone().into());
    }
    Line::from(spans)
}

fn draw_help(frame: &mut Frame<'_>) {
    let area = frame.area();
    let height = (HELP.len() as u16 + 2).min(area.height);
    let width = 100.min(area.width);
    let (x, y) = ((area.width - width) / 2, (area.height - height) / 2);
    let area = Rect { x, y, width, height };
    frame.render_widget(Clear, area);
    let lines: Vec<Line<'_>> = HELP.iter().map(|line| Line::from(format!(" {line}"))).collect();
    let block = Block::new().borders(Borders::ALL).title(" keys ");
    let text = Paragraph::new(lines).block(block).wrap(ratatui::widgets::Wrap { trim: false });
    frame.render_widget(text, area);
}

/// A rule with a name in it; what is below it is returned.
fn section(frame: &mut Frame<'_>, area: Rect, name: &str) -> Rect {
    let title = Span::styled(format!("{name} "), Style::new().remove_modifier(Modifier::DIM));
    let block = Block::new().borders(Borders::TOP).border_style(Modifier::DIM).title(title);
    let inside = block.inner(area);
    frame.render_widget(block, area);
    inside
}

impl Look {
    fn style(self, colour: Color) -> Style {
        if self.has_colours { Style::new().fg(colour) } else { Style::new() }
    }

    fn coloured(self, text: impl Into<String>, colour: Color) -> Span<'static> {
        Span::styled(text.into(), self.style(colour))
    }
}

/// Of the requests, those that failed.
fn percent(now: &Now) -> String {
    let ratio = if now.rps > 0.0 { now.errors / now.rps * 100.0 } else { 0.0 };
    if ratio < 99.95 { format!("{ratio:.1} %") } else { "100 %".into() }
}

fn show_rate(rps: f64) -> String {
    if rps > 0.0 && rps < 99.95 { format!("{rps:.1}") } else { show_count(rps.round() as u64) }
}

fn show_ms(ms: Option<f64>) -> String {
    let known = ms.map(|ms| Duration::from_secs_f64(ms.max(0.0) / 1e3));
    known.map_or_else(|| "-".into(), show_duration)
}

/// A time in its largest unit.
fn show_age(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// The text, or its beginning if it is too long.
fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    text.chars().take(columns.saturating_sub(1)).chain(['…']).collect()
}
