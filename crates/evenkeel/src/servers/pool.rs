//! What lives on of one pool beside its configuration, under stable ids: which servers it has, each one's health, load and
//! weight, and the pool's affinity and breakers. All changes of it are published through the pool's handle.

mod memory;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use evenkeel_config::{Backend, Pool as PoolConfig, Sticky, unknown_name};
use evenkeel_core::admission::Arrivals;
use evenkeel_core::balance::{Availability, Load, Members, Server};
use evenkeel_core::breaker::{Breaker, Trip};
use evenkeel_core::endpoints::{Addition, EndpointError, Endpoints};
use evenkeel_core::health::{FULL, HealthNotice, PoolHealth};
use evenkeel_core::retry::Retries;
use evenkeel_core::snapshot::{CommandError, Guard, Pool, PoolHandle, ServerState};
use evenkeel_core::sticky::{Cookie, Sessions};
use evenkeel_types::{Address, BackendId, PoolName, Time};

pub use self::memory::PoolMemory;
use super::pending::{Change, Pending};

/// Keys that a pool remembers because they belong elsewhere than their hash says; some 100 bytes each.
const AFFINITY_MAX: usize = 100_000;

/// Removed servers that a pool remembers.
const REMOVED_MAX: usize = 100;

/// What lives on of a pool.
pub struct PoolServers {
    /// The pool's configuration; its `backends` are the servers that it has now.
    config: Arc<PoolConfig>,
    endpoints: Endpoints,
    /// How the servers are.
    pub health: PoolHealth,
    /// Those of servers that are gone as well, for as long as something is in flight there: they may come back.
    loads: HashMap<(BackendId, Address), Arc<Load>>,
    breaker: Arc<Breaker>,
    trips: HashMap<BackendId, Arc<Trip>>,
    /// Servers that commands have removed and nothing has brought back, the last ones: to remove them again changes nothing.
    removed: VecDeque<BackendId>,
    /// Weights that the operator set in place of the configured ones.
    weights: HashMap<BackendId, u32>,
    /// Changes of servers that are not discovered yet.
    pending: Pending,
    /// Made when the configuration first asks for it.
    affinity: Option<Arc<Sessions>>,
    cookie: Option<Arc<Cookie>>,
    members: Arc<Members>,
    retries: Arc<Retries>,
    arrivals: Arc<Arrivals>,
    /// Grows with each state that the workers see.
    edition: u64,
    /// Where the workers find all this.
    handle: Arc<PoolHandle>,
}

impl PoolServers {
    /// The servers of a pool, of which nothing is known yet.
    pub fn new(pool: &PoolConfig, secret: &[u8], now: Time) -> Self {
        let (config, health) = (Arc::new(pool.clone()), PoolHealth::new(pool, now));
        let members = Arc::new(Members::new(&pool.algorithm, Vec::new()));
        let mut servers = Self {
            handle: Arc::new(PoolHandle::new(Arc::clone(&config), nothing(&members))),
            config,
            endpoints: Endpoints::default(),
            health,
            loads: HashMap::new(),
            breaker: Arc::default(),
            trips: HashMap::new(),
            removed: VecDeque::new(),
            weights: HashMap::new(),
            pending: Pending::default(),
            affinity: None,
            cookie: None,
            members,
            retries: Arc::default(),
            arrivals: Arc::default(),
            edition: 0,
        };
        servers.rebuild(secret, now);
        servers.publish();
        servers
    }

    /// That the pool, which has this name, has no such server.
    pub fn unknown(&self, name: &PoolName, id: &BackendId) -> CommandError {
        let state = self.handle().state();
        let known = state.config.backends.iter().map(|backend| backend.id.as_str());
        let missing = format_args!("there is no server {id} in the pool {name}");
        CommandError::NotFound(unknown_name(missing, id.as_str(), known))
    }

    /// The pool's configuration, whose `backends` are the servers that it has now.
    pub fn config(&self) -> &Arc<PoolConfig> {
        &self.config
    }

    /// Where the workers find the pool as it is.
    pub fn handle(&self) -> &Arc<PoolHandle> {
        &self.handle
    }

    /// Takes in another configuration of the pool. It gets a new handle: requests that came before go on under the configuration
    /// that was in force then.
    pub fn reconfigure(&mut self, pool: &PoolConfig, secret: &[u8], now: Time) -> Vec<HealthNotice> {
        self.endpoints.reconfigure(pool);
        let notices = self.adopt(pool, secret, now);
        if pool.discover.is_none() {
            self.pending.clear();
        }
        self.edition += 1;
        self.handle = Arc::new(PoolHandle::new(Arc::clone(&self.config), self.view()));
        self.begin_terms();
        notices
    }

    /// Adds a server to those that `configured` names; the workers see it at once.
    ///
    /// # Errors
    /// The pool has one of that id, or too many.
    pub fn add(
        &mut self,
        configured: &PoolConfig,
        server: Addition,
        secret: &[u8],
        now: Time,
    ) -> Result<Vec<HealthNotice>, EndpointError> {
        self.endpoints.add(configured, server)?;
        let notices = self.adopt(configured, secret, now);
        self.publish();
        Ok(notices)
    }

    /// Removes a server; the workers see it at once, and finish what is in flight there.
    ///
    /// # Errors
    /// The pool does not have it.
    pub fn remove(
        &mut self,
        configured: &PoolConfig,
        id: &BackendId,
        secret: &[u8],
        now: Time,
    ) -> Result<Vec<HealthNotice>, EndpointError> {
        self.endpoints.remove(configured, id)?;
        self.note_removed(id);
        let notices = self.adopt(configured, secret, now);
        self.publish();
        Ok(notices)
    }

    fn note_removed(&mut self, id: &BackendId) {
        self.removed.push_back(id.clone());
        if self.removed.len() > REMOVED_MAX {
            self.removed.pop_front();
        }
    }

    /// Keeps a change of a server that is not discovered yet; false if there are too many.
    pub fn change_later(&mut self, id: &BackendId, change: Change) -> bool {
        let is_kept = self.pending.keep(id.clone(), change);
        if is_kept && change == Change::Removed {
            self.note_removed(id);
        }
        is_kept
    }

    /// The changes of servers that are not discovered yet.
    pub fn pending(&self) -> &Pending {
        &self.pending
    }

    /// Forgets these changes, and says of which servers.
    pub fn forget_pending(&mut self) -> Vec<String> {
        self.pending.clear()
    }

    /// True if a command has removed this server, and it has not come back.
    pub fn was_removed(&self, id: &BackendId) -> bool {
        self.removed.contains(id)
    }

    /// Has these discovered servers from now on, and no others; the workers see it at once, and finish what is in flight
    /// at those that are gone.
    pub fn discovered(
        &mut self,
        configured: &PoolConfig,
        found: Vec<Backend>,
        secret: &[u8],
        now: Time,
    ) -> Vec<HealthNotice> {
        self.endpoints.discover(configured, found);
        self.pending.take_removed(|id| self.endpoints.keep_out(id));
        let notices = self.adopt(configured, secret, now);
        self.publish();
        notices
    }

    /// Sets a server's weight in place of the configured one.
    pub fn weigh(&mut self, id: &BackendId, weight: u32, now: Time) {
        self.weights.insert(id.clone(), weight);
        self.health.weigh(id, weight, now);
    }

    /// What commands have changed: the servers that they added, and those that they removed.
    pub fn changes(&self) -> (&[Backend], impl Iterator<Item = &BackendId>) {
        self.endpoints.changes()
    }

    /// Weights that the operator set.
    pub fn weights(&self) -> impl Iterator<Item = (&BackendId, u32)> {
        self.weights.iter().map(|(id, weight)| (id, *weight))
    }

    /// Takes in what has become of the servers' health and weights; the workers see it at once.
    pub fn update(&mut self, now: Time) {
        self.refresh(now);
        self.publish();
    }

    /// Sessions of terms that have ended end after that: a client that comes back at once is to find the state that follows.
    fn publish(&mut self) {
        self.edition += 1;
        self.handle.publish(Arc::clone(&self.config), self.view());
        self.begin_terms();
        self.wake_waiting();
    }

    /// Requests that wait for a server look again, if one may be used. The workers must see the present state by then.
    pub fn wake_waiting(&self) {
        self.arrivals.publish(self.edition, self.members.usable_count() > 0);
    }

    /// A server that may be used has passed its check: requests that it refused a moment ago, before a check could notice,
    /// look again.
    pub fn passed(&mut self, id: &BackendId) {
        let is_up = self.health.server(id).is_some_and(|health| health.availability() == Availability::Up);
        if is_up && self.arrivals.waiting() > 0 {
            self.publish();
        }
    }

    /// Ends the sessions on servers that have lost their roles.
    fn begin_terms(&self) {
        for (at, term) in self.health.terms().enumerate() {
            self.members.server(at).load.terms().begin(term);
        }
    }

    /// Has the servers that the pool now has. What is known of those that stay is kept.
    fn adopt(&mut self, configured: &PoolConfig, secret: &[u8], now: Time) -> Vec<HealthNotice> {
        let pool = PoolConfig { backends: self.endpoints.of(configured), ..configured.clone() };
        let mut notices = self.health.reconfigure(&pool, now);
        let ids: HashSet<&BackendId> = pool.backends.iter().map(|backend| &backend.id).collect();
        for (id, state, weight) in self.pending.take_set(&ids) {
            notices.extend(state.into_iter().flat_map(|state| self.health.administer(&id, state, now)));
            self.weights.extend(weight.map(|weight| (id, weight)));
        }
        self.weights.retain(|id, _| ids.contains(id));
        for (id, weight) in &self.weights {
            self.health.weigh(id, *weight, now);
        }
        let places: HashSet<(&BackendId, &Address)> =
            pool.backends.iter().map(|backend| (&backend.id, &backend.address)).collect();
        self.loads.retain(|(id, address), load| load.in_flight() > 0 || places.contains(&(id, address)));
        self.trips.retain(|id, _| ids.contains(id));
        self.removed.retain(|id| !ids.contains(id));
        self.config = Arc::new(pool);
        self.rebuild(secret, now);
        notices
    }

    /// Makes members and cookies anew: the servers themselves have changed.
    fn rebuild(&mut self, secret: &[u8], now: Time) {
        let pool = &*Arc::clone(&self.config);
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

    fn guard(&self) -> Option<Guard> {
        let pool = &*self.config;
        let of = |backend: &Backend| self.trips.get(&backend.id).cloned().unwrap_or_default();
        let watched = pool.server_breaker.iter().flat_map(|_| &pool.backends);
        let servers = watched.map(of).collect();
        pool.is_guarded().then(|| Guard { breaker: Arc::clone(&self.breaker), servers })
    }

    /// Makes members anew: the servers are the same, their weights or health are not. Queued requests go by that from now on.
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

    /// What the workers are to see.
    fn view(&self) -> Pool {
        let servers = self.health.servers().zip(self.health.terms()).enumerate();
        let states = servers.map(|(i, ((_, health), term))| ServerState {
            state: health.state(),
            reason: health.reason().to_owned(),
            since: health.since(),
            weight: self.members.server(i).weight,
            term,
        });
        Pool {
            members: Arc::clone(&self.members),
            states: states.collect(),
            panic: self.health.panic().map(|panic| panic.since),
            cookie: self.cookie.clone(),
            affinity: self.affinity.clone().filter(|_| learns(&self.config)),
            retries: Arc::clone(&self.retries),
            guard: self.guard(),
            arrivals: Arc::clone(&self.arrivals),
            edition: self.edition,
        }
    }
}

/// Whether the pool remembers sessions that belong elsewhere than their hash says.
fn learns(pool: &PoolConfig) -> bool {
    matches!(pool.sticky, Some(Sticky::Header(_) | Sticky::AppCookie(_)))
}

/// A pool without servers, for the moment before the first ones are known.
fn nothing(members: &Arc<Members>) -> Pool {
    Pool {
        members: Arc::clone(members),
        states: Arc::default(),
        panic: None,
        arrivals: Arc::default(),
        edition: 0,
        cookie: None,
        affinity: None,
        retries: Arc::default(),
        guard: None,
    }
}
