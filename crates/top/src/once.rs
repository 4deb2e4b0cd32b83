//! `evenkeel top --once`: the screen as text, for a pipe or a mail.

use std::io::{self, BufReader, Read, Write};
use std::time::Instant;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

use crate::draw::{Look, draw};
use crate::message::Message;
use crate::state::State;
use crate::stream::read;

/// Columns, unless `COLUMNS` says more.
const WIDTH: u16 = 120;
const WIDTH_MAX: u16 = 400;
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
    let text = text(&state, width()).map_err(|fault| fault.to_string())?;
    match io::stdout().write_all(text.as_bytes()) {
        // A reader that closes the pipe early is no error.
        Err(fault) if fault.kind() != io::ErrorKind::BrokenPipe => Err(fault.to_string()),
        _ => Ok(()),
    }
}

fn width() -> u16 {
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    columns.unwrap_or(WIDTH).clamp(80, WIDTH_MAX)
}

/// The screen as lines, without the keys.
fn text(state: &State, width: u16) -> io::Result<String> {
    let height = (state.rows().len() + LINES).min(LINES_MAX) as u16;
    let mut terminal = Terminal::new(TestBackend::new(width, height)).map_err(io::Error::other)?;
    terminal
        .draw(|frame| draw(frame, state, Look { has_colours: false }, Instant::now()))
        .map_err(io::Error::other)?;
    let lines = lines(terminal.backend().buffer());
    let shown = lines.iter().take(lines.len() - 1).filter(|line| !line.is_empty());
    Ok(shown.map(|line| format!("{line}\n")).collect())
}

/// What stands in each line, without blanks behind it.
pub fn lines(buffer: &Buffer) -> Vec<String> {
    let line = |y| {
        let cells = (0..buffer.area.width).map(|x| buffer[(x, y)].symbol());
        cells.collect::<String>().trim_end().to_owned()
    };
    (0..buffer.area.height).map(line).collect()
}
