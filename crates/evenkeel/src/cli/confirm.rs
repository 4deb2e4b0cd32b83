//! `evenkeel confirm`: keeps a configuration that was reloaded with `--confirm`, or goes back to the previous one.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use evenkeel_config::parse_duration;
use serde_json::{Value, json};

use super::find::Running;
use super::output::{fail, print};

/// The shortest and the longest time to confirm in.
const WITHIN_MIN: Duration = Duration::from_secs(1);
const WITHIN_MAX: Duration = Duration::from_secs(86_400);

#[derive(Debug, Args)]
pub struct Confirm {
    /// Go back to the previous configuration at once
    #[arg(long)]
    go_back: bool,
    #[command(flatten)]
    running: Running,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Confirm) -> ExitCode {
    let body = json!({ "go_back": args.go_back });
    match args.running.find().and_then(|admin| admin.post("/confirm", &body)) {
        Ok(answer) if args.json => print(&format!("{answer:#}\n")),
        Ok(answer) => print(&text(&answer)),
        Err(why) => fail(&why.to_string()),
    }
}

fn text(answer: &Value) -> String {
    let generation = &answer["generation"];
    if answer["confirmed"] == true {
        return format!("confirmed: generation {generation} stays in force\n");
    }
    format!(
        "the previous configuration is in force again, as generation {generation}; the file still has the new text\n"
    )
}

/// The time of `--confirm`, as in `60s`, in whole seconds.
pub(super) fn within(text: &str) -> Result<u64, String> {
    let time = parse_duration(text).ok_or("write a duration, as in 60s or 5m")?;
    if !(WITHIN_MIN..=WITHIN_MAX).contains(&time) {
        return Err("write a duration from 1s to 24h".into());
    }
    Ok(time.as_secs())
}

/// What a reload answers about its confirmation.
pub(super) fn awaiting(answer: &Value) -> Option<String> {
    let seconds = answer["awaiting_confirmation"]["seconds_left"].as_f64()?;
    Some(format!(
        "it goes back in {seconds:.0} s, or when errors jump, unless you run `evenkeel confirm` before\n"
    ))
}
