//! The argument by which commands find the configuration file.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use evenkeel_config::Parsed;

use super::output::{WRONG, complain};

/// The configuration file that commands use if the command line names none.
pub(super) const CONFIG_DEFAULT: &str = "evenkeel.toml";

/// Where the configuration is.
#[derive(Debug, Args)]
pub(super) struct Source {
    /// The configuration file
    #[arg(short, long = "config", value_name = "FILE", default_value = CONFIG_DEFAULT)]
    pub(super) config: PathBuf,
}

impl Source {
    /// Reads it; faults and warnings go to stderr.
    pub(super) fn load(&self) -> Result<Parsed, ExitCode> {
        match evenkeel_config::load(&self.config) {
            Ok(parsed) => {
                complain(&parsed.warnings);
                Ok(parsed)
            }
            Err(diagnostics) => {
                complain(&diagnostics);
                Err(WRONG.into())
            }
        }
    }
}
