//! Everything in one process tree: what `minigram up` starts.
//!
//! This process has the engines, the application servers and the workers; Evenkeel is its child. [`System::start`] starts
//! them in order, [`System::leave`] ends them in the reverse one.

use std::future::pending;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinSet;

use crate::app::edge::EdgeNode;
use crate::clock::Clock;
use crate::engines::Engines;
use crate::leave::{Leave, LeaveSender};
use crate::process::Process;
use crate::telemetry::Telemetry;

pub mod balancer;
mod begin;
pub mod build;
pub mod real;
pub mod running;
pub mod secret;
pub mod seed;
mod servers;
pub mod state;
pub mod version;

use balancer::Addresses;
use begin::{Begun, Front};
use running::Running;
use seed::Seeded;
use state::State;

/// How long Evenkeel may take to end: its `grace`, and a little more.
const BALANCER_END_MAX: Duration = Duration::from_secs(15);

/// How a system is started.
#[derive(Debug, Clone)]
pub struct UpSettings {
    /// Where everything is kept.
    pub state: PathBuf,
    /// Where Evenkeel listens; `None`: port 8080 of this machine, or a free one.
    pub listen: Option<SocketAddr>,
    /// Where its dashboard and admin API listen; `None`: port 9900 of this machine, or a free one.
    pub admin: Option<SocketAddr>,
    /// Application servers.
    pub servers: usize,
    /// The share of a core that each server may use, more than 0 and at most 1, if it is bounded. Real engines: not bounded.
    pub core_share: Option<f64>,
    /// Sample photos of a new system.
    pub photos: usize,
    /// Sample users of a new system beside those that post.
    pub crowd: usize,
    /// Evenkeel's binary; `None`: it is built or found.
    pub evenkeel: Option<PathBuf>,
    /// A collector of traces.
    pub otlp: Option<String>,
}

/// A running system.
#[derive(Debug)]
pub struct System {
    /// Where everything is.
    pub running: Running,
    /// What was made for a new system.
    pub seeded: Option<Seeded>,
    state: State,
    balancer: Process,
    telemetry: Telemetry,
    /// Servers first, workers second.
    parts: [(LeaveSender, JoinSet<anyhow::Result<()>>); 2],
}

impl System {
    /// Starts everything, and returns when a request through Evenkeel is answered.
    ///
    /// # Errors
    /// Anything cannot be started. What was started before ends then.
    pub async fn start(settings: &UpSettings) -> anyhow::Result<Self> {
        let Begun { state, telemetry, evenkeel } = begin::begin(settings, settings.otlp.clone()).await?;
        let seeded = seed_if_new(&state, settings).await?;
        let engines = Engines::embedded(&state.path("data"), Clock::System).await?;
        let front = Front::choose(&state, settings)?;
        let edge =
            EdgeNode { admin: format!("http://{}", front.admin), token: Some(front.admin_token.clone()) };
        let core_share = settings.core_share;
        let setup = servers::Setup { token_key: front.token_key.clone(), edge, core_share };
        let (leave_servers, leave) = Leave::pair();
        let mut serving = JoinSet::new();
        let servers = servers::start(&engines, &setup, settings.servers, &leave, &mut serving)?;
        let (leave_workers, leave) = Leave::pair();
        let mut working = JoinSet::new();
        working.spawn(servers::work(engines, setup.edge, leave));
        crate::web::write(&state.path("web")).context("the pages cannot be written")?;
        let addresses = Addresses {
            listener: front.address,
            admin: front.admin,
            servers: &servers,
            otlp: settings.otlp.as_deref(),
        };
        let balancer = start_balancer(&state, &evenkeel, &addresses)?;
        balancer::ready(&balancer, front.address).await?;
        let running = front.running(&balancer, servers);
        running.write(state.directory())?;
        let parts = [(leave_servers, serving), (leave_workers, working)];
        Ok(Self { running, seeded, state, balancer, parts, telemetry })
    }

    /// Waits until something ends that should not, and says what.
    pub async fn broken(&mut self) -> anyhow::Error {
        let [(_, serving), (_, working)] = &mut self.parts;
        tokio::select! {
            status = self.balancer.ended() => anyhow::anyhow!("evenkeel has ended ({status})"),
            error = ended(serving) => error.context("an application server has ended"),
            error = ended(working) => error.context("the workers have ended"),
        }
    }

    /// Ends everything in order: the servers say that they leave, finish what they do and end; then the workers, then
    /// Evenkeel.
    ///
    /// # Errors
    /// Something did not end as it should. All the same, nothing is left.
    pub async fn leave(self) -> anyhow::Result<()> {
        let mut result = Ok(());
        for (leave, mut tasks) in self.parts {
            leave.request();
            while let Some(task) = tasks.join_next().await {
                result = result.and(task.context("a part panicked").and_then(|result| result));
            }
        }
        if !self.balancer.stop(BALANCER_END_MAX).await {
            result = result.and(Err(anyhow::anyhow!("evenkeel was killed, because it did not end in time")));
        }
        Running::remove(self.state.directory());
        self.telemetry.end().await;
        result
    }

    /// The state directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.state.directory()
    }
}

/// The error with which the first of some tasks ends. Never ends if there are none.
async fn ended(tasks: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Error {
    match tasks.join_next().await {
        Some(Ok(Ok(()))) => anyhow::anyhow!("it ended without an error"),
        Some(Ok(Err(error))) => error,
        Some(Err(panic)) => anyhow::Error::new(panic),
        None => pending().await,
    }
}

/// Makes the sample data beside its place, and moves it there when it is complete, so that a start that is broken off leaves
/// a new system.
async fn seed_if_new(state: &State, settings: &UpSettings) -> anyhow::Result<Option<Seeded>> {
    let (data, new) = (state.path("data"), state.path("data.new"));
    if data.exists() {
        return Ok(None);
    }
    if new.exists() {
        std::fs::remove_dir_all(&new).with_context(|| format!("{} cannot be removed", new.display()))?;
    }
    let seeded = seed::seed(&new, settings.photos, settings.crowd).await?;
    std::fs::rename(&new, &data).with_context(|| format!("{} cannot be renamed", new.display()))?;
    Ok(Some(seeded))
}

fn start_balancer(state: &State, evenkeel: &Path, addresses: &Addresses<'_>) -> anyhow::Result<Process> {
    let file = state.path("evenkeel.toml");
    std::fs::write(&file, balancer::configuration(addresses)?)
        .with_context(|| format!("{} cannot be written", file.display()))?;
    balancer::start(evenkeel, &file, &state.path("evenkeel.log"))
}
