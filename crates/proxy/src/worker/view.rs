//! One worker's view of a snapshot: the shared, immutable part, beside what belongs to this worker alone.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use evenkeel_config::{self as config, Priority};
use evenkeel_core::balance::Picker;
use evenkeel_core::limit::{Mask, Question, Verdict};
use evenkeel_core::retry::Purse;
use evenkeel_core::snapshot::Snapshot;
use evenkeel_observe::{PoolMetrics, Registry, RequestFigures, Series, SeriesKey};
use evenkeel_tls::ServerTls;
use evenkeel_types::{BackendId, ListenerName, PoolName};

use crate::forward::held::Guarded;
use crate::http::head::HeadLimits;
use crate::request::incoming::Request;
use crate::request::limits::redis::Redis;
use crate::request::tally::Tally;
use crate::server::Upstream;
use crate::server::h1;
use crate::shared::Shared;

/// What a request needs to know, from its admission to its record.
#[derive(Debug)]
pub struct View {
    /// The snapshot.
    pub snapshot: Arc<Snapshot>,
    /// This worker's side of each pool, in the order of the snapshot.
    pub pools: Vec<PoolView>,
    /// Certificates of the listeners that have TLS, in the order of the configuration.
    pub tls: Vec<Option<Arc<ServerTls>>>,
    /// Which listeners lead to a route of high priority, in the order of the configuration.
    pub leads_to_high: Vec<bool>,
    /// Names of fields in which servers are told who a client is: nobody else may set them, on any listener.
    pub reserved: Vec<String>,
    /// Where each listener stands in the configuration.
    listeners: HashMap<ListenerName, usize>,
    /// Requests that reached no server, by route; the last is for those that no route took.
    unserved: RefCell<Vec<Option<Arc<Series>>>>,
    /// Where rate limits and mirrors are counted.
    pub tally: Tally,
    /// Where rate limits are counted together with other balancers.
    pub redis: Option<Rc<Redis>>,
    /// Limits of every head.
    pub heads: HeadLimits,
    registry: Arc<Registry>,
    worker: usize,
}

/// One worker's side of a pool.
#[derive(Debug)]
pub struct PoolView {
    /// Cursors and random source; they outlive the view.
    pub picker: Rc<RefCell<Picker>>,
    /// Copies of other pools' requests that are under way to it; outlives the view as well.
    pub copies: Rc<Cell<usize>>,
    /// The servers, in the order of the configuration.
    pub upstreams: Vec<Rc<Upstream>>,
    /// What this worker has to pay into the retry budget.
    pub purse: Purse,
    /// What is counted of it as a whole.
    pub figures: Arc<PoolMetrics>,
    /// For what a request holds of it, if it has limits. Its references are this worker's own to count.
    pub guarded: Option<Rc<Guarded>>,
    /// True if some route asks how long its answers take.
    pub is_measured: bool,
    /// Where requests to each of them are counted.
    series: Vec<Rc<SeriesByRoute>>,
}

/// Where requests to one server are counted, by the route's position. A series is looked up once and then kept, for
/// its own count of references is shared by all workers.
type SeriesByRoute = RefCell<Vec<Option<Arc<Series>>>>;

impl View {
    /// Looks at `snapshot`, taking over from `old` whatever still has a place in it.
    pub fn new(shared: &Shared, old: Option<&View>, worker: usize) -> Self {
        let (snapshot, credentials, registry) = (shared.snapshot(), shared.credentials(), &shared.registry);
        let config = &snapshot.config;
        let inherited = old.map(View::by_name).unwrap_or_default();
        // Series are kept by the route's position, which means something only while the routes stay the same.
        let same_routes = old.is_some_and(|old| Arc::ptr_eq(&old.snapshot.routes, &snapshot.routes));
        let hedged = hedged(&snapshot);
        let pool_view = |(i, pool): (usize, &config::Pool)| {
            let tls = credentials.pools.get(&pool.name);
            let server = |(j, backend): (usize, &config::Backend)| {
                let load = &snapshot.pools[i].members.server(j).load;
                match inherited.servers.get(&(&pool.name, &backend.id)) {
                    Some((upstream, series)) if upstream.serves(backend, pool, load, tls) => {
                        (Rc::clone(upstream), if same_routes { Rc::clone(series) } else { Rc::default() })
                    }
                    _ => {
                        let upstream = Upstream::new(backend, pool, load, tls, (worker, registry));
                        (Rc::new(upstream), Rc::default())
                    }
                }
            };
            let (upstreams, series) = pool.backends.iter().enumerate().map(server).unzip();
            let picker = inherited.pickers.get(&pool.name).map(|picker| Rc::clone(picker));
            let new_picker = || Rc::new(RefCell::new(Picker::new(worker as u64)));
            let copies = inherited.copies.get(&pool.name).map(|copies| Rc::clone(copies)).unwrap_or_default();
            let figures = registry.pool(&pool.name);
            let guard = snapshot.pools[i].guard.as_ref();
            PoolView {
                guarded: guard
                    .map(|_| Rc::new(Guarded::new((shared.clock, registry), &snapshot, i, &figures))),
                picker: picker.unwrap_or_else(new_picker),
                copies,
                upstreams,
                purse: Purse::default(),
                figures,
                is_measured: hedged.contains(&i),
                series,
            }
        };
        Self {
            pools: config.pools.iter().enumerate().map(pool_view).collect(),
            tls: config.listeners.iter().map(|l| credentials.listeners.get(&l.name).cloned()).collect(),
            reserved: reserved(config),
            leads_to_high: leads_to_high(config),
            tally: Tally::new(registry, worker),
            redis: redis(config, credentials.redis_password.as_ref(), old, registry),
            listeners: config.listeners.iter().enumerate().map(|(i, l)| (l.name.clone(), i)).collect(),
            unserved: RefCell::new(vec![None; snapshot.routes.len() + 1]),
            heads: HeadLimits::from(&config.limits),
            registry: Arc::clone(registry),
            worker,
            snapshot: Arc::clone(&snapshot),
        }
    }

    fn by_name(&self) -> Inherited<'_> {
        let mut inherited = Inherited::default();
        for (config, view) in self.snapshot.config.pools.iter().zip(&self.pools) {
            inherited.pickers.insert(&config.name, &view.picker);
            inherited.copies.insert(&config.name, &view.copies);
            for (upstream, series) in view.upstreams.iter().zip(&view.series) {
                inherited.servers.insert((&config.name, &upstream.id), (upstream, series));
            }
        }
        inherited
    }

    /// Lets go of the servers that `next` has no more, and of a Redis that is another one.
    pub fn retire_all_but(&self, next: &View) {
        if let Some(redis) = &self.redis
            && !next.redis.as_ref().is_some_and(|next| Rc::ptr_eq(next, redis))
        {
            redis.retire();
        }
        let kept: HashSet<*const Upstream> = next.upstreams().map(Rc::as_ptr).collect();
        self.upstreams()
            .filter(|upstream| !kept.contains(&Rc::as_ptr(upstream)))
            .for_each(|upstream| upstream.retire());
    }

    /// Asks Redis about those limits of a route that are in `mask`; false if it does not answer.
    pub async fn ask_redis(
        &self,
        route: usize,
        mask: Mask,
        request: &Request<'_>,
        verdict: &mut Verdict,
    ) -> bool {
        let Some(redis) = &self.redis else { return false };
        let (name, limits) = (&self.snapshot.routes.route(route).name, self.snapshot.limits.of(route));
        let question = Question::new(redis.prefix(), name.as_str(), limits, mask, request);
        redis.ask(&question).await.is_some_and(|answer| question.read(&answer, verdict))
    }

    /// All servers of all pools.
    pub fn upstreams(&self) -> impl Iterator<Item = &Rc<Upstream>> {
        self.pools.iter().flat_map(|pool| &pool.upstreams)
    }

    /// The configuration of a pool.
    pub fn pool(&self, pool: usize) -> &config::Pool {
        &self.snapshot.config.pools[pool]
    }

    /// Where a listener stands in the configuration; `None` if it no longer has it.
    pub fn listener_position(&self, name: &ListenerName) -> Option<usize> {
        self.listeners.get(name).copied()
    }

    /// A listener.
    pub fn listener(&self, position: usize) -> &config::Listener {
        &self.snapshot.config.listeners[position]
    }

    /// Counts a request of `route` that `server`, a pool's and a server's position, has served.
    pub fn count(
        &self,
        route: Option<usize>,
        pool: Option<usize>,
        server: Option<usize>,
        figures: &RequestFigures,
    ) {
        let make = |backend: Option<&Upstream>| {
            self.registry.series(match route {
                None => SeriesKey::unrouted(),
                Some(route) => SeriesKey {
                    route: self.snapshot.routes.route(route).name.clone(),
                    pool: pool.map(|pool| self.pool(pool).name.clone()),
                    backend: backend.map(|backend| backend.id.clone()),
                },
            })
        };
        match (route, pool, server) {
            (Some(route), Some(pool), Some(server)) => {
                let upstream = &self.pools[pool].upstreams[server];
                let mut series = self.pools[pool].series[server].borrow_mut();
                if series.len() <= route {
                    series.resize(route + 1, None);
                }
                series[route].get_or_insert_with(|| make(Some(upstream))).shard(self.worker).record(figures);
            }
            // Rare enough to be looked up by name each time.
            (Some(_), Some(_), None) => make(None).shard(self.worker).record(figures),
            (route, ..) => {
                let mut unserved = self.unserved.borrow_mut();
                let slot = &mut unserved[route.unwrap_or(self.snapshot.routes.len())];
                slot.get_or_insert_with(|| make(None)).shard(self.worker).record(figures);
            }
        }
    }
}

/// The pools whose answers are measured, for routes that hedge by what is usual.
fn hedged(snapshot: &Snapshot) -> HashSet<usize> {
    let by_p95 = |route: &config::Route| {
        route.hedge.as_ref().is_some_and(|hedge| hedge.after == config::HedgeAfter::P95)
    };
    let routes = snapshot.routes.routes().iter().enumerate().filter(|(_, route)| by_p95(route));
    routes.flat_map(|(i, _)| snapshot.targets(i)).copied().collect()
}

/// Names of fields that clients may not set.
fn reserved(config: &config::Config) -> Vec<String> {
    let mirrors = config.routes.iter().any(|route| route.mirror.is_some());
    let subjects = config.listeners.iter().filter_map(subject_header);
    subjects.chain(mirrors.then_some(h1::MIRROR)).map(str::to_owned).collect()
}

/// The connection to Redis, if there is to be one: that of `old` as long as it leads to the same.
fn redis(
    config: &config::Config,
    password: Option<&String>,
    old: Option<&View>,
    registry: &Arc<Registry>,
) -> Option<Rc<Redis>> {
    let settings = config.redis.as_ref()?;
    let same = old.and_then(|old| old.redis.as_ref()).filter(|redis| redis.serves(settings, password));
    Some(same.map_or_else(|| Redis::start(settings, password, registry), Rc::clone))
}

fn leads_to_high(config: &config::Config) -> Vec<bool> {
    let high: Vec<_> = config.routes.iter().filter(|route| route.priority == Priority::High).collect();
    let leads = |listener: &config::Listener| {
        high.iter().any(|route| route.listeners.is_empty() || route.listeners.contains(&listener.name))
    };
    config.listeners.iter().map(leads).collect()
}

/// The field in which servers are told whom a client's certificate is for.
fn subject_header(listener: &config::Listener) -> Option<&str> {
    Some(&listener.tls.as_ref()?.client_auth.as_ref()?.subject_header)
}

/// A server, and where its requests are counted.
type Server<'v> = (&'v Rc<Upstream>, &'v Rc<SeriesByRoute>);

#[derive(Default)]
struct Inherited<'v> {
    pickers: HashMap<&'v PoolName, &'v Rc<RefCell<Picker>>>,
    copies: HashMap<&'v PoolName, &'v Rc<Cell<usize>>>,
    servers: HashMap<(&'v PoolName, &'v BackendId), Server<'v>>,
}
