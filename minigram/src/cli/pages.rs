//! `minigram pages`: writes the files of the pages, for a balancer on another machine or in another container.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

/// Writes the pages, which Evenkeel serves: `assets`, whose paths have a hash of their content, and `index.html`, which names
/// them. Assets of older versions stay.
#[derive(Debug, clap::Args)]
pub struct Pages {
    /// The directory to write to; it is created if it does not exist.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

impl Pages {
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let written = minigram::web::write(&self.to)
            .with_context(|| format!("the pages cannot be written to {}", self.to.display()))?;
        println!("{}", written.shell.display());
        println!("{}", written.assets.display());
        Ok(ExitCode::SUCCESS)
    }
}
