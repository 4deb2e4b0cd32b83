//! The demo without a terminal: lines while it runs, with a failover in the middle, and a summary.

use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use evenkeel_terminal::{Signals, show_bytes, show_count, show_duration};
use tokio::time::MissedTickBehavior;

use super::figures::{Event, Figures, Latency, Work};
use super::kind::Kind;
use super::stage::{Stage, TICK};
use super::svg;

/// A shorter demo has no time for a failover: checks take a second to notice a server and half a one to take it back.
const FAILOVER_MIN: Duration = Duration::from_secs(4);
/// The server that is stopped, by its position.
const VICTIM: usize = 1;

/// Runs for `length` or until a signal comes, and tells what happens. `picture` is a file for a picture of the screen.
///
/// # Errors
/// Standard output or the file cannot be written.
pub async fn play(
    stage: &mut Stage,
    length: Duration,
    signals: &mut Signals,
    picture: Option<&Path>,
) -> io::Result<()> {
    let start = stage.observe(None);
    say(&format!("Three servers behind a balancer for {} s. Try: {}", length.as_secs(), start.command))?;
    if let Some(admin) = &start.admin {
        say(&format!("Dashboard: {admin}/  Metrics: {admin}/metrics"))?;
    }
    tokio::select! {
        played = script(stage, length, picture) => played,
        () = signals.any() => Ok(()),
    }
}

/// Prints what came of it.
///
/// # Errors
/// Standard output cannot be written.
pub fn summarize(figures: &Figures) -> io::Result<()> {
    let seconds = figures.elapsed.as_secs_f64();
    let rate = figures.exchanges as f64 / seconds.max(0.001);
    let mut text = format!(
        "\n{} {} in {seconds:.1} s ({rate:.0} a second), {} failed\n",
        show_count(figures.exchanges),
        figures.kind.exchanges(),
        show_count(figures.failed),
    );
    for (fault, times) in &figures.faults {
        text.push_str(&format!("  {times} x {fault}\n"));
    }
    if figures.reconnects > 0 {
        text.push_str(&format!(
            "  {} connections broke; their clients opened others\n",
            show_count(figures.reconnects)
        ));
    }
    let columns = match figures.kind {
        Kind::Http => ["p50", "p95", "p99"],
        Kind::Tcp => ["received", "sent", ""],
    };
    text.push_str(&format!("\n{}\n", row("server", figures.kind.balanced(), "share", columns, "state")));
    for server in &figures.servers {
        let share = format!("{:.1} %", server.share * 100.0);
        let shown = match server.work {
            Work::Requests(_, latency) => quantiles(&latency),
            Work::Bytes { received, sent } => [show_bytes(received), show_bytes(sent), String::new()],
        };
        text.push_str(&row(&server.name, &show_count(server.taken), &share, shown, server.state.as_str()));
        text.push('\n');
    }
    let [p50, p95, p99] = quantiles(&figures.latency);
    text.push_str(&format!("\nThe clients waited {p50} (p50), {p95} (p95), {p99} (p99)."));
    say(&text)
}

async fn script(stage: &mut Stage, length: Duration, picture: Option<&Path>) -> io::Result<()> {
    let (stop_at, start_at) = if length < FAILOVER_MIN {
        (Duration::MAX, Duration::MAX)
    } else {
        (length.mul_f64(0.4), length.mul_f64(0.7))
    };
    let (mut stopped, mut started, mut told) = (false, false, 0);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let elapsed = stage.observer.elapsed();
        let left = length.saturating_sub(elapsed);
        let figures = stage.observe(Some(left));
        for event in &figures.events[told..] {
            say(&line(event))?;
        }
        told = figures.events.len();
        if !stopped && elapsed >= stop_at {
            stopped = true;
            stage.toggle(VICTIM);
        }
        let is_due = elapsed >= start_at || left.is_zero();
        if let Some(file) = picture.filter(|_| is_due && !started) {
            fs::write(file, svg::render(&figures)?)?;
        }
        if !started && is_due {
            started = true;
            if stopped {
                stage.toggle(VICTIM);
            }
        }
        if left.is_zero() {
            return Ok(());
        }
    }
}

fn line(event: &Event) -> String {
    format!("{:>5.1} s  {:<5} {}", event.at.as_secs_f64(), event.server, event.what)
}

fn row(name: &str, taken: &str, share: &str, shown: [impl Display; 3], state: &str) -> String {
    let [first, second, third] = shown;
    let row = format!("{name:<8} {taken:>11} {share:>7} {first:>9} {second:>9} {third:>9}  {state}");
    row.trim_end().to_owned()
}

fn quantiles(latency: &Latency) -> [String; 3] {
    [latency.p50, latency.p95, latency.p99].map(show_duration)
}

/// Prints a line. A reader that has had enough is no error.
fn say(text: &str) -> io::Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(fault) if fault.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
