//! What every scenario runs on: the programs, the origin servers, a directory, and which program runs on which core.

use std::ffi::OsString;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::certificate::Certificate;
use super::connection::Wire;
use super::feature::{self, Feature};
use super::generator::{self, Generators, Load, Report};
use super::install;
use super::machine;
use super::process::{Layout, Process};
use super::procfs::CpuTime;
use super::proxy::{Attacked, Proxy, Running, Setting, free_address};
use super::results::{Metric, Sample, Scenario};

/// The profile that evenkeel is built with: that of the packages, with the slowest optimisations.
pub const PROFILE: &str = "dist";
/// Origin servers behind each proxy.
const ORIGINS: usize = 3;
/// Followed by the id of the process that it belongs to.
const DIRECTORY: &str = "evenkeel-bench-";

/// The programs that take part.
pub struct Programs {
    /// The proxies, in the order of the command line.
    pub proxies: Vec<(Proxy, PathBuf)>,
    /// What makes the load.
    pub generators: Generators,
    /// Makes the certificate. Its version is also that of the library which the peers use.
    pub openssl: PathBuf,
}

impl Programs {
    /// Finds, installs or builds what `proxies` need; `xtask` serves the origins and makes some of the load.
    ///
    /// # Errors
    /// A package cannot be installed or evenkeel does not compile.
    pub fn prepare(root: &Path, proxies: &[Proxy], xtask: PathBuf) -> anyhow::Result<Self> {
        let peers = proxies.iter().filter(|p| **p != Proxy::Evenkeel).flat_map(|p| p.needs());
        install::missing(&peers.copied().chain(["wrk", "h2load", "openssl"]).collect::<Vec<_>>())?;
        let found = |name: &str| install::find(name).with_context(|| format!("{name} is not installed"));
        let program = |proxy: Proxy| match proxy {
            // Built apart from xtask: together, cargo would give each the other's features.
            Proxy::Evenkeel => build(root, "evenkeel", PROFILE),
            peer => found(peer.program()),
        };
        let proxies =
            proxies.iter().map(|proxy| Ok((*proxy, program(*proxy)?))).collect::<anyhow::Result<_>>()?;
        let generators = Generators { wrk: found("wrk")?, h2load: found("h2load")?, xtask };
        Ok(Self { proxies, generators, openssl: found("openssl")? })
    }

    /// The files of all whose version matters.
    pub fn files(&self) -> Vec<&Path> {
        let Generators { wrk, h2load, .. } = &self.generators;
        let proxies = self.proxies.iter().map(|(_, path)| path);
        proxies.chain([&self.openssl, wrk, h2load]).map(PathBuf::as_path).collect()
    }
}

/// Three origin servers that run, and all that it takes to set a proxy before them.
pub struct Rig<'a> {
    programs: &'a Programs,
    /// The origin servers.
    pub origins: Vec<SocketAddr>,
    open_files: u64,
    certificate: Certificate,
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
        generator::prepare(&dir.0)?;
        let certificate = Certificate::create(&programs.openssl, &dir.0)?;
        let origins = (0..ORIGINS).map(|_| free_address()).collect::<anyhow::Result<Vec<_>>>()?;
        // One process serves them all at the least cost; more of them only where there are cores for it.
        let shares: Vec<&[SocketAddr]> = origins.chunks(ORIGINS.div_ceil(load_threads)).collect();
        let mut servers = Vec::new();
        for (number, share) in shares.into_iter().enumerate() {
            let mut command = Command::new(&programs.generators.xtask);
            command.arg("origin");
            for origin in share {
                command.args(["--port", &origin.port().to_string()]);
            }
            let mut server = Process::start(&format!("origin-{number}"), &command, &layout.load, &dir.0)?;
            server.wait_until(|| share.iter().all(|o| TcpStream::connect(o).is_ok()))?;
            servers.push(server);
        }
        Ok(Self { programs, origins, open_files, certificate, layout, load_threads, _servers: servers, dir })
    }

    /// True when proxy and load do not share a core.
    pub fn pinned(&self) -> bool {
        self.layout.pinned()
    }

    /// Client connections that a proxy is configured to take: each needs two descriptors, and some are its own.
    pub fn connections_max(&self) -> u64 {
        (self.open_files.saturating_sub(500) / 2).min(8192)
    }

    /// The proxies that take part in `scenario`.
    pub fn proxies(&self, scenario: Scenario) -> Vec<Proxy> {
        let all = self.programs.proxies.iter().map(|(proxy, _)| *proxy);
        all.filter(|proxy| scenario.compares(*proxy)).collect()
    }

    /// Starts `proxy` with `workers` before the origin servers, for clients that speak `wire`.
    ///
    /// # Errors
    /// It takes no part, or does not start.
    pub fn run(&self, proxy: Proxy, wire: Wire, workers: usize) -> anyhow::Result<Running> {
        self.run_with(proxy, wire, workers, feature::NONE)
    }

    /// The same, with a feature switched on if the proxy is evenkeel.
    ///
    /// # Errors
    /// It takes no part, or does not start.
    pub fn run_with(
        &self,
        proxy: Proxy,
        wire: Wire,
        workers: usize,
        feature: Feature,
    ) -> anyhow::Result<Running> {
        self.run_under(&[], proxy, wire, workers, feature)
    }

    /// The same, run by the command `runner`, such as valgrind; alone when that is empty.
    ///
    /// # Errors
    /// It takes no part, or does not start.
    pub fn run_under(
        &self,
        runner: &[OsString],
        proxy: Proxy,
        wire: Wire,
        workers: usize,
        feature: Feature,
    ) -> anyhow::Result<Running> {
        let program = self.programs.proxies.iter().find(|(p, _)| *p == proxy);
        let (_, program) = program.with_context(|| format!("{} takes no part", proxy.name()))?;
        let setting = Setting {
            address: free_address()?,
            wire,
            certificate: &self.certificate,
            admin: free_address()?,
            workers,
            feature,
            attacked: Attacked::default(),
            origins: &self.origins,
            connections_max: self.connections_max(),
            dir: &self.dir.0,
            runner,
        };
        Running::start(proxy, program, &setting, &self.layout.proxy)
    }

    /// Where logs and the like are written; it goes with the rig.
    pub fn dir(&self) -> &Path {
        &self.dir.0
    }

    /// What makes the load.
    pub fn generators(&self) -> &Generators {
        &self.programs.generators
    }

    /// Loads `proxy` as fast as it answers.
    ///
    /// # Errors
    /// The load generator fails, does not end or did not speak as it should.
    pub fn load(&self, proxy: &Running, load: Load, seconds: u64) -> anyhow::Result<Report> {
        let to = (proxy.address, proxy.wire);
        let generators = &self.programs.generators;
        let command = load.command(generators, &self.dir.0, to, self.load_threads, seconds);
        load.report(&self.output(load.name(), &command, seconds)?, proxy.wire)
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
        let mut command = Command::new(&self.programs.generators.xtask);
        command.args(["load", "--address", &address.to_string(), "--rate", &rate.to_string()]);
        command.args(["--seconds", &seconds.to_string()]);
        serde_json::from_str(&self.output("load", &command, seconds)?).context("load")
    }

    /// One round of `load` and what it cost the proxy.
    ///
    /// # Errors
    /// The load generator fails, one in a hundred requests was not answered, or the proxy died.
    pub fn round(&self, proxy: &Running, load: Load, seconds: u64) -> anyhow::Result<Sample> {
        let before = CpuTime::of_tree(proxy.process.id())?;
        let load = self.load(proxy, load, seconds)?;
        let used = CpuTime::of_tree(proxy.process.id())? - before;
        proxy.empty_log()?;
        // An error costs next to nothing, so a proxy full of them would look fast.
        let name = proxy.proxy.name();
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

    /// What the load generator `command` prints, which takes some `seconds`.
    ///
    /// # Errors
    /// It fails, or has not ended 15 s after them.
    pub fn output(&self, name: &str, command: &Command, seconds: u64) -> anyhow::Result<String> {
        let process = Process::start(name, command, &self.layout.load, &self.dir.0)?;
        process.finish(Duration::from_secs(seconds + 15))
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

/// Builds `package` with `profile`; its program.
///
/// # Errors
/// It does not compile.
pub fn build(root: &Path, package: &str, profile: &str) -> anyhow::Result<PathBuf> {
    eprintln!("building {package} with the profile {profile}");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(&cargo);
    build.current_dir(root).args(["build", "--quiet", "--profile", profile, "--package", package]);
    ensure!(build.status()?.success(), "{package} does not compile");
    Ok(target_directory(root)?.join(profile).join(package))
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
