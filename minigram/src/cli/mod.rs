//! The command line: one file for each command.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod down;
mod keep;

/// A photo-sharing application, from one server to many.
#[derive(Debug, Parser)]
#[command(name = "minigram", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ends what `minigram up` started in a state directory.
    Down(down::Down),
    /// Runs a program, and ends everything that it started when it or this command's parent ends.
    #[command(hide = true)]
    Keep(keep::Keep),
}

/// Runs the command of the command line.
pub fn run() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Down(down) => down.run(),
        Command::Keep(keep) => keep.run(),
    }
}
