//! The server registry: which servers each pool has and what is known of them, beside the configuration and over its
//! reloads. From both together come the snapshots that the workers see.

mod announce;
mod carried;
mod memory;
mod operate;
mod pending;
mod pool;
mod split_set;

use std::hash::RandomState;
use std::sync::Arc;

use evenkeel_config::{Backend, Config, Discover, Pool as PoolConfig};
use evenkeel_core::discovery::DiscoveryStates;
use evenkeel_core::endpoints::EndpointError;
use evenkeel_core::health::{Finding, HealthNotice, LiveFailure, ProbeFailure};
use evenkeel_core::limit::Limits;
use evenkeel_core::route::RouteTable;
use evenkeel_core::snapshot::{CommandError, Snapshot};
use evenkeel_observe::{Database, Registry};
use evenkeel_types::{BackendId, ListenerName, PoolName, RouteName, Time};
use foldhash::{HashMap, HashSet};

pub use self::carried::{Carried, CarriedSplit};
pub use self::memory::Memory;
use crate::secret::secret_bytes;
use crate::servers::announce::{announce, announce_discovered, announce_panic};
use crate::servers::pool::PoolServers;
use crate::servers::split_set::SplitSet;

/// Keys the cookies of balancers that share no secret. An attacker who guesses a server's address can then check the guess.
const SECRET_DEFAULT: &[u8] = b"evenkeel";

/// All servers of all pools.
pub struct ServerRegistry {
    /// What is known of how pools discover servers, for others to read.
    pub discoveries: Arc<DiscoveryStates>,
    config: Arc<Config>,
    routes: Arc<RouteTable>,
    secret: Vec<u8>,
    pools: HashMap<PoolName, PoolServers>,
    limits: Arc<Limits>,
    /// What commands have set in place of the weights of routes' splits.
    splits: HashMap<RouteName, SplitSet>,
    generation: u64,
    metrics: Arc<Registry>,
}

/// A configuration and what follows from it, before it is in force.
pub struct Derived {
    /// The configuration.
    pub config: Arc<Config>,
    routes: Arc<RouteTable>,
    limits: Arc<Limits>,
    secret: Vec<u8>,
}

impl Derived {
    /// What follows from `config`. Limits that are the same in `old` remember what they know. May take long: it reads
    /// the secret file and builds the index of all routes.
    ///
    /// # Errors
    /// The secret file cannot be read.
    pub fn of(config: Config, old: Option<(&Config, &Limits)>) -> Result<Self, String> {
        Ok(Self {
            secret: secret(&config)?,
            limits: Arc::new(Limits::new(&config, old, &RandomState::new())),
            routes: Arc::new(RouteTable::new(&config)),
            config: Arc::new(config),
        })
    }
}

impl ServerRegistry {
    /// The servers of a configuration, of which nothing is known yet.
    pub fn new(derived: Derived, metrics: Arc<Registry>, now: Time) -> Self {
        let Derived { config, routes, limits, secret } = derived;
        let (pools, splits) = (HashMap::default(), HashMap::default());
        let discoveries = Arc::default();
        let mut servers =
            Self { discoveries, config, routes, secret, pools, limits, splits, generation: 0, metrics };
        servers.adopt(None, None, now);
        servers
    }

    /// Makes another configuration true. What is known of a server that stays is kept, and of one that comes, what is remembered.
    pub fn reconfigure(&mut self, derived: Derived, memory: Option<&Memory>, now: Time) {
        let Derived { config, routes, limits, secret } = derived;
        let before = std::mem::replace(&mut self.config, config);
        // Cookies depend on the secret.
        let is_comparable = self.secret == secret;
        (self.routes, self.limits, self.secret) = (routes, limits, secret);
        self.adopt(is_comparable.then_some(&*before), memory, now);
        if let Some(memory) = memory {
            self.recall_splits(memory);
        }
        self.forget_removed();
    }

    /// Has the metrics forget what the configuration no longer has.
    fn forget_removed(&self) {
        let has = |pool: &PoolName| self.pools.contains_key(pool);
        let servers: HashSet<(&PoolName, &BackendId)> = (self.pools())
            .flat_map(|pool| pool.backends.iter().map(|backend| (&pool.name, &backend.id)))
            .collect();
        self.metrics.retain(|key| {
            (key.is_of_no_single_route() || self.routes.has(&key.route)) && key.pool.as_ref().is_none_or(has)
        });
        self.metrics.retain_pools(has);
        self.metrics.retain_backends(|pool, id| servers.contains(&(pool, id)));
        self.metrics.retain_routes(|route| self.routes.has(route));
        let listeners: HashSet<&ListenerName> =
            self.config.listeners.iter().map(|listener| &listener.name).collect();
        self.metrics.retain_streams(|listener| listeners.contains(listener));
    }

    /// What is in force, so that it can be put in force again.
    pub fn derived(&self) -> Derived {
        Derived {
            config: Arc::clone(&self.config),
            routes: Arc::clone(&self.routes),
            limits: Arc::clone(&self.limits),
            secret: self.secret.clone(),
        }
    }

    /// The number of the configuration in force.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The rate limits in force.
    pub fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// The configuration in force.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The pools, in the order of the configuration. Their `backends` are the servers that they have now.
    pub fn pools(&self) -> impl Iterator<Item = &Arc<PoolConfig>> {
        self.config.pools.iter().filter_map(|pool| self.pool(&pool.name))
    }

    /// One of the [`pools`](Self::pools).
    pub fn pool(&self, name: &PoolName) -> Option<&Arc<PoolConfig>> {
        self.pools.get(name).map(PoolServers::config)
    }

    /// What the workers are to see from now on; to be asked for once for each configuration.
    pub fn snapshot(&mut self) -> Snapshot {
        self.generation += 1;
        let handle = |pool: &PoolConfig| Some(Arc::clone(self.pools.get(&pool.name)?.handle()));
        let pools = self.config.pools.iter().filter_map(handle).collect();
        Snapshot::new(self.generation, Arc::clone(&self.config), Arc::clone(&self.routes), pools)
            .with_limits(Arc::clone(&self.limits))
            .with_splits(self.splits_by_route())
    }

    /// Has requests that wait for a server look again, after the workers have got another snapshot.
    pub fn wake_waiting(&self) {
        self.pools.values().for_each(PoolServers::wake_waiting);
    }

    /// Takes in the result of a probe.
    pub fn probed(
        &mut self,
        pool: &PoolName,
        id: &BackendId,
        result: Result<Finding, ProbeFailure>,
        now: Time,
    ) {
        let has_passed = result.is_ok();
        let metrics = Arc::clone(&self.metrics);
        let is_published = self.change(pool, now, |servers| {
            let changes = servers.health.probed(id, result, now);
            // Before the new state is seen, so that a server is never out for a lag that it is not shown with.
            let found = servers.health.role(id);
            metrics.backend(pool, id).set_database(found.map(|found| Database {
                role: found.role.word(),
                timeline: found.timeline,
                lag: found.lag,
            }));
            changes
        });
        if has_passed && !is_published {
            self.pools.get_mut(pool).into_iter().for_each(|servers| servers.passed(id));
        }
    }

    /// True while the servers of a pool are checked more often, because none of them has the role that is demanded.
    pub fn is_searching(&self, pool: &PoolName, now: Time) -> bool {
        self.pools.get(pool).is_some_and(|servers| servers.health.is_searching(now))
    }

    /// Takes in a failure of live traffic.
    pub fn failed(&mut self, pool: &PoolName, id: &BackendId, failure: LiveFailure, now: Time) {
        self.change(pool, now, |servers| servers.health.failed(id, failure, now));
    }

    /// Ends what was only for a time.
    pub fn poll(&mut self, now: Time) {
        let is_due = |servers: &PoolServers| servers.health.due().is_some_and(|due| due <= now);
        let due = self.pools.iter().filter(|(_, servers)| is_due(servers)).map(|(name, _)| name.clone());
        let metrics = Arc::clone(&self.metrics);
        for pool in due.collect::<Vec<_>>() {
            let figures = |id: &BackendId| announce::figures(metrics.backend(&pool, id).tries());
            self.change(&pool, now, |servers| servers.health.poll(now, figures));
        }
    }

    /// When [`poll`](Self::poll) has something to do.
    pub fn due(&self) -> Option<Time> {
        self.pools.values().filter_map(|servers| servers.health.due()).min()
    }

    /// When a server is to be probed next; `None` if it is not.
    pub fn next_probe(
        &self,
        pool: &PoolName,
        id: &BackendId,
        now: Time,
        rng: &mut fastrand::Rng,
    ) -> Option<Time> {
        self.pools.get(pool)?.health.next_probe(id, now, rng)
    }

    /// Takes in what was discovered for a pool: these servers, and no others that were discovered before. Requests at servers
    /// that are gone go on. True if the pool discovers servers by `source`.
    pub fn discovered(&mut self, pool: &PoolName, source: &Discover, found: Vec<Backend>, now: Time) -> bool {
        let before = match self.pool(pool) {
            Some(config) if config.discover.as_ref() == Some(source) => Arc::clone(config),
            _ => return false,
        };
        let change = |servers: &mut PoolServers, configured: &PoolConfig, secret: &[u8]| {
            Ok(servers.discovered(configured, found, secret, now))
        };
        if self.change_servers(pool, change).is_err() {
            return false;
        }
        if let Some(after) = self.pool(pool) {
            announce_discovered(&self.metrics, pool, &before.backends, &after.backends);
            let now_there: HashSet<&BackendId> = after.backends.iter().map(|backend| &backend.id).collect();
            self.metrics.retain_backends(|of, server| of != pool || now_there.contains(server));
        }
        true
    }

    /// Forgets what commands to the process before have changed of servers that were not discovered: all were asked for, and they are gone.
    pub fn forget_pending(&mut self, pool: &PoolName) {
        let forgotten = self.pools.get_mut(pool).map(PoolServers::forget_pending).unwrap_or_default();
        if !forgotten.is_empty() {
            let servers = forgotten.join(", ");
            tracing::info!(%pool, servers, "changes by command to the process before are dropped, because these servers are no longer discovered");
        }
    }

    /// Changes which servers a pool has, and logs what follows from that for the others.
    fn change_servers(
        &mut self,
        pool: &PoolName,
        change: impl FnOnce(&mut PoolServers, &PoolConfig, &[u8]) -> Result<Vec<HealthNotice>, EndpointError>,
    ) -> Result<(), CommandError> {
        let configured = self.config.pools.iter().find(|configured| configured.name == *pool);
        let (Some(servers), Some(configured)) = (self.pools.get_mut(pool), configured) else {
            return Err(self.unknown_pool(pool));
        };
        let panic = servers.health.panic();
        let notices = change(servers, configured, &self.secret).map_err(|error| {
            let text = format!("pool {pool}: {error}");
            match error {
                EndpointError::Unknown(id) => servers.unknown(pool, &id),
                EndpointError::Exists(_) => CommandError::Conflict(text),
                EndpointError::TooMany => CommandError::Refused(text),
            }
        })?;
        announce(&self.metrics, pool, &servers.health, &notices);
        announce_panic(&self.metrics, pool, panic, servers.health.panic());
        Ok(())
    }

    /// Applies a change to a pool's health, logs it once, and publishes what follows; false if nothing does.
    fn change(
        &mut self,
        pool: &PoolName,
        now: Time,
        change: impl FnOnce(&mut PoolServers) -> Vec<HealthNotice>,
    ) -> bool {
        let Some(servers) = self.pools.get_mut(pool) else { return false };
        let (version, panic) = (servers.health.version(), servers.health.panic());
        let notices = change(servers);
        announce(&self.metrics, pool, &servers.health, &notices);
        announce_panic(&self.metrics, pool, panic, servers.health.panic());
        if servers.health.version() == version {
            return false;
        }
        servers.update(now);
        true
    }

    /// Brings the pools in line with the configuration. One of which `old` says the same stays as it is: thousands are not made anew for one
    /// that has changed.
    fn adopt(&mut self, old: Option<&Config>, memory: Option<&Memory>, now: Time) {
        let config = Arc::clone(&self.config);
        self.pools.retain(|name, _| self.routes.destinations().position_of(name).is_some());
        let old: HashMap<&PoolName, &PoolConfig> =
            old.iter().flat_map(|old| &old.pools).map(|pool| (&pool.name, pool)).collect();
        let is_new = |pool: &&PoolConfig| old.get(&pool.name) != Some(pool);
        for pool in config.pools.iter().filter(is_new) {
            // It is counted from the start, whether or not a request ever comes.
            self.metrics.pool(&pool.name);
            let remembered = memory.and_then(|memory| memory.pool(&pool.name));
            let (servers, panic, notices) = match (self.pools.remove(&pool.name), remembered) {
                (None, None) => (PoolServers::new(pool, &self.secret, now), None, Vec::new()),
                (None, Some(memory)) => {
                    let (servers, notices) = PoolServers::recalled(pool, memory, &self.secret, now);
                    (servers, None, notices)
                }
                (Some(mut servers), remembered) => {
                    let panic = servers.health.panic();
                    remembered.into_iter().for_each(|memory| servers.recall(memory));
                    let notices = servers.reconfigure(pool, &self.secret, now);
                    (servers, panic, notices)
                }
            };
            announce(&self.metrics, &pool.name, &servers.health, &notices);
            announce_panic(&self.metrics, &pool.name, panic, servers.health.panic());
            self.pools.insert(pool.name.clone(), servers);
        }
    }
}

fn secret(config: &Config) -> Result<Vec<u8>, String> {
    let Some(path) = &config.server.secret_file else { return Ok(SECRET_DEFAULT.into()) };
    secret_bytes(path).map_err(|why| format!("server.secret_file: {why}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
