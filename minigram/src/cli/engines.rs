//! `minigram engines`: the real engines alone, for development and drills.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use minigram::cluster::{Cluster, ClusterSettings};
use minigram::up::build;
use minigram::up::state::{State, default_directory};
use tokio::signal::unix::{SignalKind, signal};

/// Starts PostgreSQL, Redis, NATS, Prometheus and the balancer before them, until it is asked to end. `engines.json` in the state
/// directory says where they are.
#[derive(Debug, clap::Args)]
pub struct Engines {
    /// Where the engines keep everything.
    #[arg(long, value_name = "DIR", default_value_os_t = default_directory())]
    state: PathBuf,
    /// The balancer's program [default: it is built].
    #[arg(long, value_name = "FILE")]
    evenkeel: Option<PathBuf>,
    /// The user that engines run as if root starts them [default: postgres, else nobody].
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Where to send alerts, beside logs/alerts.log.
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    /// Seconds between two readings of the metrics.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=300))]
    scrape: u64,
    /// Seconds that the condition of an alert must last, at most [default: as each rule says].
    #[arg(long, value_name = "SECONDS")]
    alert_after: Option<u64>,
    #[command(flatten)]
    archive: ArchiveOptions,
}

/// Where the log of writes is archived, and how soon.
#[derive(Debug, clap::Args)]
pub struct ArchiveOptions {
    /// Real engines: where backups and the archive are [default: backup in the state directory].
    #[arg(long, value_name = "DIR")]
    pub backup: Option<PathBuf>,
    /// Real engines: how far behind the archive may be, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    archive_every: u64,
}

impl ArchiveOptions {
    /// How far behind the archive may be.
    pub fn every(&self) -> Duration {
        Duration::from_secs(self.archive_every)
    }
}

impl Engines {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let minigram = std::env::current_exe().context("the path of this program is not known")?;
        let evenkeel = match self.evenkeel {
            Some(file) => file.canonicalize().with_context(|| file.display().to_string())?,
            None => build::evenkeel().await?,
        };
        let state = State::take(&self.state)?;
        let mut settings = ClusterSettings::new(state.directory(), &evenkeel, &minigram);
        (settings.user, settings.webhook) = (self.user, self.webhook);
        settings.scrape_interval = Duration::from_secs(self.scrape);
        settings.alert_after_max = self.alert_after.map(Duration::from_secs);
        (settings.archive_every, settings.backup) = (self.archive.every(), self.archive.backup);
        let mut end = signal(SignalKind::terminate()).context("cannot take signals")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot take signals")?;
        let cluster = tokio::select! {
            cluster = Cluster::start(&settings) => cluster?,
            // What has been started is dropped, and so killed.
            _ = end.recv() => return Ok(ExitCode::FAILURE),
            _ = interrupt.recv() => return Ok(ExitCode::FAILURE),
        };
        println!("{}", serde_json::to_string_pretty(cluster.endpoints())?);
        tokio::select! {
            _ = end.recv() => {}
            _ = interrupt.recv() => {}
        }
        cluster.stop().await;
        Ok(ExitCode::SUCCESS)
    }
}
