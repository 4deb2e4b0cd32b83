//! `evenkeel reload`: has a running process read its configuration file again, and shows the outcome.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::change::Change;
use super::confirm::{awaiting, within};
use super::status::list;

#[derive(Debug, Args)]
pub struct Reload {
    /// Go back to the previous configuration after this time, as in 60s, unless you run `evenkeel confirm`; sooner if errors jump
    #[arg(long, value_name = "TIME", value_parser = within)]
    confirm: Option<u64>,
    #[command(flatten)]
    change: Change,
}

/// Runs the command; it fails when the process refuses the file, and prints what is wrong with it.
pub fn run(args: &Reload) -> ExitCode {
    let body = match args.confirm {
        Some(seconds) => json!({ "confirm_seconds": seconds }),
        None => json!({}),
    };
    args.change.carry_out(
        |admin| {
            let answer = admin.post("/reload", &body)?;
            list(&answer, "warnings").filter_map(Value::as_str).for_each(|warning| eprintln!("{warning}"));
            Ok(answer)
        },
        |answer| {
            let rest = awaiting(answer).unwrap_or_default();
            format!("reloaded: generation {} is in force\n{}", answer["generation"], rest)
                .trim_end()
                .to_owned()
        },
    )
}
