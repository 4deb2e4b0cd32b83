//! `evenkeel completions` and `evenkeel manual`: scripts for shells and pages for man, made of the command line itself.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

use super::output;

/// `evenkeel completions`
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

/// `evenkeel manual`
#[derive(Debug, Args)]
pub struct Manual {
    /// The directory for evenkeel.1 and a page for each command; it must exist
    directory: PathBuf,
}

/// Prints the script.
pub fn print(args: &Completions, mut command: Command) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "evenkeel", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}

/// Writes the pages.
pub fn manual(args: &Manual, command: Command) -> ExitCode {
    match clap_mangen::generate_to(command, &args.directory) {
        Ok(()) => output::DONE.into(),
        Err(error) => output::fail(&format!("cannot write to {}: {error}", args.directory.display())),
    }
}
