//! `evenkeel check`: all that is wrong with a configuration file, in one go.

use std::process::ExitCode;

use clap::Args;

use super::{DONE, Source, WRONG};

#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    source: Source,
    /// Print the findings to stdout as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Check) -> ExitCode {
    let path = &args.source.config;
    if args.json {
        let (findings, code) = match evenkeel_config::load(path) {
            Ok(parsed) => (parsed.warnings, DONE),
            Err(diagnostics) => (diagnostics, WRONG),
        };
        super::print(&format!("{:#}\n", findings.to_json()));
        return code.into();
    }
    match args.source.load() {
        Ok(parsed) => {
            let config = &parsed.config;
            let (listeners, routes, pools) =
                (config.listeners.len(), config.routes.len(), config.pools.len());
            eprintln!(
                "{}: ok ({}, {}, {})",
                path.display(),
                count(listeners, "listener"),
                count(routes, "route"),
                count(pools, "pool")
            );
            DONE.into()
        }
        Err(code) => code,
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
