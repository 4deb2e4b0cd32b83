//! Everything on the real engines: servers and workers as processes of their own, Evenkeel before them, the cluster behind.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;

use super::UpSettings;
use super::balancer::{self, Addresses};
use super::begin::{Begun, Front, begin};
use super::running::Running;
use super::seed::{self, Seeded};
use super::servers::LEAVING;
use super::state::State;
use super::version;
use crate::cluster::{Cluster, ClusterSettings, Endpoints};
use crate::ports::position::Positions;
use crate::process::{Process, Program};
use crate::settings::Settings;
use crate::telemetry::Telemetry;

/// The name of the Evenkeel before the servers.
pub const BALANCER: &str = "evenkeel";
/// How long a server or worker may take to answer.
const READY_BOUND: Duration = Duration::from_secs(60);
/// How long servers, workers and the balancer may take to end: what is open ends first.
const STOP_BOUND: Duration = Duration::from_secs(30);
/// What a system on real engines has beside that on embedded ones.
#[derive(Debug, Clone)]
pub struct RealSettings {
    /// What both have.
    pub up: UpSettings,
    /// Processes of workers.
    pub workers: usize,
    /// The user that engines run as if root starts them.
    pub user: Option<String>,
    /// Where Alertmanager sends alerts.
    pub webhook: Option<String>,
    /// Where photos are; `blobs` in the state directory if left out.
    pub blobs: Option<PathBuf>,
    /// Where backups and the archive are; `backup` in the state directory if left out.
    pub backup: Option<PathBuf>,
    /// The archive is at most this far behind, in whole seconds.
    pub archive_every: Duration,
}

/// A running system.
#[derive(Debug)]
pub struct RealSystem {
    /// Where everything is.
    pub running: Running,
    /// What was made for a new system.
    pub seeded: Option<Seeded>,
    state: State,
    cluster: Cluster,
    workers: Vec<String>,
    telemetry: Telemetry,
}

impl RealSystem {
    /// Starts everything, and returns when a request through Evenkeel is answered.
    ///
    /// # Errors
    /// Anything cannot be started. What was started before ends then.
    pub async fn start(settings: &RealSettings) -> anyhow::Result<Self> {
        // The traces of servers and workers are their own.
        let Begun { state, telemetry, evenkeel } = begin(&settings.up, None).await?;
        let minigram = std::env::current_exe().context("the path of this program is not known")?;
        let engines = ClusterSettings {
            user: settings.user.clone(),
            webhook: settings.webhook.clone(),
            backup: settings.backup.clone(),
            archive_every: settings.archive_every,
            ..ClusterSettings::new(state.directory(), &evenkeel, &minigram)
        };
        let cluster = Cluster::start(&engines).await?;
        let front = Front::choose(&state, &settings.up)?;
        let admin = front.admin;
        let otlp = settings.up.otlp.as_deref();
        let blobs = blobs_directory(settings.blobs.as_deref())?;
        let version = version::set(state.directory(), &minigram)?;
        let parts = Parts { state: &state, cluster: &cluster, minigram: &version, admin, blobs, otlp };
        let file = parts.write_settings("minigram.toml", None)?;
        let seeded = seed_if_new(&file, &settings.up).await?;
        let servers = parts.servers(&file, settings.up.servers).await?;
        let workers = parts.workers(settings.workers).await?;
        crate::web::write(&state.path("web")).context("the pages cannot be written")?;
        let addresses = Addresses { listener: front.address, admin, servers: &servers, otlp };
        let balancer = parts.balancer(&evenkeel, &addresses).await?;
        write_targets(cluster.endpoints(), admin, &servers, &workers)?;
        let running = front.running(&balancer, servers);
        running.write(state.directory())?;
        let workers = workers.into_iter().map(|(name, _)| name).collect();
        Ok(Self { running, seeded, state, cluster, workers, telemetry })
    }

    /// Where the engines are.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        self.cluster.endpoints()
    }

    /// The state directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.state.directory()
    }

    /// Ends everything in order: servers, workers, Evenkeel, engines.
    pub async fn leave(self) {
        let servers: Vec<String> = self.running.servers.iter().map(|server| server.name.clone()).collect();
        self.cluster.stop_programs(&servers, STOP_BOUND).await;
        self.cluster.stop_programs(&self.workers, STOP_BOUND).await;
        self.cluster.stop_programs(&[BALANCER.to_owned()], STOP_BOUND).await;
        self.cluster.stop().await;
        Running::remove(self.state.directory());
        self.telemetry.end().await;
    }
}

/// What starts servers, workers and the balancer.
struct Parts<'a> {
    state: &'a State,
    cluster: &'a Cluster,
    /// The program of servers and workers.
    minigram: &'a Path,
    admin: SocketAddr,
    blobs: PathBuf,
    otlp: Option<&'a str>,
}

impl Parts<'_> {
    /// Each server is a process.
    async fn servers(&self, settings: &Path, count: usize) -> anyhow::Result<Vec<(String, SocketAddr)>> {
        let mut servers = Vec::new();
        for number in 1..=count {
            let name = format!("app-{number}");
            let address = self.address(&name)?;
            let program = self.program(&name, "server", settings).args(["--bind", &address.to_string()]);
            self.start(program, address, "/readyz").await?;
            servers.push((name, address));
        }
        Ok(servers)
    }

    /// Each process of workers has its own settings, because each has its own address for its metrics.
    async fn workers(&self, count: usize) -> anyhow::Result<Vec<(String, SocketAddr)>> {
        let mut workers = Vec::new();
        for number in 1..=count {
            let name = format!("worker-{number}");
            let address = self.address(&name)?;
            let settings = self.write_settings(&format!("{name}.toml"), Some(address))?;
            self.start(self.program(&name, "worker", &settings), address, "/healthz").await?;
            workers.push((name, address));
        }
        Ok(workers)
    }

    async fn balancer(&self, evenkeel: &Path, addresses: &Addresses<'_>) -> anyhow::Result<Arc<Process>> {
        let file = self.state.path("evenkeel.toml");
        std::fs::write(&file, balancer::configuration(addresses)?)
            .with_context(|| format!("{} cannot be written", file.display()))?;
        let log = self.state.path("logs/evenkeel.log");
        let program = Program::new(BALANCER, evenkeel, log).args(["run", "-c"]).arg(file);
        let process = self.cluster.start_program(program)?;
        balancer::ready(&process, addresses.listener).await?;
        Ok(process)
    }

    fn address(&self, name: &str) -> anyhow::Result<SocketAddr> {
        Ok((Ipv4Addr::LOCALHOST, self.cluster.port(name)?).into())
    }

    fn program(&self, name: &str, command: &str, settings: &Path) -> Program {
        let log = self.state.path(&format!("logs/{name}.log"));
        let program = Program::new(name, self.minigram, log).args([command, "--name", name, "--config"]);
        program.arg(settings)
    }

    async fn start(&self, program: Program, address: SocketAddr, path: &str) -> anyhow::Result<()> {
        let process = self.cluster.start_program(program)?;
        let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).no_proxy().build()?;
        let url = format!("http://{address}{path}");
        let answers =
            || async { client.get(&url).send().await.is_ok_and(|response| response.status().is_success()) };
        process.wait_until("it is ready", READY_BOUND, answers).await
    }

    /// Writes the settings of servers, or of a worker that serves its metrics at `metrics`. Only this user may read them,
    /// because the URLs have passwords.
    fn write_settings(&self, name: &str, metrics: Option<SocketAddr>) -> anyhow::Result<PathBuf> {
        let endpoints = self.cluster.endpoints();
        let mut databases = Vec::new();
        for database in &endpoints.databases {
            let [write, read] = endpoints.database_urls(database)?;
            databases.push(json!({ "write": write, "read": read }));
        }
        let mut settings = json!({
            "engines": "real",
            "postgres": { "databases": databases },
            "redis": {
                "sessions": endpoints.redis_url(endpoints.sessions)?,
                "replicas": 1,
                "cache": endpoints.redis_url(endpoints.cache)?,
            },
            "nats": { "url": endpoints.queue_url(), "replicas": endpoints.nats.len() },
            "blobs": { "directory": self.blobs },
            "tokens": { "key_file": "token.key" },
            "app": { "not_ready": span(LEAVING.not_ready), "drain": span(LEAVING.drain) },
            "edge": [{ "admin": format!("http://{}", self.admin), "token_file": "admin.token" }],
        });
        if let Some(otlp) = self.otlp {
            settings["tracing"] = json!({ "otlp": otlp });
        }
        if let Some(metrics) = metrics {
            settings["worker"] = json!({ "listen": metrics });
        }
        let file = self.state.path(name);
        let text = toml::to_string_pretty(&settings).context("the settings of servers")?;
        let written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&file);
        written
            .and_then(|mut new| new.write_all(text.as_bytes()))
            .with_context(|| format!("{} cannot be written", file.display()))?;
        Ok(file)
    }
}

/// Where photos are, as settings have it: the folder that is asked for, which is made, or one beside the settings.
fn blobs_directory(asked: Option<&Path>) -> anyhow::Result<PathBuf> {
    let Some(asked) = asked else { return Ok(PathBuf::from("blobs")) };
    std::fs::create_dir_all(asked)
        .and_then(|()| asked.canonicalize())
        .with_context(|| format!("the folder {} for photos cannot be made", asked.display()))
}

/// A length of time as settings have it.
fn span(span: Duration) -> String {
    format!("{}ms", span.as_millis())
}

/// Makes sample data if the databases have none.
async fn seed_if_new(file: &Path, settings: &UpSettings) -> anyhow::Result<Option<Seeded>> {
    let engines = Settings::read(file)?.connect().await?;
    let first = seed::PEOPLE[0].name.parse()?;
    if engines.store.user_by_name(&first, &Positions::none()).await?.is_some() {
        return Ok(None);
    }
    let seeded = seed::seed_into(engines.store, engines.blobs, settings.photos, settings.crowd).await?;
    Ok(Some(seeded))
}

/// Has Prometheus read the metrics of servers, workers, and the Evenkeel before them.
fn write_targets(
    endpoints: &Endpoints,
    admin: SocketAddr,
    servers: &[(String, SocketAddr)],
    workers: &[(String, SocketAddr)],
) -> anyhow::Result<()> {
    let own = |(name, address): &(String, SocketAddr)| json!({ "targets": [address], "labels": { "job": "minigram", "service": name } });
    let mut targets: Vec<serde_json::Value> = servers.iter().chain(workers).map(own).collect();
    targets.push(json!({ "targets": [admin], "labels": { "job": "evenkeel" } }));
    let file = endpoints.targets.join("minigram.json");
    std::fs::write(&file, serde_json::to_vec_pretty(&targets)?)
        .with_context(|| format!("{} cannot be written", file.display()))
}
