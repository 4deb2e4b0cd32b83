//! The only place where the parts meet: a configuration becomes workers, a control thread and an admin API.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use evenkeel_admin::Request;
use evenkeel_config::{AccessLog as AccessLogTo, Config, Log};
use evenkeel_core::snapshot::{Command, CommandDone, CommandError, Snapshot};
use evenkeel_net::BindError;
use evenkeel_observe::{AccessLog, Registry};
use evenkeel_proxy::{Shared, WorkerHandle};
use evenkeel_types::{Address, Clock, ListenerName};
use tokio::runtime::LocalRuntime;
use tokio::sync::{mpsc, oneshot};

use crate::admin;
use crate::cache;
use crate::confirm::Confirmation;
use crate::control::Control;
use crate::control_socket::ControlSocket;
use crate::credentials;
use crate::overload;
use crate::reload::bind_added;
use crate::servers::{Derived, ServerRegistry};

/// Failures of live traffic that wait to be judged; beyond, there is evidence enough.
const EVENTS_MAX: usize = 1024;
/// Commands that wait for the control thread.
const COMMANDS_MAX: usize = 64;

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
    stop_admin: oneshot::Sender<()>,
    /// The file of the control socket goes with this.
    control_socket: Option<ControlSocket>,
    log: AccessLog,
}

/// Why a balancer cannot start.
#[derive(Debug)]
pub enum StartError {
    /// An address cannot be listened on.
    Bind(BindError),
    /// Something else that the configuration names is not there.
    Other(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(error) => error.fmt(f),
            Self::Other(error) => f.write_str(error),
        }
    }
}

impl From<BindError> for StartError {
    fn from(error: BindError) -> Self {
        Self::Bind(error)
    }
}

impl From<String> for StartError {
    fn from(error: String) -> Self {
        Self::Other(error)
    }
}

impl System {
    /// Starts a balancer. `source` is the file that a reload reads again.
    ///
    /// # Errors
    /// Something that the configuration names cannot be had; nothing keeps running then.
    pub fn start(config: Config, source: Option<PathBuf>) -> Result<Self, StartError> {
        let workers = config.server.workers.unwrap_or_else(default_workers);
        let clock = Clock::start();
        let registry = Registry::new(workers);
        let log_config = config.log.clone();
        registry.recorder.set_memory(config.recorder.memory);
        let credentials = credentials::load(&config, None)?;
        credentials::register(&registry, &credentials);
        let (bound, sockets) = bind_added(&config, &[], workers)?;
        // Afterwards: an admin address by default gives way to a listener.
        let admin = admin::bind(&config)?;
        let mut servers = ServerRegistry::new(Derived::of(config, None)?, Arc::clone(&registry), clock.now());
        let log = start_log(&log_config, &registry)?;
        let store = cache::open(&servers.config().cache)?;
        let (events_sender, events) = mpsc::channel(EVENTS_MAX);
        let (snapshot, metrics) = (servers.snapshot(), Arc::clone(&registry));
        let (shared, starts) =
            Shared::new(workers, snapshot, credentials, metrics, clock, events_sender, store);
        let handles =
            starts.into_iter().map(|start| evenkeel_proxy::spawn(start, Arc::clone(&shared), log.worker()));
        let handles =
            handles.collect::<Result<Vec<_>, _>>().map_err(|e| format!("cannot start a worker: {e}"))?;
        cache::show_figures(&shared);
        for (bound, sockets) in bound.iter().zip(sockets) {
            tracing::info!(listener = %bound.listener, "listening on {bound}");
            shared.listen(&bound.listener, (bound.transport, &bound.bound), sockets);
        }
        let listening = bound.iter().map(|b| (b.listener.clone(), b.bound.clone())).collect::<Vec<_>>();
        let listening = Arc::new(ArcSwap::from_pointee(listening));
        let leaving = Arc::new(AtomicBool::new(false));
        let (commands, requests) = mpsc::channel(COMMANDS_MAX);
        let control = Control {
            servers,
            shared: Arc::clone(&shared),
            registry: Arc::clone(&registry),
            source,
            bound,
            listening: Arc::clone(&listening),
            workers,
            confirmation: Confirmation::default(),
        };
        let admin_address = admin.address();
        let (stop_admin, admin_stopped) = oneshot::channel();
        let control_socket = admin.start(&control, Arc::clone(&leaving), commands.clone(), admin_stopped)?;
        let (stop, stopped) = oneshot::channel();
        let control = spawn("control", move || run_control(control, events, requests, stopped))?;
        registry.config_generation.set(1);
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
            stop_admin,
            control_socket,
            log,
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
    ) -> impl Future<Output = Result<CommandDone, CommandError>> + use<> {
        let commands = self.commands.clone();
        async move {
            let gone = || CommandError::Refused("the control thread is gone".into());
            let (answer, done) = oneshot::channel();
            commands.send(Request { command, answer }).await.map_err(|_| gone())?;
            done.await.map_err(|_| gone())?
        }
    }

    /// Opens the access log's file anew, after it was moved away.
    pub fn reopen_log(&self) {
        self.log.reopen();
    }

    /// Says that the process is leaving: from now on it is not ready, accepts nothing, and closes what is idle.
    pub fn begin_leaving(&self, grace: Duration) {
        self.leaving.store(true, Ordering::Relaxed);
        self.shared.leave(grace);
    }

    /// Leaves: what is in flight has `grace` to finish. Blocks until all is done.
    pub fn leave(self, grace: Duration) {
        self.begin_leaving(grace);
        self.workers.into_iter().for_each(WorkerHandle::join);
        // A control thread that panicked has said so, and is not there to be stopped.
        let _ = self.stop.send(());
        let _ = self.control.join();
        cache::settle(&self.shared);
        // Its thread is not waited for: a client that reads its answer slowly does not hold up the end.
        drop((self.control_socket, self.stop_admin));
        self.log.finish();
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

/// One thread per core that this process may use.
fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn start_log(log: &Log, registry: &Arc<Registry>) -> Result<AccessLog, String> {
    AccessLog::start(log, Arc::clone(registry)).map_err(|error| match &log.access {
        AccessLogTo::File(path) => {
            format!("cannot write the access log {}: {error}; see `access` in `[log]`", path.display())
        }
        AccessLogTo::Stdout | AccessLogTo::Off => format!("cannot write the access log: {error}"),
    })
}

pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, String> {
    let thread = std::thread::Builder::new().name(name.into());
    thread.spawn(run).map_err(|error| format!("cannot start the thread `{name}`: {error}"))
}

/// A runtime for one thread; `None`, with a message in the log, where the system cannot give one.
pub(crate) fn runtime(thread: &str) -> Option<LocalRuntime> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default());
    runtime
        .inspect_err(|error| tracing::error!(%error, "the runtime of the thread `{thread}` cannot start"))
        .ok()
}

fn run_control(
    control: Control,
    events: mpsc::Receiver<evenkeel_proxy::Event>,
    commands: mpsc::Receiver<Request>,
    stop: oneshot::Receiver<()>,
) {
    let Some(runtime) = runtime("control") else { return };
    runtime.block_on(async {
        tokio::task::spawn_local(credentials::follow(Arc::clone(&control.shared)));
        tokio::task::spawn_local(overload::watch(Arc::clone(&control.shared)));
        tokio::task::spawn_local(cache::sweep(Arc::clone(&control.shared)));
        control.run(events, commands, stop).await;
    });
    // A file or a name server that does not answer does not hold up the end of the process.
    runtime.shutdown_background();
}
