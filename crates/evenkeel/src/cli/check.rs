//! `evenkeel check`: all faults of a configuration file and of the certificates that it names, at once.

use std::process::ExitCode;

use clap::Args;

use super::output::{DONE, WRONG, complain, print};
use super::source::Source;
use crate::credentials::load_config;

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
    let checked = load_config(path);
    let (findings, code) = match &checked {
        Ok(parsed) => (&parsed.warnings, DONE),
        Err(diagnostics) => (diagnostics, WRONG),
    };
    if args.json {
        print(&format!("{:#}\n", findings.to_json()));
        return code.into();
    }
    complain(findings);
    if let Ok(parsed) = &checked {
        let config = &parsed.config;
        let (listeners, routes, pools) = (config.listeners.len(), config.routes.len(), config.pools.len());
        eprintln!(
            "{}: ok ({}, {}, {})",
            path.display(),
            count(listeners, "listener"),
            count(routes, "route"),
            count(pools, "pool")
        );
    }
    code.into()
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
