//! What a running system says of itself in its state directory, so that other commands find it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use crate::process::tree::{self, Member};

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

    /// All processes of the system now, each with what it is for.
    #[must_use]
    pub fn named_processes(&self) -> Vec<(String, u32)> {
        let root = i32::try_from(self.minigram).ok().and_then(Pid::from_raw);
        let below = root.map(tree::descendants).unwrap_or_default();
        let id = |member: &Member| member.id.as_raw_nonzero().get().unsigned_abs();
        let mut all = vec![(SYSTEM.to_owned(), self.minigram)];
        all.extend(below.iter().map(|member| (purpose(member), id(member))));
        all
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

/// What a process of the system is for.
fn purpose(member: &Member) -> String {
    let program = member.program();
    let part = match program.as_str() {
        "minigram" => match member.argument(1).as_str() {
            "server" => "application servers",
            "worker" => "workers",
            _ => "watching over processes",
        },
        "postgres" => "database (PostgreSQL)",
        "redis-server" => "sessions, cache, bus (Redis)",
        "nats-server" => "queue (NATS)",
        other => other,
    };
    part.to_owned()
}
