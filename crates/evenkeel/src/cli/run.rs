//! `evenkeel run`: runs the balancer, from its start to its last connection.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use clap::Args;
use evenkeel_admin::By;
use evenkeel_config::{Admin, Config, Diagnostics, simple_admin};
use evenkeel_core::snapshot::Command;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::output::{COMMAND_LINE_WRONG, DONE, WRONG, complain, fail};
use super::source::CONFIG_DEFAULT;
use crate::credentials::load_config;
use crate::inherit::Inheritance;
use crate::log;
use crate::roots::wrong_with;
use crate::systemd;
use crate::upgrade::Succeeded;
use crate::upgrade::attempts::Upgrades;
use crate::upgrade::successor::Predecessor;
use crate::wire::{Origin, System};

#[derive(Debug, Args)]
pub struct Run {
    /// The configuration file; without --backend and --files, evenkeel.toml
    #[arg(short, long = "config", value_name = "FILE", conflicts_with_all = ["listen", "backend", "files"])]
    config: Option<PathBuf>,
    /// Where to listen: PORT, :PORT, HOST:PORT, [v6]:PORT or unix:/path; may be repeated
    #[arg(short, long, value_name = "ADDRESS", requires = "what", default_value = "8080")]
    listen: Vec<String>,
    /// A server to send requests to, in the same forms; may be repeated
    #[arg(short, long, value_name = "ADDRESS", group = "what")]
    backend: Vec<String>,
    /// A directory to serve
    #[arg(long, value_name = "DIR", group = "what", conflicts_with = "backend")]
    files: Option<PathBuf>,
    /// Where the admin API listens: PORT, HOST:PORT, [v6]:PORT, unix:/path or off [default: 127.0.0.1:9900, if no other process listens
    /// there]
    #[arg(long, value_name = "ADDRESS", requires = "what", conflicts_with = "config", value_parser = simple_admin)]
    admin: Option<Admin>,
}

pub fn run(args: Run) -> ExitCode {
    let origin = match log::start().and_then(|()| origin()) {
        Ok(origin) => origin,
        Err(error) => return fail(&error),
    };
    let predecessor = origin.predecessor.as_ref().map(Predecessor::reporter);
    match start(args, origin) {
        Ok(started) => {
            drop(predecessor);
            serve(started)
        }
        Err(fault) => {
            predecessor.iter().for_each(|predecessor| predecessor.fail(&fault.text()));
            match fault {
                Fault::Configuration(diagnostics) => {
                    complain(&diagnostics);
                    WRONG.into()
                }
                Fault::CommandLine(diagnostics) => {
                    complain(&diagnostics);
                    COMMAND_LINE_WRONG.into()
                }
                Fault::NothingToRun => {
                    fail(&fault.text());
                    COMMAND_LINE_WRONG.into()
                }
                Fault::Other(why) => fail(&why),
            }
        }
    }
}

/// Why the balancer cannot start.
enum Fault {
    /// The configuration is wrong.
    Configuration(Diagnostics),
    /// The command line, which is all the configuration that there is, is wrong.
    CommandLine(Diagnostics),
    /// The command line names nothing to run, and no file is in the usual place.
    NothingToRun,
    /// Anything else.
    Other(String),
}

impl Fault {
    fn text(&self) -> String {
        match self {
            Self::Configuration(diagnostics) | Self::CommandLine(diagnostics) => diagnostics.render(false),
            Self::NothingToRun => format!(
                "there is no {CONFIG_DEFAULT} here: name a file with `--config FILE`, servers with `--backend ADDRESS`, or a directory with `--files DIR`"
            ),
            Self::Other(why) => why.clone(),
        }
    }
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self::Other(why)
    }
}

/// The runtime of the main thread, the signals that it obeys, and the running balancer.
type Started = (tokio::runtime::Runtime, Signals, System);

fn serve((runtime, mut signals, mut system): Started) -> ExitCode {
    systemd::ready("serving");
    let succeeded = runtime.block_on(signals.obey(&mut system));
    leave(&runtime, signals, system, succeeded)
}

/// The old process whose place this one takes, or the sockets that systemd has bound for it.
fn origin() -> Result<Origin, String> {
    match Predecessor::find()? {
        Some((predecessor, inherited)) => {
            Ok(Origin { predecessor: Some(predecessor), inherited, ..Origin::default() })
        }
        None => Ok(Origin { inherited: Inheritance::from_systemd()?, ..Origin::default() }),
    }
}

/// # Errors
/// The balancer cannot start, for this reason.
fn start(mut args: Run, origin: Origin) -> Result<Started, Fault> {
    if args.config.is_none() && args.backend.is_empty() && args.files.is_none() {
        if !Path::new(CONFIG_DEFAULT).exists() {
            return Err(Fault::NothingToRun);
        }
        args.config = Some(CONFIG_DEFAULT.into());
    }
    if let Some(wrong) = args.files.as_deref().and_then(wrong_with) {
        return Err(Fault::Other(format!("--files: {wrong}")));
    }
    args.config.iter().for_each(|file| origin.loaded.note(file));
    let config = args.load()?;
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start the runtime of the main thread: {error}"))?;
    // Before the start, so that a signal during the start does not kill the process.
    let signals = runtime.block_on(async { Signals::install() });
    let signals = signals.map_err(|error| format!("cannot install signal handlers: {error}"))?;
    let system = System::start(config, args.config, origin).map_err(|error| error.to_string())?;
    Ok((runtime, signals, system))
}

impl Run {
    fn load(&self) -> Result<Config, Fault> {
        if let Some(path) = &self.config {
            let parsed = load_config(path).map_err(Fault::Configuration)?;
            complain(&parsed.warnings);
            return Ok(parsed.config);
        }
        let built = match &self.files {
            Some(root) => {
                // The working directory may be gone; then the path is used as it is.
                let root = std::path::absolute(root).unwrap_or_else(|_| root.clone());
                evenkeel_config::simple_files(&self.listen, root)
            }
            None => evenkeel_config::simple(&self.listen, &self.backend),
        };
        let mut config = built.map_err(Fault::CommandLine)?;
        if let Some(admin) = &self.admin {
            config.admin = admin.clone();
        }
        Ok(config)
    }
}

/// How long requests in flight may take when the process that had taken over has failed: until this one ends, clients are refused.
const FAILED_GRACE: Duration = Duration::from_secs(2);

/// Waits for requests in flight. A second signal ends the process at once. A process that was replaced ignores the first signal,
/// because a service manager sends it to all processes of the service. It ends soon if its successor fails, so that a service manager
/// starts Evenkeel again.
fn leave(
    runtime: &tokio::runtime::Runtime,
    mut signals: Signals,
    system: System,
    succeeded: Option<Succeeded>,
) -> ExitCode {
    let grace = system.snapshot().config.server.grace;
    if succeeded.is_none() {
        systemd::stopping();
    }
    tracing::info!(grace_s = grace.as_secs_f64(), "leaving: finishing requests in flight");
    let signals_more = if succeeded.is_some() { 2 } else { 1 };
    let (successor, failed) = succeeded.map(|it| (it.successor, (it.pid, it.failed))).unzip();
    let (done_sender, mut done) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        system.leave(grace, successor.as_ref());
        // The other end is gone only when a second signal has ended the process.
        let _ = done_sender.send(());
    });
    let ended = runtime.block_on(async {
        let hurried = async {
            for _ in 0..signals_more {
                signals.leave().await;
            }
        };
        tokio::select! {
            biased;
            () = failure(failed) => {
                let is_done = tokio::time::timeout(FAILED_GRACE, &mut done).await.is_ok();
                if is_done { Left::Failed } else { Left::Cut("because the process that had taken over has failed") }
            }
            _ = &mut done => Left::Done,
            () = hurried => Left::Cut("because of a second signal"),
        }
    });
    match ended {
        Left::Done => {
            tracing::info!("left");
            return DONE.into();
        }
        Left::Failed => tracing::info!("left"),
        Left::Cut(why) => tracing::warn!("left at once {why}; requests in flight were cut"),
    }
    WRONG.into()
}

/// How a process has left.
enum Left {
    /// All was finished.
    Done,
    /// The same, but no process serves any more.
    Failed,
    /// Requests in flight were cut, for this reason.
    Cut(&'static str),
}

/// Waits until the process that has taken over fails; for ever if there is none, or it does not.
async fn failure(of: Option<(u32, tokio::sync::oneshot::Receiver<ExitStatus>)>) {
    let Some((pid, failed)) = of else { return std::future::pending().await };
    let Ok(status) = failed.await else { return std::future::pending().await };
    systemd::successor_failed(pid);
    tracing::error!(
        pid, %status,
        "the process that had taken over has failed, and this one accepts no connections any more: it ends within {FAILED_GRACE:?}, so that a service manager starts Evenkeel again"
    );
}

/// The signals that the process obeys.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user1: Signal,
}

impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits for SIGTERM or SIGINT.
    async fn leave(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Obeys signals until one ends the process: SIGHUP reloads the configuration, SIGUSR1 opens the access log
    /// again. Returns the new process if this one leaves because of an upgrade.
    async fn obey(&mut self, system: &mut System) -> Option<Succeeded> {
        let mut upgrades = Upgrades::new(system.upgrader());
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return upgrades.give_up().await,
                _ = self.interrupt.recv() => return upgrades.give_up().await,
                wanted = system.upgrade_wanted() => upgrades.begin(wanted),
                ended = upgrades.ended() => if ended.is_some() {
                    return ended;
                },
                // The outcome is in the log. Do not wait for it: a reload that hangs must not hide other signals.
                _ = self.hangup.recv() => drop(tokio::spawn(system.command(Command::Reload, By::itself("SIGHUP")))),
                _ = self.user1.recv() => system.reopen_log(),
            }
        }
    }
}

/// Raises the limit of open files as far as the system allows: each connection takes one descriptor, a forwarded one two.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, hard_limit = ?limit.maximum, "cannot raise the limit of open files to the hard limit");
    }
}
