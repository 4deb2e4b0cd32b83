//! The system that is broken on purpose: where it is, and what runs of it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use crate::cluster::faults::Faults;
use crate::cluster::{self, Endpoints};
use crate::domain::jobs::TOPICS;
use crate::ports::queue::{Depth, Queue};
use crate::process::tree::Member;
use crate::process::wait_until;
use crate::settings::Settings;
use crate::up::running::Running;

/// The settings of servers, in the state directory.
const SETTINGS: &str = "minigram.toml";
/// How long a request to a server itself may take.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// A running system on real engines.
pub struct Scene {
    /// Breaks engines.
    pub faults: Faults,
    /// The queue of the workers.
    pub queue: Arc<dyn Queue>,
    running: Running,
    state: PathBuf,
    http: reqwest::Client,
}

impl Scene {
    /// The system that runs in a state directory.
    pub async fn open(state: &Path) -> anyhow::Result<Self> {
        let faults = Faults::open(state).context("drills need `minigram up --engines real`")?;
        let engines = Settings::read(&state.join(SETTINGS))?.connect().await?;
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_MAX).build()?;
        let running = Running::read(state)?;
        Ok(Self { faults, queue: engines.queue, running, state: state.to_owned(), http })
    }

    /// Where users reach it.
    pub fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// Its state directory.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Where its engines are.
    pub fn endpoints(&self) -> anyhow::Result<Endpoints> {
        self.faults.endpoints()
    }

    /// The names of the application servers.
    pub fn servers(&self) -> Vec<String> {
        self.running.servers.iter().map(|server| server.name.clone()).collect()
    }

    /// A server's name.
    pub fn server(&self, number: usize) -> anyhow::Result<&str> {
        let server = self.running.servers.get(number);
        server
            .map(|server| &*server.name)
            .with_context(|| format!("there are fewer than {} servers", number + 1))
    }

    /// The process with this name, if it runs.
    pub fn process(&self, name: &str) -> Option<Member> {
        cluster::Running::read(&self.state).ok()?.process(name)
    }

    /// Whether a server says that it takes requests.
    pub async fn is_ready(&self, server: &str) -> bool {
        let Some(server) = self.running.servers.iter().find(|it| it.name == server) else { return false };
        let response = self.http.get(format!("http://{}/readyz", server.address)).send().await;
        response.is_ok_and(|response| response.status().is_success())
    }

    /// Returns when a server that ended runs again and takes requests.
    pub async fn wait_ready(&self, server: &str, bound: Duration) -> anyhow::Result<()> {
        let is_back = || async { self.process(server).is_some() && self.is_ready(server).await };
        wait_until(&format!("{server} is ready again"), bound, is_back).await
    }

    /// How many jobs all topics have.
    pub async fn depth(&self) -> anyhow::Result<Depth> {
        let mut sum = Depth::default();
        for topic in TOPICS {
            let Depth { ready, delayed, taken, dead } = self.queue.depth(topic).await?;
            sum = Depth {
                ready: sum.ready + ready,
                delayed: sum.delayed + delayed,
                taken: sum.taken + taken,
                dead: sum.dead + dead,
            };
        }
        Ok(sum)
    }
}
