//! The control side: one thread that probes, judges, takes commands and publishes what follows from them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use evenkeel_admin::Request;
use evenkeel_config::{Config, Listener};
use evenkeel_core::health::{Finding, ProbeFailure};
use evenkeel_core::snapshot::{CommandError, Snapshot};
use evenkeel_observe::events::{Event as Happened, EventKind, Severity};
use evenkeel_observe::{ProbeResult, Registry, ReloadResult};
use evenkeel_otlp::Exporter;
use evenkeel_proxy::{Event, Shared};
use evenkeel_types::{Address, BackendId, ListenerName, PoolName, Time};
use tokio::sync::{mpsc, oneshot};

use crate::background;
use crate::cache;
use crate::confirm::{self, Confirmation};
use crate::credentials;
use crate::discovery::Discoveries;
use crate::log::without_label;
use crate::probes::{Probed, Probes};
use crate::reload::{Bound, InForce, Prepared, in_lines, listen};
use crate::servers::{Memory, ServerRegistry};
use crate::systemd;
use crate::turns::Reloads;
use crate::upgrade::{self, Asked};
use crate::watch::Loaded;

/// Between two looks whether a snapshot is still in use.
const FREED_EVERY: Duration = Duration::from_millis(500);

/// What the control thread works with.
pub struct Control {
    /// The servers and what is known of them.
    pub servers: ServerRegistry,
    /// The workers.
    pub shared: Arc<Shared>,
    /// Metrics.
    pub registry: Arc<Registry>,
    /// Where the configuration came from; `None` if from the command line.
    pub source: Option<PathBuf>,
    /// What is listened on.
    pub bound: Vec<Bound>,
    /// The same, for others to read.
    pub listening: Arc<ArcSwap<Vec<(ListenerName, Address)>>>,
    /// How many workers there are.
    pub workers: usize,
    /// The content of the configuration file that was read last.
    pub loaded: Arc<Loaded>,
    /// What sends spans.
    pub exporter: Arc<Exporter>,
    /// Whether the configuration in force awaits its confirmation.
    pub confirmation: Confirmation,
    /// Whether another process is about to take the place of this one: nothing is changed that it would not know of.
    pub upgrading: bool,
}

/// What comes to the control thread.
pub struct Inputs {
    /// From the workers.
    pub events: mpsc::Receiver<Event>,
    /// From operators.
    pub commands: mpsc::Receiver<Request>,
    /// From upgrades of the binary.
    pub upgrades: mpsc::Receiver<Asked>,
    /// Where commands go that the process gives itself.
    pub own: mpsc::Sender<Request>,
}

impl Control {
    /// Runs until `stop`.
    pub async fn run(mut self, inputs: Inputs, mut stop: oneshot::Receiver<()>) {
        let Inputs { mut events, mut commands, mut upgrades, own: _ } = inputs;
        let mut alive = Alive::new();
        let (mut probes, mut results) = Probes::new(Arc::clone(&self.shared));
        let mut reloads = Reloads::default();
        probes.plan(&self.servers, self.servers.pools());
        let (mut discoveries, mut reports) = Discoveries::new(self.servers.config(), self.shared.clock);
        discoveries.plan(self.servers.config());
        let mut watch = confirm::ticks();
        loop {
            self.loaded.refuse(self.upgrading || self.confirmation.is_running());
            let due =
                self.servers.due().map(|due| tokio::time::Instant::from_std(self.shared.clock.instant(due)));
            tokio::select! {
                Some(Probed { pool, id, result, took, session }) = results.recv() => {
                    self.count_probe(&pool, &id, &result, took);
                    let was_searching = self.servers.is_searching(&pool, self.now());
                    self.servers.probed(&pool, &id, result, self.now());
                    probes.plan_next(&self.servers, &pool, &id, session);
                    if !was_searching && self.servers.is_searching(&pool, self.now()) {
                        probes.hurry(&pool);
                    }
                }
                Some(Event::Failure { pool, id, failure }) = events.recv() => {
                    self.servers.failed(&pool, &id, failure, self.now());
                }
                Some(report) = reports.recv() => self.discovered(report, &mut probes),
                _ = watch.tick() => self.watch_trial(&mut probes, &mut discoveries),
                () = sleep_until(due) => self.servers.poll(self.now()),
                _ = &mut stop => break,
                () = alive.due() => systemd::alive(),
                Some(asked) = upgrades.recv() => self.upgrade(asked, reloads.are_running()),
                Some(request) = commands.recv() => {
                    self.take(request, &mut reloads, &mut probes, &mut discoveries);
                }
                prepared = reloads.prepared() => {
                    if reloads.are_outdated(self.confirmation.reverts()) {
                        drop(prepared);
                        reloads.start_again(self.in_force());
                        continue;
                    }
                    let done = self.finish_reload(prepared, reloads.within());
                    self.follow_configuration(&mut probes, &mut discoveries);
                    systemd::ready("serving");
                    reloads.answer(&done);
                    self.begin_reload(&mut reloads);
                }
            }
        }
    }

    /// Gets ready for another process to take the place of this one, or goes on after that has failed.
    fn upgrade(&mut self, asked: Asked, is_reloading: bool) {
        match asked {
            Asked::End(answer) => {
                self.upgrading = false;
                let _ = answer.send(());
            }
            Asked::Begin(answer) if is_reloading => {
                let _ = answer.send(Err("a reload is under way: ask again when it has ended".into()));
            }
            Asked::Begin(answer) if self.must_be_decided().is_some() => {
                let _ = answer.send(Err(self.must_be_decided().unwrap_or_default()));
            }
            Asked::Begin(answer) => {
                let (carried, splits) = (self.servers.carried(), self.servers.carried_splits());
                let in_force = upgrade::InForce { bound: self.bound.clone(), carried, splits };
                // The command that asked may have given up.
                self.upgrading = answer.send(Ok(in_force)).is_ok();
            }
        }
    }

    /// The time of the snapshots.
    pub fn now(&self) -> Time {
        self.shared.clock.now()
    }

    /// What a reload starts from.
    pub fn in_force(&self) -> InForce {
        InForce {
            source: self.source.clone(),
            config: Arc::clone(self.servers.config()),
            goes_back_to: Arc::clone(self.goes_back_to()),
            limits: Arc::clone(self.servers.limits()),
            credentials: self.shared.credentials(),
            bound: self.bound.clone(),
            workers: self.workers,
            loaded: Arc::clone(&self.loaded),
            registry: Arc::clone(&self.registry),
            reverts: self.confirmation.reverts(),
        }
    }

    /// Makes true what a reload has prepared, and logs and counts how it ended.
    /// With a time `within` which it is to be confirmed, the old configuration is kept until then. What it warns of is returned.
    fn finish_reload(
        &mut self,
        prepared: Result<Prepared, String>,
        within: Option<Duration>,
    ) -> Result<Vec<String>, CommandError> {
        let prepared = prepared.and_then(|prepared| {
            let Prepared { added, sockets, .. } = prepared;
            let ((added, sockets), failed) = listen((added, sockets));
            if failed.is_empty() {
                Ok(Prepared { added, sockets, ..prepared })
            } else {
                Err(in_lines(&failed))
            }
        });
        match prepared {
            Ok(prepared) => {
                let trial = within.map(|within| (within, self.keep(&prepared.derived.config)));
                let warnings = self.put_in_force(prepared, trial.as_ref().map(|(_, kept)| &kept.memory));
                self.registry.reloaded(ReloadResult::Success);
                match trial {
                    Some((within, kept)) => self.begin_trial(within, kept),
                    None => tracing::info!("configuration reloaded"),
                }
                let what =
                    format!("the configuration was reloaded: generation {}", self.servers.generation());
                self.registry.events.record(Happened::new(EventKind::Reload, Severity::Info, what));
                Ok(warnings)
            }
            Err(error) => Err(self.refuse_reload(error)),
        }
    }

    /// Logs and counts that the configuration was not reloaded.
    pub fn refuse_reload(&self, error: String) -> CommandError {
        self.registry.reloaded(ReloadResult::Failure);
        let why = without_label(&error);
        tracing::error!("configuration not reloaded, the old one stays: {why}");
        let first = why.lines().next().unwrap_or_default();
        let what = format!("the configuration was not reloaded, the old one stays: {first}");
        self.registry.events.record(Happened::new(EventKind::Reload, Severity::Warning, what));
        CommandError::Refused(error)
    }

    /// Has probes and discoveries follow the configuration in force.
    pub fn follow_configuration(&mut self, probes: &mut Probes, discoveries: &mut Discoveries) {
        probes.plan_anew(&self.servers);
        discoveries.plan(self.servers.config());
        self.forget_discoveries();
    }

    /// Makes a configuration true, and returns what it warns of. Servers and splits that come are as is remembered of them.
    pub fn put_in_force(&mut self, prepared: Prepared, memory: Option<&Memory>) -> Vec<String> {
        let Prepared { derived, credentials, added, sockets, collector, mut warnings } = prepared;
        cache::reconfigure(&self.shared, self.servers.config(), &derived.config);
        self.registry.recorder.set_memory(derived.config.recorder.memory);
        self.servers.reconfigure(derived, memory, self.now());
        for warning in self.servers.shared_addresses() {
            tracing::warn!("{warning}");
            warnings.push(warning);
        }
        credentials::register(&self.registry, &credentials);
        self.shared.set_credentials(credentials);
        if let Err(error) = self.exporter.configure(collector) {
            tracing::error!(%error, "the thread `traces` cannot start; spans are dropped");
        }
        // The workers must know a listener before its first connection comes.
        self.publish();
        for (bound, sockets) in added.iter().zip(sockets) {
            tracing::info!(listener = %bound.listener, "listening on {bound}");
            self.shared.listen(&bound.listener, (bound.transport, &bound.bound), sockets);
        }
        self.close_removed();
        self.bound.extend(added);
        let config = self.servers.config();
        let listening = self.bound.iter().filter(|b| listener_of(config, b).is_some());
        let listening = listening.map(|b| (b.listener.clone(), b.bound.clone())).collect();
        self.listening.store(Arc::new(listening));
        warnings
    }

    /// Has the workers see what is in force.
    pub fn publish(&mut self) {
        let before = self.shared.snapshot();
        self.shared.publish(Arc::new(self.servers.snapshot()));
        self.registry.config_generation.set(self.servers.generation().cast_signed());
        self.servers.wake_waiting();
        tokio::task::spawn_local(free(before));
    }

    /// Lets go of what the configuration no longer has, and renames what now belongs to another listener. An address
    /// that another one now covers stays open: a connection that comes while it closes would be lost, though the
    /// other one would have had it.
    fn close_removed(&mut self) {
        let config = Arc::clone(self.servers.config());
        let shared = &self.shared;
        self.bound.retain_mut(|bound| {
            match owner_of(&config, bound) {
                None => {
                    tracing::info!(listener = %bound.listener, "no longer listening on {bound}");
                    shared.close(bound.transport, &bound.bound);
                    return false;
                }
                Some(owner) if owner.name != bound.listener => {
                    shared.rename(bound.transport, &bound.bound, &owner.name);
                    bound.listener = owner.name.clone();
                }
                Some(_) => {}
            }
            true
        });
    }

    fn count_probe(
        &self,
        pool: &PoolName,
        id: &BackendId,
        result: &Result<Finding, ProbeFailure>,
        took: Duration,
    ) {
        let took_ms = took.as_micros() as f64 / 1e3;
        match result {
            Ok(_) => tracing::debug!(%pool, server = %id, took_ms, "health check passed"),
            Err(why) => tracing::debug!(%pool, server = %id, took_ms, %why, "health check failed"),
        }
        let figures = self.registry.backend(pool, id);
        figures.notes.checked(took, result.as_ref().err().map(ProbeFailure::to_string));
        figures.probed(match result {
            Ok(_) => ProbeResult::Success,
            Err(ProbeFailure::Refused) => ProbeResult::Refused,
            Err(ProbeFailure::Timeout) => ProbeResult::Timeout,
            Err(ProbeFailure::Reset) => ProbeResult::Reset,
            Err(ProbeFailure::Status(_) | ProbeFailure::NotServing | ProbeFailure::Grpc(_)) => {
                ProbeResult::Status
            }
            Err(ProbeFailure::Body { .. }) => ProbeResult::Body,
            Err(ProbeFailure::Database(_) | ProbeFailure::NotReady(_)) => ProbeResult::Refusal,
            Err(ProbeFailure::Malformed) => ProbeResult::Malformed,
            Err(ProbeFailure::Io(_) | ProbeFailure::Resolve(_)) => ProbeResult::Io,
        });
    }
}

/// The listener that has an address, or one that covers it; `None` if the address is to be closed.
pub fn owner_of<'c>(config: &'c Config, bound: &Bound) -> Option<&'c Listener> {
    let covering = |address: &Address| evenkeel_net::covers(address, &bound.bound);
    let covers = |it: &&Listener| it.transport() == bound.transport && it.bind.iter().any(covering);
    listener_of(config, bound).or_else(|| config.listeners.iter().find(covers))
}

/// The listener whose address this is.
pub fn listener_of<'c>(config: &'c Config, bound: &Bound) -> Option<&'c Listener> {
    let is_its_own =
        |it: &&Listener| it.transport() == bound.transport && it.bind.contains(&bound.configured);
    config.listeners.iter().find(is_its_own)
}

/// When systemd is to hear that this thread, on which health and commands depend, goes on.
struct Alive(Option<tokio::time::Interval>);

impl Alive {
    fn new() -> Self {
        Self(systemd::watchdog().map(tokio::time::interval))
    }

    async fn due(&mut self) {
        match &mut self.0 {
            Some(interval) => drop(interval.tick().await),
            None => std::future::pending().await,
        }
    }
}

async fn sleep_until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due + Duration::from_millis(1)).await,
        None => std::future::pending().await,
    }
}

/// Frees a snapshot once no worker has it any more. To free thousands of routes and pools takes longer than a request may wait, so
/// no worker must be the last to let go of them.
async fn free(snapshot: Arc<Snapshot>) {
    while Arc::strong_count(&snapshot) > 1 {
        tokio::time::sleep(FREED_EVERY).await;
    }
    drop(background::spawn("free", move || drop(snapshot)));
}
