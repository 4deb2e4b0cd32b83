//! The control side: one thread that probes, judges, takes commands and publishes what follows from them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use evenkeel_admin::Request;
use evenkeel_config::{Backend, Config, Health, Listener};
use evenkeel_core::health::ProbeFailure;
use evenkeel_core::snapshot::{Command, CommandError};
use evenkeel_observe::{ProbeResult, Registry, ReloadResult};
use evenkeel_proxy::{Event, Shared, probe};
use evenkeel_types::{Address, BackendId, ListenerName, PoolName, Time};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::credentials;
use crate::fleet::Fleet;
use crate::reload::{Bound, InForce, Prepared, Reloads};

/// Results of probes that wait to be judged.
const PROBES_MAX: usize = 1024;

/// What the control thread works with.
pub struct Control {
    /// The servers and what is known of them.
    pub fleet: Fleet,
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
}

struct Probed {
    pool: PoolName,
    id: BackendId,
    result: Result<(), ProbeFailure>,
}

/// The probes under way or planned, one a server.
type Probes = HashMap<(PoolName, BackendId), Planned>;

/// A probe under way or planned, and what it was planned with. Ends when it is dropped.
struct Planned {
    backend: Backend,
    settings: Health,
    task: AbortHandle,
}

impl Drop for Planned {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Control {
    /// Runs until `stop`.
    pub async fn run(
        mut self,
        mut events: mpsc::Receiver<Event>,
        mut commands: mpsc::Receiver<Request>,
        mut stop: oneshot::Receiver<()>,
    ) {
        let (probed, mut results) = mpsc::channel(PROBES_MAX);
        let mut probes = Probes::new();
        let mut reloads = Reloads::default();
        let mut rng = fastrand::Rng::new();
        self.plan_probes(&mut probes, &probed, &mut rng);
        loop {
            let due =
                self.fleet.due().map(|due| tokio::time::Instant::from_std(self.shared.clock.instant(due)));
            tokio::select! {
                Some(Probed { pool, id, result }) = results.recv() => {
                    self.count_probe(&pool, &id, &result);
                    if self.fleet.probed(&pool, &id, result, self.now()) {
                        self.publish();
                    }
                    self.plan_probe(&mut probes, &probed, &mut rng, &pool, &id);
                }
                Some(Event::Failure { pool, id, failure }) = events.recv() => {
                    if self.fleet.failed(&pool, &id, failure, self.now()) {
                        self.publish();
                    }
                }
                () = sleep_until(due) => {
                    if self.fleet.poll(self.now()) {
                        self.publish();
                    }
                }
                _ = &mut stop => break,
                Some(Request { command, answer }) = commands.recv() => match command {
                    Command::Reload => reloads.ask(answer, || self.in_force()),
                    Command::Server { pool, id, administrative, weight } => {
                        let done = self.fleet.administer(&pool, &id, administrative, weight, self.now());
                        if done.is_ok() {
                            self.publish();
                            self.plan_probes(&mut probes, &probed, &mut rng);
                        }
                        // The client may have gone; the command is carried out all the same.
                        let _ = answer.send(done);
                    }
                },
                prepared = reloads.prepared() => {
                    let done = self.finish_reload(prepared);
                    self.plan_probes(&mut probes, &probed, &mut rng);
                    reloads.answer(&done, || self.in_force());
                }
            }
        }
    }

    fn now(&self) -> Time {
        self.shared.clock.now()
    }

    fn publish(&mut self) {
        self.shared.publish(Arc::new(self.fleet.snapshot()));
    }

    /// What a reload starts from.
    fn in_force(&self) -> InForce {
        InForce {
            source: self.source.clone(),
            config: Arc::clone(self.fleet.config()),
            limits: Arc::clone(self.fleet.limits()),
            credentials: self.shared.credentials(),
            bound: self.bound.clone(),
            workers: self.workers,
        }
    }

    /// Makes true what a reload has prepared, and logs and counts how it ended.
    fn finish_reload(&mut self, prepared: Result<Prepared, String>) -> Result<(), CommandError> {
        match prepared {
            Ok(prepared) => {
                self.put_in_force(prepared);
                self.registry.reloaded(ReloadResult::Success);
                tracing::info!("configuration reloaded");
                Ok(())
            }
            Err(error) => {
                self.registry.reloaded(ReloadResult::Failure);
                tracing::error!("configuration not reloaded, the old one stays: {error}");
                Err(CommandError::Refused(error))
            }
        }
    }

    fn put_in_force(&mut self, prepared: Prepared) {
        let Prepared { derived, credentials, added, sockets } = prepared;
        warn_of_unchangeable(self.fleet.config(), &derived.config);
        self.fleet.reconfigure(derived, self.now());
        credentials::register(&self.registry, &credentials);
        self.shared.set_credentials(credentials);
        // The workers must know a listener before its first connection comes.
        self.publish();
        for (bound, sockets) in added.iter().zip(sockets) {
            tracing::info!(listener = %bound.listener, "listening on {}", bound.bound);
            self.shared.listen(&bound.listener, &bound.bound, sockets);
        }
        self.close_removed();
        self.registry.config_generation.add(1);
        self.bound.extend(added);
        let config = self.fleet.config();
        let listening = self.bound.iter().filter(|b| listener_of(config, &b.configured).is_some());
        let listening = listening.map(|b| (b.listener.clone(), b.bound.clone())).collect();
        self.listening.store(Arc::new(listening));
    }

    /// Lets go of what the configuration no longer has, and renames what now belongs to another listener. An address
    /// that another one now covers stays open: a connection that comes while it closes would be lost, though the
    /// other one would have had it.
    fn close_removed(&mut self) {
        let config = Arc::clone(self.fleet.config());
        let shared = &self.shared;
        self.bound.retain_mut(|bound| {
            let covering = |address: &Address| evenkeel_net::covers(address, &bound.bound);
            let owner = listener_of(&config, &bound.configured)
                .or_else(|| config.listeners.iter().find(|listener| listener.bind.iter().any(covering)));
            match owner {
                None => {
                    tracing::info!(listener = %bound.listener, "no longer listening on {}", bound.bound);
                    shared.close(&bound.bound);
                    return false;
                }
                Some(owner) if owner.name != bound.listener => {
                    shared.rename(&bound.bound, &owner.name);
                    bound.listener = owner.name.clone();
                }
                Some(_) => {}
            }
            true
        });
    }

    /// Plans probes of servers that have none yet, and ends those of servers that are gone.
    fn plan_probes(&self, probes: &mut Probes, probed: &mpsc::Sender<Probed>, rng: &mut fastrand::Rng) {
        let config = Arc::clone(self.fleet.config());
        let mut before = std::mem::take(probes);
        for pool in &config.pools {
            for backend in &pool.backends {
                let planned = before.remove(&(pool.name.clone(), backend.id.clone()));
                match planned {
                    Some(same)
                        if same.backend == *backend && Some(&same.settings) == pool.health.as_ref() =>
                    {
                        probes.insert((pool.name.clone(), backend.id.clone()), same);
                    }
                    _ => self.plan_probe(probes, probed, rng, &pool.name, &backend.id),
                }
            }
        }
    }

    /// Plans the next probe of a server, with what the configuration now says of it.
    fn plan_probe(
        &self,
        probes: &mut Probes,
        probed: &mpsc::Sender<Probed>,
        rng: &mut fastrand::Rng,
        pool: &PoolName,
        id: &BackendId,
    ) {
        let config = self.fleet.config().pools.iter().find(|p| p.name == *pool);
        let Some((settings, backend, protocol)) = config.and_then(|config| {
            let backend = config.backends.iter().find(|b| b.id == *id)?;
            Some((config.health.clone()?, backend.clone(), config.protocol))
        }) else {
            probes.remove(&(pool.clone(), id.clone()));
            return;
        };
        let Some(at) = self.fleet.next_probe(pool, id, self.now(), rng) else { return };
        let at = tokio::time::Instant::from_std(self.shared.clock.instant(at));
        let key = (pool.clone(), id.clone());
        let (pool, id, probed) = (pool.clone(), id.clone(), probed.clone());
        let planned = (backend.clone(), settings.clone());
        let tls = self.shared.credentials().pools.get(&pool).cloned();
        let task = tokio::task::spawn_local(async move {
            tokio::time::sleep_until(at).await;
            let server = evenkeel_proxy::Probed { address: &backend.address, protocol, tls: tls.as_deref() };
            let result = probe(server, &settings.probe, settings.timeout).await;
            // Nobody listens any more when the process leaves.
            let _ = probed.send(Probed { pool, id, result }).await;
        });
        probes.insert(key, Planned { backend: planned.0, settings: planned.1, task: task.abort_handle() });
    }

    fn count_probe(&self, pool: &PoolName, id: &BackendId, result: &Result<(), ProbeFailure>) {
        self.registry.backend(pool, id).probed(match result {
            Ok(()) => ProbeResult::Success,
            Err(ProbeFailure::Refused) => ProbeResult::Refused,
            Err(ProbeFailure::Timeout) => ProbeResult::Timeout,
            Err(ProbeFailure::Reset) => ProbeResult::Reset,
            Err(ProbeFailure::Status(_) | ProbeFailure::NotServing | ProbeFailure::Grpc(_)) => {
                ProbeResult::Status
            }
            Err(ProbeFailure::Malformed) => ProbeResult::Malformed,
            Err(ProbeFailure::Io(_) | ProbeFailure::Resolve(_)) => ProbeResult::Io,
        });
    }
}

fn listener_of<'c>(config: &'c Config, configured: &Address) -> Option<&'c Listener> {
    config.listeners.iter().find(|listener| listener.bind.contains(configured))
}

async fn sleep_until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due + Duration::from_millis(1)).await,
        None => std::future::pending().await,
    }
}

/// Says what a reload cannot change.
fn warn_of_unchangeable(old: &Config, new: &Config) {
    let changes = [
        ("server.workers", old.server.workers != new.server.workers),
        ("admin", old.admin.bind != new.admin.bind || old.admin.token_file != new.admin.token_file),
        ("log", old.log.access != new.log.access || old.log.format != new.log.format),
    ];
    for (key, _) in changes.iter().filter(|(_, changed)| *changed) {
        tracing::warn!("a reload does not change [{key}]: restart to make it true");
    }
}
