//! `evenkeel schema`: what a configuration file may hold, for editors and other programs.

use std::process::ExitCode;

use clap::Args;

#[derive(Debug, Args)]
pub struct Schema {}

pub fn run(_: &Schema) -> ExitCode {
    super::output::print(&format!("{:#}\n", evenkeel_config::schema()))
}
