//! `minigram worker`: one process of workers.

use std::path::PathBuf;
use std::process::ExitCode;

use minigram::leave::Leave;
use minigram::settings::Settings;
use minigram::{telemetry, workers};

use super::end::End;

/// Runs workers, until SIGTERM or Ctrl-C: they make thumbnails and put photos into feeds.
#[derive(Debug, clap::Args)]
pub struct Worker {
    /// The settings.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Names the process in logs.
    #[arg(long, default_value = "worker")]
    name: String,
}

impl Worker {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let settings = Settings::read(&self.config)?;
        let mut end = End::new()?;
        let telemetry = telemetry::start(settings.telemetry("minigram-worker", &self.name))?;
        let engines = settings.connect().await?;
        let (ask, leave) = Leave::pair();
        let mut working = std::pin::pin!(workers::run(engines, settings.worker(&self.name)?, leave));
        tokio::select! {
            worked = &mut working => worked?,
            () = end.requested() => {
                ask.request();
                working.await?;
            }
        }
        telemetry.end().await;
        Ok(ExitCode::SUCCESS)
    }
}
