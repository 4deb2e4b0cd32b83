//! `cargo xtask soak`: minutes of mixed traffic while servers die, stall and come back. Nothing may get lost that need
//! not, and nothing may be left behind.

pub mod disrupt;
mod http2;
pub mod origin;
mod pattern;
mod tally;
mod traffic;
mod watch;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, ensure};
use fastrand::Rng;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, timeout};

use self::disrupt::{RESPONSE, Servers};
use self::traffic::Traffic;
use self::watch::Watch;
use crate::bench::process::Process;
use crate::bench::proxy::free_address;
use crate::vtc;

/// Servers behind the balancer; one at a time is disrupted.
const SERVERS: usize = 3;
/// From when on memory must stay as it is: by then every kind of buffer has been needed.
const WARM_UP: Duration = Duration::from_secs(20);
/// How much memory may grow: a fifth, and what allocators are late in giving back.
const GROWTH: (f64, u64) = (0.2, 8 << 20);
/// How long clients may take to finish their last request, and the balancer to let go of it.
const SETTLE: Duration = Duration::from_secs(40);

/// What `cargo xtask soak` takes.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// For how long.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=24 * 60))]
    minutes: u64,
    /// What the disruptions and the traffic follow from [default: another one each time].
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The evenkeel to test [default: a debug build].
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// Runs the soak and prints what became of the requests.
///
/// # Errors
/// An error that nothing explains, memory or descriptors that grow, or something does not start.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let binary = match &options.binary {
        Some(binary) => binary.canonicalize().with_context(|| binary.display().to_string())?,
        None => vtc::build(root)?,
    };
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("soak: {} min, seed {seed}", options.minutes);
    let directory = Directory::new()?;
    let servers = Rc::new(Servers::start(&directory.0, SERVERS)?);
    let (mut evenkeel, watch, address) = start(&binary, &directory.0, &servers)?;
    let traffic = Traffic::new(address, servers.clone());

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let length = Duration::from_secs(60 * options.minutes);
    let done = LocalSet::new().block_on(&runtime, soak(&traffic, &watch, seed, length));
    servers.settle();
    println!("{}{}", traffic.tally.table(), servers.summary());
    println!("{}", done?);
    evenkeel.wait_until(|| true).context("evenkeel has ended")?;
    let said = fs::read_to_string(directory.0.join("evenkeel.err"))?;
    ensure!(!said.contains("panicked"), "evenkeel panicked:\n{said}");
    ensure!(traffic.tally.is_complete(), "some kind of traffic never got through");
    ensure!(traffic.tally.faults() == 0, "{} faults; seed {seed}", traffic.tally.faults());
    Ok(())
}

/// The balancer with `servers` in its only pool; and where it listens.
fn start(
    binary: &Path,
    directory: &Path,
    servers: &Servers,
) -> anyhow::Result<(Process, Watch, std::net::SocketAddr)> {
    let (address, admin) = (free_address()?, free_address()?);
    let backends: Vec<String> = servers.addresses().iter().map(|address| format!("\"{address}\"")).collect();
    let text = format!(
        "[server]\nworkers = 2\n[admin]\nbind = \"{admin}\"\n[log]\naccess = \"off\"\n\
         [listener.web]\nbind = \"{address}\"\nhttp = [\"1.1\", \"2\"]\npool = \"app\"\n\
         [pool.app]\nbackends = [{}]\ntimeout = {{ connect = \"1s\", response = \"{}s\" }}\n\
         health = {{ path = \"/health\", interval = \"500ms\", timeout = \"400ms\", fall = 2, rise = 1 }}\n",
        backends.join(", "),
        RESPONSE.as_secs()
    );
    let file = directory.join("evenkeel.toml");
    fs::write(&file, text)?;
    let mut command = Command::new(binary);
    command.args(["run", "-c"]).arg(&file);
    let mut evenkeel = Process::start("evenkeel", &command, &None, directory)?;
    let said = directory.join("evenkeel.err");
    evenkeel.wait_until(|| fs::read_to_string(&said).unwrap_or_default().contains("ready"))?;
    let watch = Watch::new(evenkeel.id(), admin);
    Ok((evenkeel, watch, address))
}

/// Traffic and disruptions for `length`, then rest. What it says of memory and descriptors.
async fn soak(traffic: &Traffic, watch: &Watch, seed: u64, length: Duration) -> anyhow::Result<String> {
    traffic.greet().await?;
    let before = watch.descriptors().await?;
    let begun = Instant::now();
    let mut rng = Rng::with_seed(seed);
    let clients = traffic.spawn(&mut rng);
    let disrupting = {
        let (servers, rng) = (traffic.servers.clone(), rng.fork());
        tokio::task::spawn_local(async move { servers.disrupt(rng).await })
    };
    sleep(WARM_UP).await;
    let warm = watch.resident().await?;
    while begun.elapsed() < length {
        sleep(Duration::from_secs(1)).await;
        ensure!(!disrupting.is_finished(), "a server did not come back");
    }
    let resident = watch.resident().await?;
    disrupting.abort();
    traffic.servers.settle();
    traffic.stop();
    for client in clients {
        if timeout(SETTLE, client).await.is_err() {
            traffic.tally.fault("a client has not come to an end".to_owned());
        }
    }

    let most = (warm as f64 * (1.0 + GROWTH.0)) as u64 + GROWTH.1;
    if resident > most {
        traffic.tally.fault(format!("memory grew from {warm} to {resident} bytes"));
    }
    let deadline = Instant::now() + SETTLE;
    let mut left = watch.left(before).await?;
    while !left.is_empty() && Instant::now() < deadline {
        sleep(Duration::from_millis(200)).await;
        left = watch.left(before).await?;
    }
    left.into_iter().for_each(|what| traffic.tally.fault(what));
    let after = watch.descriptors().await?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    Ok(format!(
        "resident {:.1} MiB warm, {:.1} MiB at the end; descriptors {before} before, {after} after",
        mib(warm),
        mib(resident)
    ))
}

/// A directory of one run, removed with all that is in it.
pub struct Directory(pub PathBuf);

impl Directory {
    /// A new one.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new() -> anyhow::Result<Self> {
        Self::named("run")
    }

    /// A new one beside others.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn named(name: &str) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("evenkeel-{}-{name}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
