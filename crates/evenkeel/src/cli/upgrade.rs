//! `evenkeel upgrade`: replaces a running process by a new one.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::ask::Unanswered;
use super::change::Change;
use super::output::fail;

/// The longest that a new process may take to be ready.
const TIMEOUT_MAX: Duration = Duration::from_secs(600);

#[derive(Debug, Args)]
pub struct Upgrade {
    /// The binary that the new process runs; a path on the machine of the running process [default: the file that is now at the path
    /// from which the running process was started]
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// How long the new process may take to be ready: 1s to 10m
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = timeout)]
    timeout: Duration,
    #[command(flatten)]
    change: Change,
}

pub fn run(args: &Upgrade) -> ExitCode {
    match ask(args) {
        Ok(answer) => args.change.show(&answer, text),
        Err(why) => fail(&format!("not upgraded: {why}")),
    }
}

fn ask(args: &Upgrade) -> Result<Value, Unanswered> {
    let binary = match &args.binary {
        // A relative path is relative to the directory of this command.
        Some(path) => Some(
            std::path::absolute(path)
                .map_err(|error| Unanswered::Unknown(format!("`--binary {}`: {error}", path.display())))?,
        ),
        None => None,
    };
    let body = json!({ "binary": binary, "timeout_seconds": args.timeout.as_secs() });
    args.change.find()?.patient(args.timeout).post("/upgrade", &body)
}

/// As in `upgraded: process 4711 serves, and process 42 finishes what it has, within 30 s at most`.
fn text(answer: &Value) -> String {
    let number = |key: &str| answer[key].as_f64().unwrap_or(f64::NAN);
    format!(
        "upgraded: process {} serves, and process {} finishes what it has, within {} s at most",
        number("pid"),
        number("old_pid"),
        number("grace_seconds")
    )
}

fn timeout(text: &str) -> Result<Duration, String> {
    let time = evenkeel_config::parse_duration(text).ok_or("write a time as in `30s` or `2m`")?;
    match (Duration::from_secs(1)..=TIMEOUT_MAX).contains(&time) {
        true => Ok(time),
        false => Err("write a time from 1s to 10m".into()),
    }
}
