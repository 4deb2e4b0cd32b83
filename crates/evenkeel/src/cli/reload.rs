//! `evenkeel reload`: has a running process read its configuration file again, and says what came of it.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::change::Change;
use super::status::list;

#[derive(Debug, Args)]
pub struct Reload {
    #[command(flatten)]
    change: Change,
}

/// Runs the command; it fails when the process refuses the file, and prints what is wrong with it.
pub fn run(args: &Reload) -> ExitCode {
    args.change.carry_out(
        |admin| {
            let answer = admin.post("/reload", &json!({}))?;
            list(&answer, "warnings").filter_map(Value::as_str).for_each(|warning| eprintln!("{warning}"));
            Ok(answer)
        },
        |answer| format!("reloaded: generation {} is in force", answer["generation"]),
    )
}
