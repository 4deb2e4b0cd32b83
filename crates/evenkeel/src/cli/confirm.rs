//! `evenkeel confirm`: keeps a configuration that was reloaded with `--confirm`, or goes back to the previous one.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::change::Change;
use super::time::time;

/// The shortest and the longest time to confirm in.
const WITHIN_MIN: Duration = Duration::from_secs(1);
const WITHIN_MAX: Duration = Duration::from_secs(86_400);

#[derive(Debug, Args)]
pub struct Confirm {
    /// Go back to the previous configuration at once
    #[arg(long)]
    go_back: bool,
    #[command(flatten)]
    change: Change,
}

pub fn run(args: &Confirm) -> ExitCode {
    let body = json!({ "go_back": args.go_back });
    args.change.carry_out(|admin| admin.post("/confirm", &body), text)
}

fn text(answer: &Value) -> String {
    let generation = &answer["generation"];
    if answer["confirmed"] == true {
        return format!("confirmed: generation {generation} stays in force");
    }
    format!(
        "the previous configuration is in force again, as generation {generation}; the file still has the new text"
    )
}

/// The time of `--confirm`, in whole seconds.
pub(super) fn within(text: &str) -> Result<u64, String> {
    Ok(time(text, WITHIN_MIN..=WITHIN_MAX)?.as_secs())
}

/// What a reload answers about its confirmation.
pub(super) fn awaiting(answer: &Value) -> Option<String> {
    let seconds = answer["awaiting_confirmation"]["seconds_left"].as_f64()?;
    Some(format!(
        "it goes back in {seconds:.0} s, or when errors jump, unless you run `evenkeel confirm` before\n"
    ))
}
