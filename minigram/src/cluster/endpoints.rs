//! Where the engines of a state directory are, and which processes they are: a file that other commands read.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use crate::process::tree::Member;

/// The file in the state directory, while the engines run.
const FILE: &str = "engines.json";

/// Addresses of the engines. All ports are on 127.0.0.1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// Evenkeel's port for writes: PostgreSQL's primary, wherever that is.
    pub write: u16,
    /// Evenkeel's port for reads: replicas that are fresh; the primary if there is none.
    pub read: u16,
    /// Evenkeel's port for sessions: the primary of the Redis pair.
    pub sessions: u16,
    /// Evenkeel's port for the queue: any server of NATS.
    pub queue: u16,
    /// The Redis for the cache, which Evenkeel does not stand before.
    pub cache: u16,
    /// The admin API of the Evenkeel before the databases.
    pub balancer_admin: u16,
    /// Prometheus.
    pub prometheus: u16,
    /// Alertmanager.
    pub alertmanager: u16,
    /// Patroni's REST API, by node.
    pub patroni: BTreeMap<String, u16>,
    /// PostgreSQL itself, by node. Applications use `write` and `read`.
    pub postgres: BTreeMap<String, u16>,
    /// The servers of the Redis pair themselves, by name.
    pub redis: BTreeMap<String, u16>,
    /// The servers of NATS themselves, by name.
    pub nats: BTreeMap<String, u16>,
    /// The databases of the shards.
    pub databases: Vec<String>,
    /// The folder of the files with passwords, one for each role.
    pub secrets: PathBuf,
    /// The folder for files that name more targets for Prometheus, in the form of `file_sd_configs`.
    pub targets: PathBuf,
    /// The directory of the backups and of the archive.
    pub backup: PathBuf,
}

impl Endpoints {
    /// The password of a role: `minigram` owns the databases, `redis` is for both kinds of Redis.
    ///
    /// # Errors
    /// There is no such role, or this process may not read it.
    pub fn password(&self, role: &str) -> anyhow::Result<String> {
        let file = self.secrets.join(role);
        fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))
    }

    /// The URL of a database through Evenkeel: for writes, and for reads.
    ///
    /// # Errors
    /// The password cannot be read.
    pub fn database_urls(&self, database: &str) -> anyhow::Result<[String; 2]> {
        let password = self.password("minigram")?;
        let url =
            |port| format!("postgres://minigram:{password}@127.0.0.1:{port}/{database}?sslmode=disable");
        Ok([url(self.write), url(self.read)])
    }

    /// The URL of a Redis: [`Self::sessions`] or [`Self::cache`].
    ///
    /// # Errors
    /// The password cannot be read.
    pub fn redis_url(&self, port: u16) -> anyhow::Result<String> {
        Ok(format!("redis://:{}@127.0.0.1:{port}/0", self.password("redis")?))
    }

    /// The URL of the queue.
    pub fn queue_url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.queue)
    }
}

/// What runs in a state directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Running {
    /// Where it is.
    pub endpoints: Endpoints,
    /// The processes, by the names of the engines: number, and when it started in ticks of the kernel.
    processes: BTreeMap<String, (i32, u64)>,
}

impl Running {
    pub(super) fn new(endpoints: Endpoints, members: BTreeMap<String, Member>) -> Self {
        let entry =
            |(name, member): (String, Member)| (name, (member.id.as_raw_nonzero().get(), member.started));
        Self { endpoints, processes: members.into_iter().map(entry).collect() }
    }

    /// Reads what runs in a state directory.
    ///
    /// # Errors
    /// Nothing does.
    pub fn read(state: &Path) -> anyhow::Result<Self> {
        let file = state.join(FILE);
        let text = fs::read(&file)
            .with_context(|| format!("no engines run in {}: there is no {FILE}", state.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is broken", file.display()))
    }

    /// Writes it in one piece.
    pub(super) fn write(&self, state: &Path) -> anyhow::Result<()> {
        let (new, file) = (state.join("engines.new"), state.join(FILE));
        fs::write(&new, serde_json::to_vec_pretty(self)?)
            .and_then(|()| fs::rename(&new, &file))
            .with_context(|| format!("{} cannot be written", file.display()))
    }

    /// Removes the file, because nothing runs any more.
    pub(super) fn remove(state: &Path) {
        // It is absent if the start failed before it was written.
        drop(fs::remove_file(state.join(FILE)));
    }

    /// The names of the engines.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.processes.keys().map(String::as_str)
    }

    /// The process of an engine; for a node of Patroni it is the keeper. `None` if it does not run.
    pub fn process(&self, name: &str) -> Option<Member> {
        let (id, started) = *self.processes.get(name)?;
        Pid::from_raw(id).map(|id| Member { id, started }).filter(Member::is_alive)
    }
}
