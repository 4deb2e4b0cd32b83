//! `cargo xtask changes`: makes changes under traffic, by the commands that an operator types: reloads, servers added, drained and
//! removed, upgrades of the binary. No request may fail, and no WebSocket may be closed.

mod balancer;
mod report;
mod steps;
mod traffic;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::task::LocalSet;
use tokio::time::sleep;

use self::balancer::Balancer;
use self::steps::Steps;
use self::traffic::Traffic;
use crate::soak::Directory;
use crate::soak::disrupt::Servers;
use crate::vtc;

/// Servers that the pool always has.
const SERVERS: usize = 3;
/// Servers that are added, drained and removed.
const SPARE: usize = 2;
/// Traffic before the first change, and after the last.
const QUIET: Duration = Duration::from_secs(3);

/// What `cargo xtask changes` takes.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Requests a second.
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// WebSockets that stay open all the time.
    #[arg(long, value_name = "N", default_value_t = 500)]
    sockets: usize,
    /// How often the configuration is reloaded.
    #[arg(long, value_name = "N", default_value_t = 100)]
    reloads: usize,
    /// How often a server is added, drained and removed.
    #[arg(long, value_name = "N", default_value_t = 100)]
    servers: usize,
    /// How often the binary is replaced.
    #[arg(long, value_name = "N", default_value_t = 10)]
    upgrades: usize,
    /// The evenkeel to test [default: a debug build].
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// Changes everything under traffic and prints what clients noticed.
///
/// # Errors
/// A request failed, a WebSocket was closed, a change failed, or a process does not start.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let binary = match &options.binary {
        Some(binary) => binary.canonicalize().with_context(|| binary.display().to_string())?,
        None => vtc::build(root)?,
    };
    println!("changes: {} requests a second, {} WebSockets", options.rate, options.sockets);
    let directory = Directory::named("changes")?;
    let servers = Servers::start(&directory.0, SERVERS + SPARE)?;
    let (always, spare) = servers.addresses().split_at(SERVERS);
    let balancer = Balancer::start(&binary, &directory.0, always)?;
    let traffic = Rc::new(Traffic::new(balancer.address));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let steps = Steps { balancer, spare: spare.to_vec(), traffic: Rc::clone(&traffic) };
    let done = LocalSet::new().block_on(&runtime, change(steps, options));
    println!("{}", traffic.report());
    done?;
    traffic.report().verdict()
}

async fn change(mut steps: Steps, options: &Options) -> anyhow::Result<()> {
    let traffic = Rc::clone(&steps.traffic);
    let clients = traffic.spawn(options.rate, options.sockets).await?;
    traffic.phase("quiet");
    sleep(QUIET).await;
    steps.reload(options.reloads).await?;
    steps.servers(options.servers).await?;
    steps.upgrade(options.upgrades).await?;
    traffic.phase("quiet after");
    sleep(QUIET).await;
    let open = traffic.sockets();
    ensure!(open == options.sockets, "{open} of {} WebSockets are open at the end", options.sockets);
    traffic.stop();
    for client in clients {
        client.await?;
    }
    Ok(())
}
