//! What lives on beside the configuration, under stable ids: each server's health, load and weight, each pool's
//! affinity. From both together come the snapshots that the workers see.

use std::collections::{HashMap, HashSet};
use std::hash::RandomState;
use std::sync::Arc;

use evenkeel_config::{Backend, Config, Pool as PoolConfig, Sticky};
use evenkeel_core::balance::{Load, Members, Server};
use evenkeel_core::breaker::{Breaker, Trip};
use evenkeel_core::health::{
    Administrative, Cause, Event, FULL, Failure, Figures, Notice, Panic, PoolHealth, ProbeFailure, State,
};
use evenkeel_core::limit::Limits;
use evenkeel_core::retry::Retries;
use evenkeel_core::route::RouteTable;
use evenkeel_core::snapshot::{CommandError, Guard, Pool, ServerState, Snapshot};
use evenkeel_core::sticky::{Cookie, Sessions};
use evenkeel_observe::{OutlierCause, OutlierOutcome, Registry, Tries};
use evenkeel_types::{Address, BackendId, PoolName, RouteName, Time};

use crate::secret::secret_bytes;

/// Keys that a pool remembers because they belong elsewhere than their hash says; some 100 bytes each.
const AFFINITY_MAX: usize = 100_000;

/// Keys the cookies of balancers that share no secret. Whoever guesses a server's address can then check the guess.
const SECRET_DEFAULT: &[u8] = b"evenkeel";

/// All servers of all pools.
pub struct Fleet {
    config: Arc<Config>,
    routes: Arc<RouteTable>,
    secret: Vec<u8>,
    pools: HashMap<PoolName, PoolState>,
    limits: Arc<Limits>,
    generation: u64,
    registry: Arc<Registry>,
}

/// What lives on of a pool.
struct PoolState {
    health: PoolHealth,
    /// Those of servers that are gone as well, for as long as something is in flight there: they may come back.
    loads: HashMap<(BackendId, Address), Arc<Load>>,
    breaker: Arc<Breaker>,
    trips: HashMap<BackendId, Arc<Trip>>,
    /// Weights that the operator set in place of the configured ones.
    weights: HashMap<BackendId, u32>,
    /// Made when the configuration first asks for it.
    affinity: Option<Arc<Sessions>>,
    cookie: Option<Arc<Cookie>>,
    members: Arc<Members>,
    retries: Arc<Retries>,
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

impl Fleet {
    /// The servers of a configuration, of which nothing is known yet.
    pub fn new(derived: Derived, registry: Arc<Registry>, now: Time) -> Self {
        let Derived { config, routes, limits, secret } = derived;
        let pools = HashMap::new();
        let mut fleet = Self { config, routes, secret, pools, limits, generation: 0, registry };
        fleet.adopt(now);
        fleet
    }

    /// Makes another configuration true. What is known of a server that stays is kept.
    pub fn reconfigure(&mut self, derived: Derived, now: Time) {
        let Derived { config, routes, limits, secret } = derived;
        (self.config, self.routes, self.limits, self.secret) = (config, routes, limits, secret);
        self.adopt(now);
        self.forget_removed();
    }

    /// Has the metrics forget what the configuration no longer has.
    fn forget_removed(&self) {
        let pools: HashSet<&PoolName> = self.config.pools.iter().map(|pool| &pool.name).collect();
        let servers: HashSet<(&PoolName, &BackendId)> = (self.config.pools.iter())
            .flat_map(|pool| pool.backends.iter().map(|backend| (&pool.name, &backend.id)))
            .collect();
        let routes: HashSet<&RouteName> = self.config.routes.iter().map(|route| &route.name).collect();
        self.registry.retain(|key| key.pool.as_ref().is_none_or(|pool| pools.contains(pool)));
        self.registry.retain_pools(|pool| pools.contains(pool));
        self.registry.retain_backends(|pool, id| servers.contains(&(pool, id)));
        self.registry.retain_routes(|route| routes.contains(route));
    }

    /// The rate limits in force.
    pub fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// The configuration in force.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// What the workers are to see now.
    pub fn snapshot(&mut self) -> Snapshot {
        self.generation += 1;
        let pools = self
            .config
            .pools
            .iter()
            .filter_map(|pool| Some(self.pools.get(&pool.name)?.view(pool)))
            .collect();
        Snapshot::new(self.generation, Arc::clone(&self.config), Arc::clone(&self.routes), pools)
            .with_limits(Arc::clone(&self.limits))
    }

    /// Takes in the result of a probe; true if the workers must know.
    pub fn probed(
        &mut self,
        pool: &PoolName,
        id: &BackendId,
        result: Result<(), ProbeFailure>,
        now: Time,
    ) -> bool {
        self.change(pool, now, |state| state.health.probed(id, result, now))
    }

    /// Takes in a failure of live traffic; true if the workers must know.
    pub fn failed(&mut self, pool: &PoolName, id: &BackendId, failure: Failure, now: Time) -> bool {
        self.change(pool, now, |state| state.health.failed(id, failure, now))
    }

    /// Ends what was only for a time; true if the workers must know.
    pub fn poll(&mut self, now: Time) -> bool {
        let names: Vec<PoolName> = self.pools.keys().cloned().collect();
        // Not `any`: every pool must be polled.
        let registry = Arc::clone(&self.registry);
        let poll = |pool: &PoolName, state: &mut PoolState| {
            state.health.poll(now, |id| figures(registry.backend(pool, id).tries()))
        };
        names.iter().filter(|pool| self.change(pool, now, |state| poll(pool, state))).count() > 0
    }

    /// When [`poll`](Self::poll) has something to do.
    pub fn due(&self) -> Option<Time> {
        self.pools.values().filter_map(|state| state.health.due()).min()
    }

    /// When a server is to be probed next; `None` if it is not.
    pub fn next_probe(
        &self,
        pool: &PoolName,
        id: &BackendId,
        now: Time,
        rng: &mut fastrand::Rng,
    ) -> Option<Time> {
        self.pools.get(pool)?.health.server(id)?.next_probe(now, rng)
    }

    /// Does what the operator wants of a server.
    ///
    /// # Errors
    /// There is no such server.
    pub fn administer(
        &mut self,
        pool: &PoolName,
        id: &BackendId,
        administrative: Option<Administrative>,
        weight: Option<u32>,
        now: Time,
    ) -> Result<(), CommandError> {
        let state = self.pools.get(pool).filter(|state| state.health.server(id).is_some());
        if state.is_none() {
            return Err(CommandError::NotFound(format!("there is no server {id} in a pool {pool}")));
        }
        self.change(pool, now, |state| {
            let mut notices = Vec::new();
            if let Some(wanted) = administrative {
                notices.extend(state.health.administer(id, wanted, now));
            }
            if let Some(weight) = weight {
                tracing::info!(%pool, server = %id, weight, "weight set by the operator");
                state.weights.insert(id.clone(), weight);
                state.health.weigh(id, weight, now);
            }
            notices
        });
        if let Some(state) = self.pools.get_mut(pool) {
            state.refresh(now);
        }
        Ok(())
    }

    /// Applies a change to a pool's health and tells the world about it, once.
    fn change(
        &mut self,
        pool: &PoolName,
        now: Time,
        change: impl FnOnce(&mut PoolState) -> Vec<Notice>,
    ) -> bool {
        let Some(state) = self.pools.get_mut(pool) else { return false };
        let (version, panic) = (state.health.version(), state.health.panic());
        let notices = change(state);
        tell(&self.registry, pool, &state.health, &notices);
        tell_panic(pool, panic, state.health.panic());
        if state.health.version() == version {
            return false;
        }
        state.refresh(now);
        true
    }

    /// Brings the pools in line with the configuration.
    fn adopt(&mut self, now: Time) {
        let mut before = std::mem::take(&mut self.pools);
        for pool in &self.config.pools {
            let state = match before.remove(&pool.name) {
                None => PoolState::new(pool, &self.secret, now),
                Some(mut state) => {
                    let panic = state.health.panic();
                    let notices = state.reconfigure(pool, &self.secret, now);
                    tell(&self.registry, &pool.name, &state.health, &notices);
                    tell_panic(&pool.name, panic, state.health.panic());
                    state
                }
            };
            self.pools.insert(pool.name.clone(), state);
        }
    }
}

impl PoolState {
    fn new(pool: &PoolConfig, secret: &[u8], now: Time) -> Self {
        let mut state = Self {
            health: PoolHealth::new(pool, now),
            loads: HashMap::new(),
            breaker: Arc::default(),
            trips: HashMap::new(),
            weights: HashMap::new(),
            affinity: None,
            cookie: None,
            members: Arc::new(Members::new(&pool.algorithm, Vec::new())),
            retries: Arc::default(),
        };
        state.rebuild(pool, secret, now);
        state
    }

    fn reconfigure(&mut self, pool: &PoolConfig, secret: &[u8], now: Time) -> Vec<Notice> {
        let notices = self.health.reconfigure(pool, now);
        self.weights.retain(|id, _| pool.backends.iter().any(|backend| backend.id == *id));
        for (id, weight) in &self.weights {
            self.health.weigh(id, *weight, now);
        }
        let is_there = |id: &BackendId, address: &Address| {
            pool.backends.iter().any(|backend| backend.id == *id && backend.address == *address)
        };
        self.loads.retain(|(id, address), load| load.in_flight() > 0 || is_there(id, address));
        self.trips.retain(|id, _| pool.backends.iter().any(|backend| backend.id == *id));
        self.rebuild(pool, secret, now);
        notices
    }

    /// Makes members and cookies anew: the servers themselves have changed.
    fn rebuild(&mut self, pool: &PoolConfig, secret: &[u8], now: Time) {
        let Self { health, loads, weights, .. } = self;
        let servers = pool.backends.iter().zip(health.standings()).map(|(backend, (_, availability))| {
            let server = Server {
                id: backend.id.clone(),
                weight: weights.get(&backend.id).copied().unwrap_or(backend.weight),
                backup: backend.backup,
                load: Arc::clone(loads.entry((backend.id.clone(), backend.address.clone())).or_default()),
            };
            (server, availability)
        });
        self.members = Arc::new(Members::new(&pool.algorithm, servers.collect()));
        if health.standings().any(|(part, _)| part < FULL) {
            self.refresh(now);
        }
        self.cookie = matches!(pool.sticky, Some(Sticky::Cookie { .. })).then(|| {
            let ids: Vec<BackendId> = pool.backends.iter().map(|backend| backend.id.clone()).collect();
            Arc::new(Cookie::new(secret, &pool.name, &ids))
        });
        if pool.server_breaker.is_some() {
            for backend in &pool.backends {
                self.trips.entry(backend.id.clone()).or_default();
            }
        }
        self.breaker.reconfigure(pool, &self.members, now);
        if learns(pool) {
            self.affinity.get_or_insert_with(|| Arc::new(Sessions::new(AFFINITY_MAX)));
            // Makes the hash ring here, before a worker would have to.
            self.members.owner(0, &[]);
        }
    }

    fn guard(&self, pool: &PoolConfig) -> Option<Guard> {
        let of = |backend: &Backend| self.trips.get(&backend.id).cloned().unwrap_or_default();
        let watched = pool.server_breaker.iter().flat_map(|_| &pool.backends);
        let servers = watched.map(of).collect();
        pool.is_guarded().then(|| Guard { breaker: Arc::clone(&self.breaker), servers })
    }

    /// Makes members anew: the servers are the same, their weights or health are not. Who waits goes by that from now on.
    fn refresh(&mut self, now: Time) {
        let Self { health, weights, members, .. } = self;
        let standings: Vec<_> = health.standings().collect();
        *members = Arc::new(members.with_parts(|at, server| {
            let weight = weights.get(&server.id).copied().unwrap_or(server.weight);
            let (part, availability) = standings[at];
            (weight, part, availability)
        }));
        self.breaker.follow(&self.members, now);
    }

    fn view(&self, pool: &PoolConfig) -> Pool {
        let states = self.health.servers().enumerate().map(|(i, (_, health))| ServerState {
            state: health.state(),
            reason: health.reason().to_owned(),
            since: health.since(),
            weight: self.members.server(i).weight,
        });
        Pool {
            members: Arc::clone(&self.members),
            states: states.collect(),
            panic: self.health.panic().map(|panic| panic.since),
            cookie: self.cookie.clone(),
            affinity: self.affinity.clone().filter(|_| learns(pool)),
            retries: Arc::clone(&self.retries),
            guard: self.guard(pool),
        }
    }
}

/// Whether the pool remembers sessions that belong elsewhere than their hash says.
fn learns(pool: &PoolConfig) -> bool {
    matches!(pool.sticky, Some(Sticky::Header(_) | Sticky::AppCookie(_)))
}

/// Logs and counts changes of state; each comes here once.
fn tell(registry: &Registry, pool: &PoolName, health: &PoolHealth, notices: &[Notice]) {
    for Notice { server, event } in notices {
        let figures = registry.backend(pool, server);
        match event {
            Event::Transition(change) => {
                figures.transition(change.from.as_str(), change.to.as_str());
                // An ejection that a drain had hidden was counted when it began.
                let is_ejection = change.from == State::Up && change.to == State::Ejected;
                let cause = health.server(server).and_then(|server| server.cause()).filter(|_| is_ejection);
                if let Some(cause) = cause {
                    figures.stood_out(label(cause), OutlierOutcome::Ejected);
                }
                let (from, to, reason) = (change.from.as_str(), change.to.as_str(), &change.reason);
                tracing::info!(%pool, %server, from, to, reason, "server state changed");
            }
            Event::Kept { reason, cause, hold, .. } => {
                figures.stood_out(label(*cause), OutlierOutcome::Kept);
                tracing::warn!(%pool, %server, reason, "server kept although it fails: {hold}");
            }
        }
    }
}

/// Logs that ejected servers are used from now on, or no longer.
fn tell_panic(pool: &PoolName, before: Option<Panic>, after: Option<Panic>) {
    match (before, after) {
        (None, Some(_)) => {
            tracing::warn!(%pool, "panic: too few servers are left, ejected ones are used as well");
        }
        (Some(_), None) => tracing::info!(%pool, "panic is over: enough servers are left"),
        _ => {}
    }
}

fn label(cause: Cause) -> OutlierCause {
    match cause {
        Cause::Failures => OutlierCause::Failures,
        Cause::SuccessRate => OutlierCause::SuccessRate,
        Cause::Latency => OutlierCause::Latency,
    }
}

fn figures(tries: Tries) -> Figures {
    Figures {
        requests: tries.ended,
        failures: tries.failed,
        timed: tries.timed,
        latency_sum: tries.latency_sum,
    }
}

fn secret(config: &Config) -> Result<Vec<u8>, String> {
    let Some(path) = &config.server.secret_file else { return Ok(SECRET_DEFAULT.into()) };
    secret_bytes(path).map_err(|why| format!("server.secret_file: {why}"))
}
