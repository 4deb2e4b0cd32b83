//! `minigram restore`: brings the databases and pictures back to a chosen time.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use minigram::backup::{self, Target};
use minigram::cluster::ClusterSettings;
use minigram::up::state::default_directory;
use tokio::signal::unix::{SignalKind, signal};

use super::backup::{directory, pictures};

/// Brings the databases back to a chosen time, and pictures that are missing. The engines must not run; start them afterwards.
#[derive(Debug, clap::Args)]
pub struct Restore {
    /// All that was committed until then: a time of UTC such as 2026-11-29T22:00:05Z, or `latest` for all that the archive has.
    #[arg(long, value_name = "TIME")]
    to: Target,
    /// The state directory of the engines.
    #[arg(long, value_name = "DIR", default_value_os_t = default_directory())]
    state: PathBuf,
    /// The backup directory [default: backup in the state directory].
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// The pictures [default: where the servers kept them, or blobs in the state directory].
    #[arg(long, value_name = "DIR")]
    blobs: Option<PathBuf>,
    /// The history to follow, for a time that an earlier restore left out [default: the newest].
    #[arg(long, value_name = "NUMBER")]
    timeline: Option<u32>,
    /// The user that engines run as if root starts them [default: postgres, else nobody].
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

impl Restore {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let begun = Instant::now();
        let minigram = std::env::current_exe().context("the path of this program is not known")?;
        let pictures = pictures(self.blobs, &self.state);
        // No balancer is started.
        let mut cluster = ClusterSettings::new(&self.state, Path::new(""), &minigram);
        cluster.user = self.user;
        cluster.backup = Some(directory(self.directory, &self.state));
        let restore = backup::Restore { cluster, pictures, target: self.to, timeline: self.timeline };
        let mut end = signal(SignalKind::terminate()).context("cannot take signals")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot take signals")?;
        let interrupted = "interrupted; the state directory is as it was before";
        let restored = tokio::select! {
            restored = backup::restore(&restore) => restored?,
            _ = end.recv() => bail!(interrupted),
            _ = interrupt.recv() => bail!(interrupted),
        };
        println!(
            "restored on three nodes within {:.1} s, beginning with the backup {}",
            begun.elapsed().as_secs_f64(),
            restored.base.name
        );
        println!("pictures that were missing: {}", restored.pictures.new);
        if let Some(replaced) = restored.replaced {
            println!("what was there before is in {}: remove it when you do not need it", replaced.display());
        }
        Ok(ExitCode::SUCCESS)
    }
}
