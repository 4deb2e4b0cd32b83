//! `evenkeel top --once`: the screen as text, for a pipe or a mail.

use std::io::{self, BufReader, Read, Write};
use std::time::Instant;

use evenkeel_terminal::columns;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

use crate::draw::{Look, draw};
use crate::message::Message;
use crate::state::State;
use crate::stream::read;

/// Columns at least, and at most.
const WIDTH_MIN: u16 = 80;
const WIDTH_MAX: u16 = 400;
/// Columns at least where nothing says how many there are.
const WIDTH: u16 = 120;
/// Lines beside those of the table.
const LINES: usize = 22;
const LINES_MAX: usize = 2_000;

/// Prints the present second.
///
/// # Errors
/// The process does not answer, or stdout cannot be written.
pub fn print<R: Read>(open: impl Fn(&str) -> Result<R, String>) -> Result<(), String> {
    let mut state = State::new();
    let stream = open("/live?events_after=0")?;
    // Events that the process keeps come before the next second.
    let mut ticks = 0;
    let read = read(BufReader::new(stream), |message| {
        ticks += usize::from(matches!(message, Message::Tick(_)));
        state.take(message, Instant::now());
        ticks < 2
    });
    if state.tick.is_none() {
        read.map_err(|fault| fault.to_string())?;
        return Err("the process closed the stream before it sent any figures".into());
    }
    let text = text(&state, told_width()).map_err(|fault| fault.to_string())?;
    match io::stdout().write_all(text.as_bytes()) {
        // A reader that closes the pipe early is no error.
        Err(fault) if fault.kind() != io::ErrorKind::BrokenPipe => Err(fault.to_string()),
        _ => Ok(()),
    }
}

/// The columns of the terminal, or those that `COLUMNS` says.
fn told_width() -> Option<u16> {
    let by_environment = || std::env::var("COLUMNS").ok()?.parse().ok();
    columns().or_else(by_environment)
}

/// The screen as lines, without the keys: so wide, or wide enough for all that it says.
pub fn text(state: &State, width: Option<u16>) -> io::Result<String> {
    let width = match width {
        Some(width) => width.clamp(WIDTH_MIN, WIDTH_MAX),
        None => needed(&drawn(state, WIDTH_MAX)?).clamp(WIDTH, WIDTH_MAX),
    };
    let lines = drawn(state, width)?;
    let shown = lines.iter().take(lines.len() - 1).filter(|line| !line.is_empty());
    Ok(shown.map(|line| format!("{line}\n")).collect())
}

fn drawn(state: &State, width: u16) -> io::Result<Vec<String>> {
    let height = (state.rows().len() + LINES).min(LINES_MAX) as u16;
    let mut terminal = Terminal::new(TestBackend::new(width, height)).map_err(io::Error::other)?;
    terminal
        .draw(|frame| draw(frame, state, Look { has_colours: false }, Instant::now()))
        .map_err(io::Error::other)?;
    Ok(lines(terminal.backend().buffer()))
}

/// The columns of the longest line. A rule and the curve are as wide as there is room.
fn needed(lines: &[String]) -> u16 {
    let says = |line: &&String| !line.ends_with('─') && !line.chars().all(|c| " ▁▂▃▄▅▆▇█".contains(c));
    let longest = lines.iter().filter(says).map(|line| line.chars().count()).max();
    longest.and_then(|columns| u16::try_from(columns).ok()).unwrap_or(WIDTH)
}

/// What stands in each line, without blanks behind it.
pub fn lines(buffer: &Buffer) -> Vec<String> {
    let line = |y| {
        let cells = (0..buffer.area.width).map(|x| buffer[(x, y)].symbol());
        cells.collect::<String>().trim_end().to_owned()
    };
    (0..buffer.area.height).map(line).collect()
}
