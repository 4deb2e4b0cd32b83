//! `evenkeel reload`: has a running process read its configuration file again, and waits for what comes of it.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::confirm::{awaiting, within};
use super::find::Running;
use super::output::{fail, print};

#[derive(Debug, Args)]
pub struct Reload {
    /// Go back by itself unless `evenkeel confirm` comes within this time, as in 60s; or sooner when errors jump
    #[arg(long, value_name = "TIME", value_parser = within)]
    confirm: Option<u64>,
    #[command(flatten)]
    running: Running,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Reload) -> ExitCode {
    let body = match args.confirm {
        Some(seconds) => json!({ "confirm_seconds": seconds }),
        None => json!({}),
    };
    match args.running.find().and_then(|admin| admin.post("/reload", &body)) {
        Ok(answer) if args.json => print(&format!("{answer:#}\n")),
        Ok(answer) => {
            let rest = awaiting(&answer).unwrap_or_default();
            print(&format!("reloaded: generation {} is in force\n{rest}", answer["generation"]))
        }
        Err(why) => fail(&why.to_string()),
    }
}
