//! The tasks of the house that cargo itself has no command for: `cargo xtask tidy` and `cargo xtask bench`.

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod load;
mod origin;
mod tidy;

/// The tasks of the house.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check the rules of the house: imports, lengths, headers, links.
    Tidy,
    /// Compare evenkeel with nginx and HAProxy.
    Bench(bench::Options),
    /// Serve 128-byte answers (1 MiB at /large) to measure proxies with.
    Origin(origin::Options),
    /// Send requests at a constant rate and print latencies as JSON.
    Load(load::Options),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Tidy => return tidy(),
        Task::Bench(options) => bench::run(repository(), &options),
        Task::Origin(options) => origin::run(&options),
        Task::Load(options) => load::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn tidy() -> ExitCode {
    match tidy::check(repository()) {
        Ok(findings) if findings.is_empty() => ExitCode::SUCCESS,
        Ok(findings) => {
            for finding in &findings {
                println!("{finding}");
            }
            eprintln!("tidy: {} to mend", findings.len());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("tidy: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The checkout that this program was built from.
fn repository() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}
