//! `minigram logs`: searches the logs of all processes.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use minigram::logs::{Search, Since, search, text_of};
use minigram::up::state::default_directory;

/// Searches the logs of all processes in a state directory, and prints what it finds in the order of time. Exit code 1 if it finds
/// nothing.
#[derive(Debug, clap::Args)]
pub struct Logs {
    /// The state directory.
    #[arg(long, value_name = "DIR", default_value_os_t = default_directory())]
    state: PathBuf,
    /// Only lines of this trace.
    #[arg(long, value_name = "ID")]
    trace: Option<String>,
    /// Only services whose names begin with this, such as app, node-a, evenkeel.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only lines since a time, or the last 90s, 10m, 2h, 1d.
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// Only warnings, errors, and requests that were answered 5xx.
    #[arg(long)]
    problems: bool,
    /// How many lines, the newest.
    #[arg(long, value_name = "NUMBER", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    lines: u32,
    /// Print each line as it is, behind the name of its service and a tab.
    #[arg(long)]
    raw: bool,
    /// Only lines with this text, whatever its case.
    text: Option<String>,
}

impl Logs {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let search_for = Search {
            trace: self.trace,
            service: self.service,
            since_ms: self.since.map(|Since(ms)| ms),
            text: self.text,
            only_problems: self.problems,
            lines_max: usize::try_from(self.lines).unwrap_or(usize::MAX),
        };
        let lines = search(&self.state, &search_for)?;
        let mut out = io::stdout().lock();
        for line in &lines {
            let written = if self.raw {
                writeln!(out, "{}\t{}", line.service, line.text)
            } else {
                writeln!(out, "{} {:<18} {}", text_of(line.ms), line.service, line.readable())
            };
            match written {
                // Such as `head`, which has enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
                written => written?,
            }
        }
        Ok(if lines.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
