//! The only place where the parts meet: a configuration becomes workers, a control thread and an admin API.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use evenkeel_admin::{By, Request, Upgrade};
use evenkeel_config::{AccessLog as AccessLogTo, Config, Log};
use evenkeel_core::snapshot::{Command, CommandDone, CommandError, Snapshot};
use evenkeel_observe::{AccessLog, Registry};
use evenkeel_otlp::Exporter;
use evenkeel_proxy::{Shared, Start, Successor, WorkerHandle};
use evenkeel_types::{Address, Clock, ListenerName};
use tokio::runtime::LocalRuntime;
use tokio::sync::{mpsc, oneshot};

use crate::admin;
use crate::background;
use crate::cache;
use crate::confirm::Confirmation;
use crate::control::{Control, Inputs};
use crate::credentials;
use crate::inherit::Inheritance;
use crate::overload;
use crate::reload::{Bound, bind_first};
use crate::servers::{Derived, ServerRegistry};
use crate::serving::{Serving, serve_all};
use crate::start_error::StartError;
use crate::traces;
use crate::upgrade::Upgrader;
use crate::upgrade::successor::Predecessor;
use crate::watch::{self, Loaded};

/// Failures of live traffic that wait to be judged; beyond, there is evidence enough.
const EVENTS_MAX: usize = 1024;
/// Commands that wait for the control thread.
const COMMANDS_MAX: usize = 64;
/// Upgrades that are asked for and have not been refused or begun yet.
const UPGRADES_MAX: usize = 4;
/// How long a process that has a successor waits for its admin API to give its last answers.
const ADMIN_END_MAX: Duration = Duration::from_secs(6);

/// A running balancer.
pub struct System {
    shared: Arc<Shared>,
    registry: Arc<Registry>,
    listening: Arc<ArcSwap<Vec<(ListenerName, Address)>>>,
    leaving: Arc<AtomicBool>,
    admin: Option<Address>,
    commands: mpsc::Sender<Request>,
    workers: Vec<WorkerHandle>,
    control: JoinHandle<()>,
    stop: oneshot::Sender<()>,
    /// The admin API ends when this is dropped.
    admin_api: Serving,
    upgrader: Upgrader,
    upgrades: mpsc::Receiver<Upgrade>,
    log: AccessLog,
    exporter: Arc<Exporter>,
}

/// What a process starts with beside its configuration.
#[derive(Debug, Default)]
pub struct Origin {
    /// The process in whose place it comes.
    pub predecessor: Option<Predecessor>,
    /// Listening sockets that are bound already.
    pub inherited: Inheritance,
    /// The content of the configuration file, noted before it was read.
    pub loaded: Arc<Loaded>,
}

impl System {
    /// Starts a balancer. `source` is the file that a reload reads again.
    ///
    /// # Errors
    /// Something that the configuration names cannot be had; nothing keeps running then.
    pub fn start(config: Config, source: Option<PathBuf>, origin: Origin) -> Result<Self, StartError> {
        let Origin { predecessor, mut inherited, loaded } = origin;
        let workers = config.server.workers.unwrap_or_else(default_workers);
        let clock = Clock::start();
        let registry = Registry::new(workers);
        registry.recorder.set_memory(config.recorder.memory);
        let credentials = credentials::load(&config, None)?;
        credentials::register(&registry, &credentials);
        let ((bound, sockets), positions) = bind_first(&config, workers, &mut inherited)?;
        // Afterwards: an admin address by default gives way to a listener.
        let mut admin = admin::bind(&config, &mut inherited)?;
        inherited.refuse_left()?;
        admin.open_control_socket(&config)?;
        let mut servers = ServerRegistry::new(Derived::of(config, None)?, Arc::clone(&registry), clock.now());
        let log = start_log(&servers.config().log, &registry)?;
        if let Some(predecessor) = &predecessor {
            predecessor.carry_on(&mut servers, clock.now());
            predecessor.ready(positions)?;
        }
        let store = cache::open(&servers.config().cache)?;
        let (events_sender, events) = mpsc::channel(EVENTS_MAX);
        let (first, metrics) = (servers.snapshot(), Arc::clone(&registry));
        let (shared, starts) = Shared::new(workers, first, credentials, metrics, clock, events_sender, store);
        let exporter = traces::start(servers.config(), &registry)?;
        let handles = spawn_workers(starts, &shared, &log, &exporter)?;
        cache::show_figures(&shared);
        background::give_back_memory();
        let listening = Arc::new(ArcSwap::from_pointee(named(&bound)));
        let leaving = Arc::new(AtomicBool::new(false));
        let (commands, requests) = mpsc::channel(COMMANDS_MAX);
        let (asks, asked) = mpsc::channel(1);
        let (upgrades, wanted) = mpsc::channel(UPGRADES_MAX);
        let control = Control {
            servers,
            shared: Arc::clone(&shared),
            registry: Arc::clone(&registry),
            source,
            bound: bound.clone(),
            listening: Arc::clone(&listening),
            workers,
            loaded,
            exporter: Arc::clone(&exporter),
            confirmation: Confirmation::default(),
            upgrading: false,
        };
        let context = admin.context(&control, Arc::clone(&leaving), commands.clone(), upgrades);
        let inputs = Inputs { events, commands: requests, upgrades: asked, own: commands.clone() };
        let (stop, stopped) = oneshot::channel();
        let control = spawn("control", move || run_control(control, inputs, stopped))?;
        registry.config_generation.set(1);
        let upgrader = Upgrader { shared: Arc::clone(&shared), control: asks, admin: admin.spare() };
        let admin_address = admin.address();
        let admin_api = serve_all(predecessor, (admin, context), &shared, bound, sockets, workers)?;
        tracing::info!(workers, "ready");
        Ok(Self {
            shared,
            registry,
            listening,
            leaving,
            admin: admin_address,
            commands,
            workers: handles,
            control,
            stop,
            admin_api,
            upgrader,
            upgrades: wanted,
            log,
            exporter,
        })
    }

    /// What is in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot()
    }

    /// Carries out a command. What it returns does not borrow from the system, so that a slow command need not be
    /// waited for.
    ///
    /// # Errors
    /// It was refused, and nothing has changed.
    pub fn command(
        &self,
        command: Command,
        by: By,
    ) -> impl Future<Output = Result<CommandDone, CommandError>> + use<> {
        let commands = self.commands.clone();
        async move {
            let gone = || CommandError::Refused("the control thread is gone".into());
            let (answer, done) = oneshot::channel();
            commands.send(Request { command, by, if_match: None, answer }).await.map_err(|_| gone())?;
            done.await.map_err(|_| gone())?
        }
    }

    /// Opens the access log's file anew, after it was moved away.
    pub fn reopen_log(&self) {
        self.log.reopen();
    }

    /// What upgrades work with.
    pub fn upgrader(&self) -> Upgrader {
        self.upgrader.clone()
    }

    /// The next upgrade that is asked for. Never, without an admin API.
    pub async fn upgrade_wanted(&mut self) -> Upgrade {
        match self.upgrades.recv().await {
            Some(wanted) => wanted,
            None => std::future::pending().await,
        }
    }

    /// Takes no upgrades: where the process is more than a balancer.
    #[cfg(feature = "demo")]
    pub fn refuse_upgrades(&mut self) {
        self.upgrades.close();
    }

    /// Says that the process is leaving: from now on it is not ready, accepts nothing, and closes what is idle. A successor serves what
    /// it has taken over.
    pub fn begin_leaving(&self, grace: Duration, successor: Option<&Successor>) {
        self.leaving.store(true, Ordering::Relaxed);
        self.shared.leave(grace, successor);
    }

    /// Leaves: what is in flight has `grace` to finish. Blocks until all is done.
    pub fn leave(self, grace: Duration, successor: Option<&Successor>) {
        self.begin_leaving(grace, successor);
        let Serving { stop_admin, admin_thread, control_socket } = self.admin_api;
        let mut stop_admin = Some(stop_admin);
        if successor.is_some() {
            // The successor answers what is asked from now on.
            drop(stop_admin.take());
        }
        self.workers.into_iter().for_each(WorkerHandle::join);
        // A control thread that panicked has said so, and is not there to be stopped.
        let _ = self.stop.send(());
        let _ = self.control.join();
        cache::settle(&self.shared);
        // Its thread is not waited for: a client that reads its answer slowly does not hold up the end. But what has asked for an
        // upgrade gets its answer.
        drop((control_socket, stop_admin));
        if successor.is_some() {
            wait_for(admin_thread.as_ref());
        }
        self.log.finish();
        self.exporter.finish();
    }
}

/// What is inside, for those that show it while it runs.
#[cfg_attr(not(feature = "demo"), expect(dead_code, reason = "the demo alone looks inside"))]
impl System {
    /// The addresses that are listened on.
    pub fn listening(&self) -> Vec<(ListenerName, Address)> {
        self.listening.load().to_vec()
    }

    /// The admin address.
    pub fn admin(&self) -> Option<Address> {
        self.admin.clone()
    }

    /// Metrics.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The configuration in force and the states of the servers, now and later.
    pub fn snapshots(&self) -> &Arc<ArcSwap<Snapshot>> {
        self.shared.snapshots()
    }
}

/// Addresses with their listeners.
fn named(bound: &[Bound]) -> Vec<(ListenerName, Address)> {
    bound.iter().map(|bound| (bound.listener.clone(), bound.bound.clone())).collect()
}

/// One thread per core that this process may use.
fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn spawn_workers(
    starts: Vec<Start>,
    shared: &Arc<Shared>,
    log: &AccessLog,
    exporter: &Exporter,
) -> Result<Vec<WorkerHandle>, String> {
    let spawn = |start| evenkeel_proxy::spawn(start, Arc::clone(shared), log.worker(), exporter.worker());
    let handles = starts.into_iter().map(spawn).collect::<Result<_, _>>();
    handles.map_err(|error| format!("cannot start a worker: {error}"))
}

fn start_log(log: &Log, registry: &Arc<Registry>) -> Result<AccessLog, String> {
    AccessLog::start(log, Arc::clone(registry)).map_err(|error| match &log.access {
        AccessLogTo::File(path) => {
            format!("cannot write the access log {}: {error}; see `access` in `[log]`", path.display())
        }
        _ => format!("cannot write the access log: {error}"),
    })
}

/// Waits for a thread that ends by itself, but not for ever.
fn wait_for(thread: Option<&JoinHandle<()>>) {
    let end = Instant::now() + ADMIN_END_MAX;
    while thread.is_some_and(|thread| !thread.is_finished()) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, String> {
    let thread = std::thread::Builder::new().name(name.into());
    thread.spawn(run).map_err(|error| format!("cannot start the thread `{name}`: {error}"))
}

/// A runtime for one thread; `None`, with a message in the log, where the system cannot give one. Calls that block have threads of their
/// own, each of which begins with `begin`.
pub(crate) fn runtime(thread: &str, begin: fn()) -> Option<LocalRuntime> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_name(format!("{thread}-read"))
        .on_thread_start(begin)
        .build_local(tokio::runtime::LocalOptions::default());
    runtime
        .inspect_err(|error| tracing::error!(%error, "the runtime of the thread `{thread}` cannot start"))
        .ok()
}

fn run_control(control: Control, inputs: Inputs, stop: oneshot::Receiver<()>) {
    // Workers that wake up do not wait until a reload of many pools is in force.
    evenkeel_net::let_others_go_first();
    let Some(runtime) = runtime("control", || {}) else { return };
    runtime.block_on(async {
        tokio::task::spawn_local(credentials::follow(Arc::clone(&control.shared)));
        tokio::task::spawn_local(overload::watch(Arc::clone(&control.shared)));
        tokio::task::spawn_local(cache::sweep(Arc::clone(&control.shared)));
        if let Some(file) = control.source.clone() {
            let (shared, loaded) = (Arc::clone(&control.shared), Arc::clone(&control.loaded));
            tokio::task::spawn_local(watch::follow(shared, file, loaded, inputs.own.clone()));
        }
        control.run(inputs, stop).await;
    });
    // A file or a name server that does not answer does not hold up the end of the process.
    runtime.shutdown_background();
}
