//! How commands report: data to stdout, messages to stderr, and an exit code.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use evenkeel_config::Diagnostics;

use crate::log::without_label;

/// Done.
pub(super) const DONE: u8 = 0;
/// The configuration or the request is wrong.
pub(super) const WRONG: u8 = 1;
/// The command line is wrong. Clap ends with it too.
pub(super) const COMMAND_LINE_WRONG: u8 = 2;

/// Writes diagnostics to stderr, if there are any.
pub(super) fn complain(diagnostics: &Diagnostics) {
    if !diagnostics.is_empty() {
        eprint!("{}", diagnostics.render(io::stderr().is_terminal()));
    }
}

/// Writes data to stdout. A reader that closes the pipe early is no error.
pub(super) fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Ok(()) => DONE.into(),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => DONE.into(),
        Err(error) => fail(&format!("cannot write to stdout: {error}")),
    }
}

/// Writes why a command fails, in the form of clap and of the diagnostics.
pub(super) fn fail(message: &str) -> ExitCode {
    eprintln!("error: {}", without_label(message));
    WRONG.into()
}
