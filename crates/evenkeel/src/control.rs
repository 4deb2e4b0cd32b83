//! The control side: one thread that probes, judges, takes commands and publishes what follows from them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use evenkeel_admin::Request;
use evenkeel_config::{Config, Listener};
use evenkeel_core::health::{Finding, ProbeFailure};
use evenkeel_core::snapshot::{Command, CommandDone, CommandError};
use evenkeel_observe::{ProbeResult, Registry, ReloadResult};
use evenkeel_proxy::{Event, Shared};
use evenkeel_types::{Address, BackendId, ListenerName, PoolName, Time};
use tokio::sync::{mpsc, oneshot};

use crate::cache;
use crate::confirm::{self, Confirmation};
use crate::credentials;
use crate::discovery::Discoveries;
use crate::probes::{Probed, Probes};
use crate::reload::{Bound, InForce, Prepared, Reloads};
use crate::servers::ServerRegistry;

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
    /// Whether the configuration in force awaits its confirmation.
    pub confirmation: Confirmation,
}

impl Control {
    /// Runs until `stop`.
    pub async fn run(
        mut self,
        mut events: mpsc::Receiver<Event>,
        mut commands: mpsc::Receiver<Request>,
        mut stop: oneshot::Receiver<()>,
    ) {
        let (mut probes, mut results) = Probes::new(Arc::clone(&self.shared));
        let mut reloads = Reloads::default();
        probes.plan(&self.servers, self.servers.pools());
        let (mut discoveries, mut reports) = Discoveries::new(self.servers.config(), self.shared.clock);
        discoveries.plan(self.servers.config());
        let mut watch = confirm::ticks();
        loop {
            let due =
                self.servers.due().map(|due| tokio::time::Instant::from_std(self.shared.clock.instant(due)));
            tokio::select! {
                Some(Probed { pool, id, result, session }) = results.recv() => {
                    self.count_probe(&pool, &id, &result);
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
                _ = watch.tick() => {
                    // One that is under way starts from what is in force.
                    if !reloads.are_running() {
                        self.watch_trial(&mut probes, &mut discoveries);
                    }
                }
                () = sleep_until(due) => self.servers.poll(self.now()),
                _ = &mut stop => break,
                Some(Request { command, answer }) = commands.recv() => {
                    match command {
                        Command::Reload => {
                            reloads.ask(answer, None, || self.in_force());
                            continue;
                        }
                        Command::Try { within } => {
                            reloads.ask(answer, Some(within), || self.in_force());
                            continue;
                        }
                        Command::Confirm { keep } => {
                            let done = self.confirm(keep, &mut probes, &mut discoveries);
                            let _ = answer.send(done.map(|()| CommandDone::Done));
                            continue;
                        }
                        _ => {}
                    }
                    // The client may have gone; the command is carried out all the same.
                    let _ = answer.send(self.carry_out(command, &mut probes));
                }
                prepared = reloads.prepared() => {
                    let done = self.finish_reload(prepared, reloads.within());
                    self.follow_configuration(&mut probes, &mut discoveries);
                    reloads.answer(&done, || self.in_force());
                }
            }
        }
    }

    /// The time of the snapshots.
    pub fn now(&self) -> Time {
        self.shared.clock.now()
    }

    /// Carries out a command about one server of one pool, or about the cache.
    fn carry_out(&mut self, command: Command, probes: &mut Probes) -> Result<CommandDone, CommandError> {
        let now = self.now();
        let pool = match command {
            Command::Reload | Command::Try { .. } | Command::Confirm { .. } => return Ok(CommandDone::Done),
            Command::Purge { scopes, soft } => {
                return Ok(CommandDone::Purged(cache::purge(&self.shared, &scopes, soft)));
            }
            Command::Server { pool, id, administrative, weight } => {
                self.servers.administer(&pool, &id, administrative, weight, now)?;
                pool
            }
            Command::AddServer { pool, server } => {
                self.servers.add(&pool, server, now)?;
                pool
            }
            Command::RemoveServer { pool, id } => {
                self.servers.remove(&pool, &id, now)?;
                pool
            }
        };
        probes.plan(&self.servers, self.servers.pool(&pool));
        Ok(CommandDone::Done)
    }

    /// What a reload starts from.
    fn in_force(&self) -> InForce {
        InForce {
            source: self.source.clone(),
            config: Arc::clone(self.servers.config()),
            limits: Arc::clone(self.servers.limits()),
            credentials: self.shared.credentials(),
            bound: self.bound.clone(),
            workers: self.workers,
        }
    }

    /// Makes true what a reload has prepared, and logs and counts how it ended.
    /// With a time `within` which it is to be confirmed, the old configuration is kept until then.
    fn finish_reload(
        &mut self,
        prepared: Result<Prepared, String>,
        within: Option<Duration>,
    ) -> Result<(), CommandError> {
        let prepared = match (prepared, within, self.must_be_decided()) {
            (Ok(_), None, Some(why)) => Err(why),
            (prepared, ..) => prepared,
        };
        match prepared {
            Ok(prepared) => {
                let trial = within.map(|within| (within, self.keep(&prepared.derived.config)));
                self.put_in_force(prepared);
                self.registry.reloaded(ReloadResult::Success);
                match trial {
                    Some((within, kept)) => self.begin_trial(within, kept),
                    None => tracing::info!("configuration reloaded"),
                }
                Ok(())
            }
            Err(error) => {
                self.registry.reloaded(ReloadResult::Failure);
                tracing::error!("configuration not reloaded, the old one stays: {error}");
                Err(CommandError::Refused(error))
            }
        }
    }

    /// Has probes and discoveries follow the configuration in force.
    pub fn follow_configuration(&mut self, probes: &mut Probes, discoveries: &mut Discoveries) {
        probes.plan_anew(&self.servers);
        discoveries.plan(self.servers.config());
        self.forget_discoveries();
    }

    /// Makes a configuration true.
    pub fn put_in_force(&mut self, prepared: Prepared) {
        let Prepared { derived, credentials, added, sockets } = prepared;
        warn_of_unchangeable(self.servers.config(), &derived.config);
        cache::reconfigure(&self.shared, self.servers.config(), &derived.config);
        self.registry.recorder.set_memory(derived.config.recorder.memory);
        self.servers.reconfigure(derived, self.now());
        credentials::register(&self.registry, &credentials);
        self.shared.set_credentials(credentials);
        // The workers must know a listener before its first connection comes.
        self.shared.publish(Arc::new(self.servers.snapshot()));
        self.servers.wake_waiting();
        for (bound, sockets) in added.iter().zip(sockets) {
            tracing::info!(listener = %bound.listener, "listening on {bound}");
            self.shared.listen(&bound.listener, (bound.transport, &bound.bound), sockets);
        }
        self.close_removed();
        self.registry.config_generation.add(1);
        self.bound.extend(added);
        let config = self.servers.config();
        let listening = self.bound.iter().filter(|b| listener_of(config, b).is_some());
        let listening = listening.map(|b| (b.listener.clone(), b.bound.clone())).collect();
        self.listening.store(Arc::new(listening));
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

    fn count_probe(&self, pool: &PoolName, id: &BackendId, result: &Result<Finding, ProbeFailure>) {
        self.registry.backend(pool, id).probed(match result {
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

async fn sleep_until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due + Duration::from_millis(1)).await,
        None => std::future::pending().await,
    }
}

/// Says what a reload cannot change.
fn warn_of_unchangeable(old: &Config, new: &Config) {
    for key in evenkeel_config::fixed_changes(old, new) {
        tracing::warn!("changing [{key}] requires a restart; the reload has left it as it was");
    }
}
