//! `evenkeel run`: the balancer itself, from its start to its last connection.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use evenkeel_admin::By;
use evenkeel_config::Config;
use evenkeel_core::snapshot::Command;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::output::{DONE, WRONG, complain, fail};
use super::source::CONFIG_DEFAULT;
use crate::credentials::load_config;
use crate::log;
use crate::roots::wrong_with;
use crate::wire::System;

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
}

pub fn run(mut args: Run) -> ExitCode {
    log::start();
    if args.config.is_none() && args.backend.is_empty() && args.files.is_none() {
        if !Path::new(CONFIG_DEFAULT).exists() {
            return fail(&format!(
                "there is no {CONFIG_DEFAULT} here: name a file with `--config FILE`, servers with `--backend ADDRESS`, or a directory with `--files DIR`"
            ));
        }
        args.config = Some(CONFIG_DEFAULT.into());
    }
    if let Some(wrong) = args.files.as_deref().and_then(wrong_with) {
        return fail(&format!("--files: {wrong}"));
    }
    let config = match args.load() {
        Ok(config) => config,
        Err(code) => return code,
    };
    raise_descriptor_limit();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    // Before the start: a signal that comes meanwhile must not kill the process.
    let signals = runtime.block_on(async { Signals::install() });
    let mut signals = match signals {
        Ok(signals) => signals,
        Err(error) => return fail(&format!("cannot listen for signals: {error}")),
    };
    let system = match System::start(config, args.config) {
        Ok(system) => system,
        Err(error) => return fail(&error.to_string()),
    };
    runtime.block_on(signals.obey(&system));
    leave(&runtime, signals, system)
}

impl Run {
    fn load(&self) -> Result<Config, ExitCode> {
        let parsed = match (&self.config, &self.files) {
            (None, Some(root)) => {
                // The working directory may be gone; then the path is used as it is.
                let root = std::path::absolute(root).unwrap_or_else(|_| root.clone());
                evenkeel_config::simple_files(&self.listen, root)
            }
            (Some(path), _) => load_config(path).map(|parsed| {
                complain(&parsed.warnings);
                parsed.config
            }),
            (None, None) => evenkeel_config::simple(&self.listen, &self.backend),
        };
        parsed.map_err(|diagnostics| {
            complain(&diagnostics);
            WRONG.into()
        })
    }
}

/// Waits for what is in flight. A second signal ends it at once.
fn leave(runtime: &tokio::runtime::Runtime, mut signals: Signals, system: System) -> ExitCode {
    let grace = system.snapshot().config.server.grace;
    tracing::info!(grace_s = grace.as_secs_f64(), "leaving: finishing what is in flight");
    let (done_sender, done) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        system.leave(grace);
        // The other end is gone only when a second signal has ended the process.
        let _ = done_sender.send(());
    });
    let ended = runtime.block_on(async {
        tokio::select! {
            _ = done => true,
            () = signals.leave() => false,
        }
    });
    if ended {
        tracing::info!("left");
        return DONE.into();
    }
    tracing::warn!("left at once, at a second signal");
    WRONG.into()
}

/// The signals that mean something.
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

    /// Does what signals ask for, until one asks to leave: SIGHUP reloads the configuration, SIGUSR1 opens the
    /// access log anew.
    async fn obey(&mut self, system: &System) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                // Its outcome stands in the log. It is not waited for: a reload that hangs must not hide other signals.
                _ = self.hangup.recv() => drop(tokio::spawn(system.command(Command::Reload, By::itself("SIGHUP")))),
                _ = self.user1.recv() => system.reopen_log(),
            }
        }
    }
}

/// Each connection takes a descriptor, two when it is forwarded: takes as many as the system allows.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}
