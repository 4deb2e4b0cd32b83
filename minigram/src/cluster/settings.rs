//! How engines are started.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// How engines are started.
#[derive(Debug, Clone)]
pub struct ClusterSettings {
    /// Where they keep everything. A second start goes on with the data of the first one.
    pub state: PathBuf,
    /// The balancer's program.
    pub evenkeel: PathBuf,
    /// This program, for its command `keep`.
    pub minigram: PathBuf,
    /// The user that engines run as if this process is root; `postgres` or `nobody` if left out.
    pub user: Option<String>,
    /// Where Alertmanager sends alerts, beside the log `alerts`.
    pub webhook: Option<String>,
    /// How often Prometheus reads metrics and evaluates rules.
    pub scrape_interval: Duration,
    /// How long the condition of an alert must last, at most; `None` for what each rule says.
    pub alert_after_max: Option<Duration>,
    /// Where backups and the archive are; `backup` in the state directory if left out.
    pub backup: Option<PathBuf>,
    /// A restore: how long the other nodes may get no further while they copy the first one.
    pub copy_stalled_max: Duration,
    /// The archive is at most this far behind, in whole seconds.
    pub archive_every: Duration,
}

impl ClusterSettings {
    /// The usual settings, for a state directory and the programs of the balancer and of MiniGram.
    pub fn new(state: &Path, evenkeel: &Path, minigram: &Path) -> Self {
        Self {
            state: state.to_owned(),
            evenkeel: evenkeel.to_owned(),
            minigram: minigram.to_owned(),
            user: None,
            webhook: None,
            scrape_interval: Duration::from_secs(5),
            alert_after_max: None,
            backup: None,
            copy_stalled_max: Duration::from_secs(120),
            archive_every: Duration::from_secs(60),
        }
    }

    /// Where backups and the archive are.
    pub fn backup_directory(&self) -> PathBuf {
        self.backup.clone().unwrap_or_else(|| self.state.join("backup"))
    }
}
