//! A terminal that belongs to the program for as long as it is drawn on.

use std::io;

use ratatui::DefaultTerminal;

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
        let opened = ratatui::try_init();
        if opened.is_err() {
            // It may have failed half way.
            ratatui::restore();
        }
        Ok(Self { terminal: opened? })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}
