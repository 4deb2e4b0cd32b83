//! `minigram keep`: the parent of a program whose children leave it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs a program. When it ends, or when standard input closes, everything that it started ends.
#[derive(Debug, clap::Args)]
pub struct Keep {
    /// The named pipe by which the program feeds its watchdog.
    #[arg(long, value_name = "FILE")]
    watchdog: Option<PathBuf>,
    /// The program and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    program: Vec<OsString>,
}

impl Keep {
    /// Ends this process with the program's own exit code.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match minigram::process::keep::keep(&self.program, self.watchdog.as_deref())? {}
    }
}
