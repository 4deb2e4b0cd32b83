//! What every scenario runs on: the programs, the origin servers, a directory, and who runs on which core.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::install;
use super::machine;
use super::process::{Layout, Process};
use super::procfs::CpuTime;
use super::proxy::{Proxy, Running, Setting, free_address};
use super::results::{Metric, Sample};

/// Origin servers behind each proxy.
const ORIGINS: usize = 3;
/// Followed by the id of the process that it belongs to.
const DIRECTORY: &str = "evenkeel-bench-";

/// The programs that take part.
pub struct Programs {
    /// The proxies, in the order of the command line.
    pub proxies: Vec<(Proxy, PathBuf)>,
    /// The load generator with a closed loop.
    pub wrk: PathBuf,
    /// This program, optimised: origin servers and the load generator with an open loop.
    pub xtask: PathBuf,
}

impl Programs {
    /// Finds, installs or builds what `proxies` need.
    ///
    /// # Errors
    /// A package cannot be installed or evenkeel does not compile.
    pub fn prepare(root: &Path, proxies: &[Proxy]) -> anyhow::Result<Self> {
        let packages: Vec<&str> =
            proxies.iter().filter(|p| **p != Proxy::Evenkeel).map(|p| p.program()).chain(["wrk"]).collect();
        install::missing(&packages)?;
        let found = |name: &str| install::find(name).with_context(|| format!("{name} is not installed"));
        let program = |proxy: Proxy| match proxy {
            // Built apart from xtask: together, cargo would give each the other's features.
            Proxy::Evenkeel => build(root, "evenkeel"),
            peer => found(peer.program()),
        };
        let proxies =
            proxies.iter().map(|proxy| Ok((*proxy, program(*proxy)?))).collect::<anyhow::Result<_>>()?;
        Ok(Self { proxies, wrk: found("wrk")?, xtask: build(root, "xtask")? })
    }
}

/// Three origin servers that run, and all that it takes to set a proxy before them.
pub struct Rig<'a> {
    programs: &'a Programs,
    /// The origin servers.
    pub origins: Vec<SocketAddr>,
    open_files: u64,
    layout: Layout,
    load_threads: usize,
    // Order matters: what runs is ended before its directory goes.
    _servers: Vec<Process>,
    dir: Directory,
}

impl<'a> Rig<'a> {
    /// Starts the origin servers; `workers` is for how many the cores are shared out.
    ///
    /// # Errors
    /// They do not start.
    pub fn start(programs: &'a Programs, workers: usize) -> anyhow::Result<Self> {
        let open_files = machine::raise_open_files();
        let layout = Layout::choose(&machine::usable_cores(), workers);
        let load_threads = if layout.pinned() { workers } else { 1 };
        let dir = Directory::create()?;
        fs::write(dir.0.join("done.lua"), include_str!("done.lua"))?;
        let origins = (0..ORIGINS).map(|_| free_address()).collect::<anyhow::Result<Vec<_>>>()?;
        // One process serves them all at the least cost; more of them only where there are cores for it.
        let shares: Vec<&[SocketAddr]> = origins.chunks(ORIGINS.div_ceil(load_threads)).collect();
        let mut servers = Vec::new();
        for (number, share) in shares.into_iter().enumerate() {
            let mut command = Command::new(&programs.xtask);
            command.arg("origin");
            for origin in share {
                command.args(["--port", &origin.port().to_string()]);
            }
            let mut server = Process::start(&format!("origin-{number}"), &command, &layout.load, &dir.0)?;
            server.wait_until(|| share.iter().all(|o| TcpStream::connect(o).is_ok()))?;
            servers.push(server);
        }
        Ok(Self { programs, origins, open_files, layout, load_threads, _servers: servers, dir })
    }

    /// True when proxy and load do not share a core.
    pub fn pinned(&self) -> bool {
        self.layout.pinned()
    }

    /// Client connections that a proxy is told to take: each needs two descriptors, and some are its own.
    pub fn connections_max(&self) -> u64 {
        (self.open_files.saturating_sub(500) / 2).min(8192)
    }

    /// The proxies that take part.
    pub fn proxies(&self) -> Vec<Proxy> {
        self.programs.proxies.iter().map(|(proxy, _)| *proxy).collect()
    }

    /// Starts `proxy` with `workers` before the origin servers.
    ///
    /// # Errors
    /// It takes no part, or does not start.
    pub fn run(&self, proxy: Proxy, workers: usize) -> anyhow::Result<Running> {
        let program = self.programs.proxies.iter().find(|(p, _)| *p == proxy);
        let (_, program) = program.with_context(|| format!("{} takes no part", proxy.program()))?;
        let setting = Setting {
            address: free_address()?,
            admin: free_address()?,
            workers,
            origins: &self.origins,
            connections_max: self.connections_max(),
            dir: &self.dir.0,
        };
        Running::start(proxy, program, &setting, &self.layout.proxy)
    }

    /// Loads `address` with wrk, as fast as `connections` allow.
    ///
    /// # Errors
    /// wrk fails or does not end.
    pub fn wrk(
        &self,
        address: SocketAddr,
        path: &str,
        connections: u16,
        seconds: u64,
    ) -> anyhow::Result<Wrk> {
        let mut command = Command::new(&self.programs.wrk);
        command.args([
            "--threads",
            &self.load_threads.to_string(),
            "--connections",
            &connections.to_string(),
        ]);
        command.args(["--duration", &format!("{seconds}s"), "--script"]).arg(self.dir.0.join("done.lua"));
        command.arg(format!("http://{address}{path}"));
        self.report("wrk", &command, seconds)
    }

    /// Loads `address` at a constant rate for `seconds`.
    ///
    /// # Errors
    /// The load generator fails or does not end.
    pub fn steady(
        &self,
        address: SocketAddr,
        rate: u32,
        seconds: u64,
    ) -> anyhow::Result<crate::load::Summary> {
        let mut command = Command::new(&self.programs.xtask);
        command.args(["load", "--address", &address.to_string(), "--rate", &rate.to_string()]);
        command.args(["--seconds", &seconds.to_string()]);
        self.report("load", &command, seconds)
    }

    /// One round of wrk and what it cost the proxy.
    ///
    /// # Errors
    /// wrk fails, not one request was answered, or the proxy died.
    pub fn round(
        &self,
        proxy: &Running,
        path: &str,
        connections: u16,
        seconds: u64,
    ) -> anyhow::Result<Sample> {
        let before = CpuTime::of_tree(proxy.process.id())?;
        let load = self.wrk(proxy.address, path, connections, seconds)?;
        let used = CpuTime::of_tree(proxy.process.id())? - before;
        proxy.empty_log()?;
        // An error costs next to nothing, so a proxy full of them would look fast.
        let name = proxy.proxy.program();
        ensure!(
            load.requests > 100 * load.errors,
            "{name}: {} errors in {} requests",
            load.errors,
            load.requests
        );
        let cpu = used.total_us / load.requests as f64;
        Ok(Sample::from([
            (Metric::CpuUs, cpu),
            (Metric::CpuUserUs, cpu * used.user_share()),
            (Metric::CpuSystemUs, cpu * (1.0 - used.user_share())),
            (Metric::Throughput, load.per_second(load.requests)),
            (Metric::Mebibytes, load.per_second(load.bytes) / f64::from(1 << 20)),
            (Metric::Errors, load.errors as f64),
        ]))
    }

    fn report<T: DeserializeOwned>(&self, name: &str, command: &Command, seconds: u64) -> anyhow::Result<T> {
        let process = Process::start(name, command, &self.layout.load, &self.dir.0)?;
        let output = process.finish(Duration::from_secs(seconds + 15))?;
        let json = output.lines().rfind(|line| line.starts_with('{'));
        serde_json::from_str(json.with_context(|| format!("{name} reported nothing"))?)
            .context(name.to_owned())
    }
}

/// What wrk reports, by way of `done.lua`.
#[derive(Debug, Deserialize)]
pub struct Wrk {
    /// Requests answered.
    pub requests: u64,
    duration_us: u64,
    bytes: u64,
    /// Of the sockets, of time and of status.
    pub errors: u64,
}

impl Wrk {
    /// `count` by the second.
    pub fn per_second(&self, count: u64) -> f64 {
        count as f64 * 1e6 / self.duration_us as f64
    }
}

/// A directory of its own that goes with its owner.
struct Directory(PathBuf);

impl Directory {
    fn create() -> anyhow::Result<Self> {
        let places = std::env::temp_dir();
        // Logs are large: what a run that was killed has left goes with the next one.
        for entry in fs::read_dir(&places)?.flatten() {
            let owner =
                entry.file_name().to_str().and_then(|n| n.strip_prefix(DIRECTORY)?.parse::<u32>().ok());
            if owner.is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let path = places.join(format!("{DIRECTORY}{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Builds `package` for release; its program.
fn build(root: &Path, package: &str) -> anyhow::Result<PathBuf> {
    eprintln!("building {package}");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(&cargo);
    build.current_dir(root).args(["build", "--quiet", "--release", "--package", package]);
    ensure!(build.status()?.success(), "{package} does not compile");
    Ok(target_directory(root)?.join("release").join(package))
}

/// Where cargo puts what it builds.
///
/// # Errors
/// The workspace's manifests are broken.
pub fn target_directory(root: &Path) -> anyhow::Result<PathBuf> {
    #[derive(Deserialize)]
    struct Metadata {
        target_directory: PathBuf,
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    let output =
        command.current_dir(root).args(["metadata", "--no-deps", "--format-version", "1"]).output()?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice::<Metadata>(&output.stdout)?.target_directory)
}
