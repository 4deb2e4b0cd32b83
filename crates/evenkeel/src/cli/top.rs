//! `evenkeel top`: what a running process does, in a terminal.

use std::process::ExitCode;

use clap::Args;

use super::find::Running;
use super::output::fail;

#[derive(Debug, Args)]
pub struct Top {
    #[command(flatten)]
    running: Running,
    /// Print one screen as text, and end
    #[arg(long)]
    once: bool,
}

pub fn run(args: &Top) -> ExitCode {
    let admin = match args.running.find() {
        Ok(admin) => admin,
        Err(why) => return fail(&why.to_string()),
    };
    let shown = evenkeel_top::run(args.once, move |path| admin.stream(path).map_err(|why| why.to_string()));
    shown.map_or_else(|why| fail(&why), |()| ExitCode::SUCCESS)
}
