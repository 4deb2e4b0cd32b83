//! A terminal that belongs to the program for as long as it is drawn on.

use std::io::{self, IsTerminal};

use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Rect, Size};
use ratatui::{DefaultTerminal, Terminal, TerminalOptions, Viewport};

/// The size of a terminal that does not know its own, such as that of a serial line or of a container.
const SIZE_DEFAULT: Size = Size::new(80, 24);
/// Columns and lines that are believed.
const SIDE_MAX: u16 = 1_000;

/// The whole screen. The terminal is given back when this is dropped, and by a panic.
pub struct Screen {
    /// Where to draw.
    pub terminal: DefaultTerminal,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// There is no terminal, or it cannot be used.
    pub fn open() -> io::Result<Self> {
        // Nothing must be written to a pipe or a file, not even what gives a screen back.
        if !io::stdout().is_terminal() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "stdout is not a terminal"));
        }
        let opened = ratatui::try_init();
        if opened.is_err() {
            // It may have failed half way.
            ratatui::restore();
        }
        let mut screen = Self { terminal: opened? };
        let Size { width, height } = screen.terminal.size()?;
        if width == 0 || height == 0 {
            let Size { width, height } = size_by_environment();
            let viewport = Viewport::Fixed(Rect::new(0, 0, width, height));
            let backend = CrosstermBackend::new(io::stdout());
            screen.terminal = Terminal::with_options(backend, TerminalOptions { viewport })?;
        }
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// The columns of the terminal that stdout is; `None` if it is none, or does not know.
pub fn columns() -> Option<u16> {
    let known = io::stdout().is_terminal().then(ratatui::crossterm::terminal::size)?.ok()?;
    Some(known.0).filter(|columns| *columns > 0)
}

/// `COLUMNS` and `LINES`, or what terminals have by default.
fn size_by_environment() -> Size {
    let side = |name: &str, otherwise: u16| {
        let side = std::env::var(name).ok().and_then(|text| text.parse().ok());
        side.filter(|side| (1..=SIDE_MAX).contains(side)).unwrap_or(otherwise)
    };
    Size::new(side("COLUMNS", SIZE_DEFAULT.width), side("LINES", SIZE_DEFAULT.height))
}
