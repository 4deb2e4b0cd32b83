//! The command line: one file for each command.

use std::future::Future;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

mod backup;
mod dead_letters;
mod doctor;
mod down;
mod drill;
mod end;
mod engines;
mod keep;
mod load;
mod logs;
mod pages;
mod restore;
mod server;
mod shards;
mod stuck_photos;
mod up;
mod worker;

/// A photo-sharing application, from one server to many.
#[derive(Debug, Parser)]
#[command(name = "minigram", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Up),
    /// Shows jobs that failed too often, or makes them ready again.
    DeadLetters(dead_letters::DeadLetters),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Doctor(doctor::Doctor),
    Engines(engines::Engines),
    Logs(logs::Logs),
    Pages(pages::Pages),
    Shards(shards::Shards),
    StuckPhotos(stuck_photos::StuckPhotos),
    /// Ends what `minigram up` started in a state directory.
    Down(down::Down),
    Server(server::Server),
    Worker(worker::Worker),
    Load(load::Load),
    Stress(load::Stress),
    Scaling(load::Scaling),
    Drill(drill::Drill),
    /// Runs a program, and ends everything that it started when it or this command's parent ends.
    #[command(hide = true)]
    Keep(keep::Keep),
}

/// Runs the command of the command line.
pub fn run() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Up(up) => asynchronously(up.run()),
        Command::DeadLetters(letters) => letters.run(),
        Command::Backup(backup) => asynchronously(backup.run()),
        Command::Restore(restore) => asynchronously(restore.run()),
        Command::Doctor(doctor) => Ok(doctor.run()),
        Command::Engines(engines) => asynchronously(engines.run()),
        Command::Logs(logs) => logs.run(),
        Command::Pages(pages) => pages.run(),
        Command::Shards(shards) => asynchronously(shards.run()),
        Command::StuckPhotos(photos) => asynchronously(photos.run()),
        Command::Down(down) => down.run(),
        Command::Server(server) => asynchronously(server.run()),
        Command::Worker(worker) => asynchronously(worker.run()),
        Command::Load(load) => asynchronously(load.run()),
        Command::Stress(stress) => asynchronously(stress.run()),
        Command::Scaling(scaling) => asynchronously(scaling.run()),
        Command::Drill(drill) => asynchronously(drill.run()),
        Command::Keep(keep) => keep.run(),
    }
}

/// Runs a command that needs many threads and timers.
fn asynchronously(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().build().context("the threads of the runtime cannot be started")?;
    runtime.block_on(command)
}
