//! What a running system says of itself in its state directory, so that other commands find it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// The name of the process with servers, workers and engines.
pub const SYSTEM: &str = "minigram";

/// In the state directory while the system runs.
const FILE: &str = "running.json";

/// Where everything is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Running {
    /// Evenkeel's listener: what users open.
    pub address: SocketAddr,
    /// Evenkeel's admin API and dashboard.
    pub admin: SocketAddr,
    /// The file with the token of the admin API.
    pub admin_token: PathBuf,
    /// Evenkeel's process.
    pub evenkeel: u32,
    /// The process with servers, workers and engines.
    pub minigram: u32,
    /// The application servers.
    pub servers: Vec<Server>,
}

/// An application server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Server {
    /// What `x-server` says.
    pub name: String,
    /// Where Evenkeel reaches it.
    pub address: SocketAddr,
}

impl Running {
    /// What runs in a state directory.
    ///
    /// # Errors
    /// Nothing does.
    pub fn read(state: &Path) -> anyhow::Result<Self> {
        let file = state.join(FILE);
        let text = fs::read(&file).with_context(|| {
            format!("no running system in {}: start one with `minigram up`", state.display())
        })?;
        serde_json::from_slice(&text).with_context(|| format!("{} is broken", file.display()))
    }

    /// All processes, each with its name.
    #[must_use]
    pub fn named_processes(&self) -> Vec<(&'static str, u32)> {
        vec![("evenkeel", self.evenkeel), (SYSTEM, self.minigram)]
    }

    /// All processes.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        self.named_processes().into_iter().map(|(_, process)| process).collect()
    }

    /// Says it, in one piece.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, state: &Path) -> anyhow::Result<()> {
        let (new, file) = (state.join("running.new"), state.join(FILE));
        fs::write(&new, serde_json::to_vec_pretty(self)?)
            .and_then(|()| fs::rename(&new, &file))
            .with_context(|| format!("{} cannot be written", file.display()))
    }

    /// Says that nothing runs any more.
    pub fn remove(state: &Path) {
        // It may be absent, because the system ended before it was ready.
        drop(fs::remove_file(state.join(FILE)));
    }
}
