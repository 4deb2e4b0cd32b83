//! `evenkeel show`: the configuration as it will be used.

use std::process::ExitCode;

use clap::Args;

use super::output::print;
use super::source::Source;

#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    source: Source,
}

pub fn run(args: &Show) -> ExitCode {
    match args.source.load() {
        Ok(parsed) => print(&parsed.config.to_toml()),
        Err(code) => code,
    }
}
