//! The command line: one file for each command.

use std::future::Future;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

mod child;
mod down;

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
    /// Becomes a program that ends with its parent.
    #[command(hide = true)]
    Child(child::Child),
}

/// Runs the command of the command line.
pub fn run() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Down(down) => down.run(),
        Command::Child(child) => child.run(),
    }
}

/// Runs a command that needs many threads and timers.
#[allow(dead_code, reason = "the first commands that need it follow")]
fn asynchronously(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().build().context("the threads of the runtime cannot be started")?;
    runtime.block_on(command)
}
