//! What the workers see: one immutable whole that a reload swaps, and in it for each pool a handle whose state changes
//! with its servers; and the vocabulary in which such changes are asked for.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam_utils::CachePadded;
use evenkeel_config::{self as config, Action, Backend, Config};
use evenkeel_types::{BackendId, PoolName, RouteName, Time};
use xxhash_rust::xxh3::Xxh3;

use crate::admission::Arrivals;
use crate::balance::Members;
use crate::breaker::{Breaker, Trip};
use crate::cache::Scope;
use crate::endpoints::Addition;
use crate::health::{Administrative, State};
use crate::limit::Limits;
use crate::retry::Retries;
use crate::route::RouteTable;
use crate::sticky::{Cookie, Sessions};

/// A configuration in force. It changes with reloads only; what becomes of the servers is behind [`PoolHandle`]s.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// 1 in a new process; grows with each reload, and with each change of a split.
    pub generation: u64,
    /// The configuration that it was made from.
    pub config: Arc<Config>,
    /// Its routes.
    pub routes: Arc<RouteTable>,
    /// Its pools, in the order of `config.pools`.
    pub pools: Vec<Arc<PoolHandle>>,
    /// The rate limits of its routes.
    pub limits: Arc<Limits>,
    /// What commands have set in place of the weights of routes' splits, by route.
    splits: Arc<HashMap<usize, Split>>,
}

/// The pools between which a route divides its requests, and their weights.
pub type Split = Box<[(PoolName, u32)]>;

/// One pool of a snapshot: all that is known of it at any moment. A change of one server's state costs the workers work
/// for its pool alone: they compare a version for the pool that a request uses, and look at the state only when it is
/// another one.
#[derive(Debug)]
pub struct PoolHandle {
    state: ArcSwap<PoolState>,
    /// That of the state, where it can be read without taking a reference to the state.
    version: CachePadded<AtomicU64>,
}

/// A pool at one moment.
#[derive(Debug, Clone)]
pub struct PoolState {
    /// Grows with each state of a handle.
    pub version: u64,
    /// The pool's configuration. Its `backends` are the servers that the pool has now, which commands may have changed.
    /// States that have the same servers share it.
    pub config: Arc<config::Pool>,
    /// The servers, in the order of its `backends`.
    pub servers: Pool,
}

impl PoolHandle {
    /// A handle with its first state.
    pub fn new(config: Arc<config::Pool>, servers: Pool) -> Self {
        let state = PoolState { version: 1, config, servers };
        Self { version: CachePadded::new(AtomicU64::new(state.version)), state: ArcSwap::from_pointee(state) }
    }

    /// The version of the present state; an atomic load.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Acquire)
    }

    /// The present state. It may be newer than what [`version`](Self::version) said a moment ago, never older.
    pub fn state(&self) -> Arc<PoolState> {
        self.state.load_full()
    }

    /// Puts another state in the place of the present one. One thread alone does this.
    pub fn publish(&self, config: Arc<config::Pool>, servers: Pool) {
        let version = self.state.load().version + 1;
        self.state.store(Arc::new(PoolState { version, config, servers }));
        self.version.store(version, Release);
    }
}

impl PoolState {
    /// What operators and the configuration say of the servers, in brief: it is another text whenever an id, an address, a weight, a
    /// role as backup, or the operator's word about a server is another. Health and load do not count.
    pub fn settings_tag(&self) -> String {
        let mut hash = Xxh3::new();
        for (backend, state) in self.config.backends.iter().zip(self.servers.states.iter()) {
            let word = state.administrative().as_str();
            let Backend { id, address, max_connections, .. } = backend;
            let text = format!(
                "{id}\n{address}\n{}\n{}\n{max_connections:?}\n{word}\n",
                state.weight, backend.backup
            );
            hash.update(text.as_bytes());
        }
        format!("{:016x}", hash.digest())
    }
}

/// The servers of one pool at one moment. What lives longer is shared.
#[derive(Debug, Clone)]
pub struct Pool {
    /// Its servers, ready to be chosen from.
    pub members: Arc<Members>,
    /// The state of each server, in the order of the configuration.
    pub states: Arc<[ServerState]>,
    /// Since when ejected servers are used as well, because too few others are left.
    pub panic: Option<Time>,
    /// For `sticky = { cookie }`: the values that name the servers.
    pub cookie: Option<Arc<Cookie>>,
    /// For `sticky = { header }` and `{ app_cookie }`: which keys belong elsewhere than their hash says.
    pub affinity: Option<Arc<Sessions>>,
    /// What its retries may cost.
    pub retries: Arc<Retries>,
    /// For a pool with limits or circuit breakers.
    pub guard: Option<Guard>,
    /// The requests that wait for a server of the pool.
    pub arrivals: Arc<Arrivals>,
    /// Which state of the servers this is; grows over the life of the pool.
    pub edition: u64,
}

/// What keeps a pool from being given more than it can do.
#[derive(Debug, Clone)]
pub struct Guard {
    /// Its places, its queue and its own circuit breaker.
    pub breaker: Arc<Breaker>,
    /// For `server_breaker`: the circuit breaker of each server, in the order of the configuration; else empty.
    pub servers: Arc<[Arc<Trip>]>,
}

/// What is known of a server, for people.
#[derive(Debug, Clone)]
pub struct ServerState {
    /// Its state.
    pub state: State,
    /// Why it is in it.
    pub reason: String,
    /// Since when.
    pub since: Time,
    /// Its weight, which the operator may have changed. While it starts slowly it counts with less.
    pub weight: u32,
    /// The term in its role that connections which are opened to it now belong to.
    pub term: u64,
}

impl ServerState {
    /// What the operator wants of it.
    pub fn administrative(&self) -> Administrative {
        match self.state {
            State::Draining => Administrative::Drain,
            State::Disabled => Administrative::Disable,
            State::Up | State::Starting | State::Down | State::Unfit | State::Ejected => {
                Administrative::Ready
            }
        }
    }
}

impl Snapshot {
    /// A snapshot of `config`, whose pools are given in its order.
    pub fn new(
        generation: u64,
        config: Arc<Config>,
        routes: Arc<RouteTable>,
        pools: Vec<Arc<PoolHandle>>,
    ) -> Self {
        debug_assert_eq!(config.pools.len(), pools.len());
        Self { generation, config, routes, pools, limits: Arc::default(), splits: Arc::default() }
    }

    /// The same with these limits; without them nothing is limited.
    pub fn with_limits(self, limits: Arc<Limits>) -> Self {
        Self { limits, ..self }
    }

    /// The same with these weights in place of those of the routes' splits, by route. Each has the pools of its route's split in
    /// the same order.
    pub fn with_splits(self, splits: HashMap<usize, Split>) -> Self {
        Self { splits: Arc::new(splits), ..self }
    }

    /// Between which pools a route divides its requests at this moment; `None` if it does not.
    pub fn split_of(&self, route: usize) -> Option<&[(PoolName, u32)]> {
        let Action::Split(configured) = &self.routes.route(route).action else { return None };
        // Nothing is looked up where no command has set anything.
        let set = if self.splits.is_empty() { None } else { self.splits.get(&route) };
        Some(set.map_or(configured, |split| split))
    }

    /// What the configuration and operators say of the split of a route, in brief: it is another text whenever a pool or a weight is
    /// another. `None` if the route has no split.
    pub fn split_tag(&self, route: usize) -> Option<String> {
        let Action::Split(configured) = &self.routes.route(route).action else { return None };
        let mut hash = Xxh3::new();
        for ((pool, weight), (_, now)) in configured.iter().zip(self.split_of(route)?) {
            hash.update(format!("{pool}\n{weight}\n{now}\n").as_bytes());
        }
        Some(format!("{:016x}", hash.digest()))
    }

    /// Where a pool stands in [`Self::pools`]; `None` if the configuration does not have it.
    pub fn position_of(&self, pool: &PoolName) -> Option<usize> {
        self.routes.destinations().position_of(pool)
    }

    /// The pools of a route's action, as positions in [`Self::pools`]: one for `pool`, one a share for `split`.
    pub fn targets(&self, route: usize) -> &[usize] {
        self.routes.destinations().targets(route)
    }

    /// The pool that a route sends a request to, given a random number; `None` if it answers by itself.
    pub fn pool_of(&self, route: usize, roll: u64) -> Option<usize> {
        match self.split_of(route) {
            Some(split) => self.targets(route).get(crate::route::choose(split, roll)).copied(),
            None => self.targets(route).first().copied(),
        }
    }

    /// The pool that gets copies of a route's requests.
    pub fn mirror_of(&self, route: usize) -> Option<usize> {
        self.routes.destinations().mirror_of(route)
    }

    /// The pool of cache nodes that gets what a route's cache does not have.
    pub fn parent_of(&self, route: usize) -> Option<usize> {
        self.routes.destinations().parent_of(route)
    }

    /// The pools without a server that takes requests, but for those that routes only ask first and can do without.
    pub fn unusable(&self) -> impl Iterator<Item = &PoolName> {
        let is_usable = |pool: &PoolHandle| pool.state.load().servers.members.usable_count() > 0;
        let pools = self.config.pools.iter().zip(&self.pools).enumerate();
        pools
            .filter(move |(i, (_, pool))| !is_usable(pool) && self.routes.destinations().is_needed(*i))
            .map(|(_, (pool, _))| &pool.name)
    }
}

/// What an operator, or a program on the operator's behalf, asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Reads the configuration again and makes it true.
    Reload,
    /// The same, but the configuration before comes back unless [`Command::Confirm`] comes within this time.
    Try {
        /// From the moment when the new configuration is in force.
        within: Duration,
    },
    /// Decides about a configuration that awaits its confirmation.
    Confirm {
        /// It stays; else the one before comes back.
        keep: bool,
    },
    /// Changes one server until the next command that names it; a reload keeps it.
    Server {
        /// The server's pool.
        pool: PoolName,
        /// The server.
        id: BackendId,
        /// Drain it, or take it back.
        administrative: Option<Administrative>,
        /// Gives it another weight.
        weight: Option<u32>,
    },
    /// Adds a server to a pool; a reload keeps it.
    AddServer {
        /// The pool.
        pool: PoolName,
        /// The server. Its id must not be that of another server of the pool.
        server: Addition,
    },
    /// Gives pools of a route's split other weights. A reload keeps that for as long as the configuration says the same of the
    /// split.
    Split {
        /// The route.
        route: RouteName,
        /// The weights; a pool that is not named keeps its own.
        weights: Vec<(PoolName, u32)>,
    },
    /// Has the log hold what the level says: `error`, `warn`, `info`, `debug` or `trace`.
    LogLevel(String),
    /// Purges cached responses.
    Purge {
        /// Which: all that any of these speaks of.
        scopes: Vec<Scope>,
        /// They become stale, and are not removed.
        soft: bool,
        /// In the words of the client, as in `url http://shop.example.com/a`.
        asked: String,
        /// All of the host that is spoken of: the answer says if nothing of it is cached.
        host: Option<Scope>,
    },
    /// Takes a server out of a pool, as a reload does that no longer names it: it finishes the requests that it has. It
    /// stays out, also over reloads, until it is added again or the configuration has not named it for once.
    RemoveServer {
        /// The server's pool.
        pool: PoolName,
        /// The server.
        id: BackendId,
    },
}

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandDone {
    /// It was carried out.
    Done,
    /// All was so already.
    Unchanged,
    /// A configuration was read and is in force; what it warns of.
    Reloaded(Vec<String>),
    /// A purge is in force.
    Purged(Purged),
}

/// What a purge came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    /// Its number: it grows from purge to purge, and begins anew with the process.
    pub sequence: u64,
    /// Responses in memory that it is about; `None` if too many are stored to count at once.
    pub objects: Option<u64>,
    /// Responses in memory of the host that is spoken of, before the purge.
    pub host_objects: Option<u64>,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandError {
    /// There is no such pool, server or route.
    NotFound(String),
    /// It contradicts what is there, such as a server of the same id at another address.
    Conflict(String),
    /// The pool is not as the client believes: others have changed it.
    Changed(String),
    /// What is asked for is wrong or cannot take effect, such as a new configuration; all stays as it was.
    Refused(String),
}
