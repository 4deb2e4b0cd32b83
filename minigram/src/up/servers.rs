//! The application servers and the workers of a system that runs in one process.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::app::edge::EdgeNode;
use crate::app::{self, App, AppSettings, Leaving};
use crate::engines::Engines;
use crate::leave::Leave;
use crate::workers::{self, WorkerSettings};

/// How a server leaves: Evenkeel looks once a second, and needs two answers. What is open has some time to end.
pub(super) const LEAVING: Leaving =
    Leaving { not_ready: Duration::from_millis(2500), drain: Duration::from_secs(10) };

/// What all servers have in common.
#[derive(Debug)]
pub struct Setup {
    /// Signs access tokens.
    pub token_key: String,
    /// The Evenkeel that is purged when something changes.
    pub edge: EdgeNode,
    /// The share of a core that each server may use, if it is bounded.
    pub core_share: Option<f64>,
}

/// Starts `count` servers, and returns their names and addresses. Each has a listener and a thread of its own, as if it
/// were a process on a machine with one core: so one server can use one core, and not more.
///
/// # Errors
/// A listener cannot be bound.
pub fn start(
    engines: &Engines,
    setup: &Setup,
    count: usize,
    leave: &Leave,
    tasks: &mut JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<Vec<(String, SocketAddr)>> {
    let mut servers = Vec::new();
    for number in 1..=count {
        let name = format!("app-{number}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.with_context(|| format!("no port is free for {name}"))?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true).context("a listener cannot be shared with other tasks")?;
        let settings = AppSettings {
            leaving: LEAVING,
            core_share: setup.core_share,
            edge: vec![setup.edge.clone()],
            ..AppSettings::new(&*name, setup.token_key.as_bytes())
        };
        let (end, ended) = oneshot::channel();
        let (engines, leave) = (engines.clone(), leave.clone());
        thread::Builder::new()
            .name(name.clone())
            .spawn(move || {
                // Fails if the system is gone.
                drop(end.send(serve(engines, settings, listener, leave)));
            })
            .with_context(|| format!("the thread of {name} cannot be started"))?;
        tasks.spawn(async move { ended.await.unwrap_or_else(|_| Err(anyhow!("a server panicked"))) });
        servers.push((name, address));
    }
    Ok(servers)
}

fn serve(engines: Engines, settings: AppSettings, listener: TcpListener, leave: Leave) -> anyhow::Result<()> {
    let runtime = runtime::Builder::new_current_thread().thread_name(&settings.name).enable_all().build();
    runtime.context("the runtime of a server cannot be started")?.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).context("a listener")?;
        let app = App::new(engines, settings).context("a server cannot be set up")?;
        Ok(app::serve(app, listener, leave).await?)
    })
}

/// Works until leaving is requested, and purges the edge of what a job changes.
///
/// # Errors
/// A worker panicked.
pub async fn work(engines: Engines, edge: EdgeNode, leave: Leave) -> anyhow::Result<()> {
    let settings = WorkerSettings { edge: vec![edge], ..WorkerSettings::default() };
    workers::run(engines, settings, leave).await
}
