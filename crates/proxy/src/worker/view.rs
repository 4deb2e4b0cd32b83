//! One worker's view of a snapshot: the shared, immutable part, beside what belongs to this worker alone. It is made anew
//! when a reload has changed the configuration; each pool in it follows its own servers.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use evenkeel_config as config;
use evenkeel_core::limit::{LimitVerdict, Mask, Question};
use evenkeel_core::route::{Uses, hedges_by_latency};
use evenkeel_core::snapshot::{PoolHandle, Snapshot};
use evenkeel_observe::{ListenerSeries, Registry, RenderedWay, RequestFigures, SeriesKey};
use evenkeel_tls::ServerTls;
use evenkeel_types::{BackendId, ListenerName};

use crate::filter::compress::fixed::FixedBodies;
use crate::http::head::HeadLimits;
use crate::http2;
use crate::request::incoming::Request;
use crate::request::limits::redis::Redis;
use crate::request::tally::Tally;
use crate::server::h1;
use crate::shared::Shared;
use crate::worker::Worker;
use crate::worker::flight::FlightTerms;
use crate::worker::pool_view::{Counted, Place, PoolSlot, PoolView};

/// What a request needs to know, from its admission to its record.
#[derive(Debug)]
pub struct View {
    /// The snapshot.
    pub snapshot: Arc<Snapshot>,
    /// This worker's side of each pool, in the order of the snapshot.
    pools: Vec<PoolSlot>,
    /// Certificates of the listeners that have TLS, in the order of the configuration.
    pub tls: Vec<Option<Arc<ServerTls>>>,
    /// Which listeners take connections, or look for names that pass through, before there is HTTP; in the same order.
    pub takes_streams: Vec<bool>,
    /// What each listener allows connections of HTTP/2, in the same order.
    pub http2: Vec<Arc<evenkeel_http2::Config>>,
    /// Fixed responses, compressed.
    pub fixed_bodies: FixedBodies,
    /// True if the access log has fields of responses.
    pub logs_response_fields: bool,
    /// True if servers of a pool are sent what the TLS handshakes of clients came to.
    pub sends_tlvs: bool,
    /// Names of fields that name the client to servers: clients may not set them, on any listener.
    pub reserved: Vec<String>,
    /// Where each listener stands in the configuration.
    listeners: foldhash::HashMap<ListenerName, usize>,
    /// Where the requests of each listener are counted, in the order of the configuration.
    listener_series: Box<[Arc<ListenerSeries>]>,
    /// Requests that reached no server, by route; `None` for those that no route took.
    unserved: RefCell<foldhash::HashMap<Option<usize>, Counted>>,
    /// Where rate limits and mirrors are counted.
    pub tally: Tally,
    /// Where rate limits are counted together with other balancers.
    pub redis: Option<Rc<Redis>>,
    /// What the flight recorder keeps.
    pub flight: FlightTerms,
    /// Limits of every request's head, and of the trailers behind its body.
    pub heads: HeadLimits,
    /// Limits of every response's head, and of the trailers behind its body.
    pub response_heads: HeadLimits,
    registry: Arc<Registry>,
    worker: usize,
}

impl View {
    /// Looks at `snapshot`, taking over from `old` whatever still has a place in it.
    pub fn new(shared: &Shared, old: Option<&View>, worker: usize) -> Self {
        let (snapshot, credentials, registry) = (shared.snapshot(), shared.credentials(), &shared.registry);
        let config = &snapshot.config;
        let mut before: Vec<Option<Rc<PoolView>>> = vec![None; config.pools.len()];
        for pool in old.iter().flat_map(|old| old.pools.iter().filter_map(PoolSlot::last)) {
            if let Some(position) = snapshot.position_of(&pool.config().name) {
                before[position] = Some(pool);
            }
        }
        let place = Rc::new(Place { clock: shared.clock, registry: Arc::clone(registry), worker });
        let hedged = hedged(&snapshot);
        let slot = |(i, (config, handle)): (usize, (&config::Pool, &Arc<PoolHandle>))| {
            let tls = credentials.pools.get(&config.name);
            PoolSlot::new(handle, tls, &place, hedged.contains(&i), before[i].take())
        };
        let heads = HeadLimits::of_requests(&config.limits);
        let http2 = |listener| Arc::new(http2::config::of_listener(listener, heads));
        Self {
            pools: config.pools.iter().zip(&snapshot.pools).enumerate().map(slot).collect(),
            tls: config.listeners.iter().map(|l| credentials.listeners.get(&l.name).cloned()).collect(),
            reserved: reserved(config, snapshot.routes.uses()),
            takes_streams: config.listeners.iter().map(|l| l.is_tcp() || l.has_passthrough()).collect(),
            http2: config.listeners.iter().map(http2).collect(),
            logs_response_fields: config.log.has_response_fields(),
            sends_tlvs: config
                .pools
                .iter()
                .any(|pool| pool.proxy_protocol == Some(config::ProxyProtocol::V2)),
            fixed_bodies: FixedBodies::default(),
            tally: Tally::new(registry, worker),
            redis: redis(config, credentials.redis_password.as_ref(), old, registry),
            listeners: config.listeners.iter().enumerate().map(|(i, l)| (l.name.clone(), i)).collect(),
            listener_series: config.listeners.iter().map(|l| registry.listener(&l.name)).collect(),
            unserved: RefCell::default(),
            flight: FlightTerms::new(&config.recorder, shared.open.len()),
            heads,
            response_heads: HeadLimits::of_responses(&config.limits),
            registry: Arc::clone(registry),
            worker,
            snapshot: Arc::clone(&snapshot),
        }
    }

    /// Lets go of the servers that `next` has no more, and of a Redis that is another one.
    pub fn retire_all_but(&self, next: &View) {
        if let Some(redis) = &self.redis
            && !next.redis.as_ref().is_some_and(|next| Rc::ptr_eq(next, redis))
        {
            redis.retire();
        }
        // The others let go of servers when they are looked at the next time.
        let is_gone = |pool: &Rc<PoolView>| next.snapshot.position_of(&pool.config().name).is_none();
        let gone = self.pools.iter().filter_map(PoolSlot::last).filter(is_gone);
        gone.for_each(|pool| pool.retire());
    }

    /// What the routes use.
    #[inline]
    pub fn uses(&self) -> &Uses {
        self.snapshot.routes.uses()
    }

    /// Asks Redis about those limits of a route that are in `mask`; false if it does not answer.
    pub async fn ask_redis(
        &self,
        route: usize,
        mask: Mask,
        request: &Request<'_>,
        verdict: &mut LimitVerdict,
    ) -> bool {
        let Some(redis) = &self.redis else { return false };
        let (name, limits) = (&self.snapshot.routes.route(route).name, self.snapshot.limits.of(route));
        let question = Question::new(redis.prefix(), name.as_str(), limits, mask, request);
        redis.ask(&question).await.is_some_and(|answer| question.read(&answer, verdict))
    }

    /// The pool at this position as it is now. A request keeps what it gets, and so ends with the servers that it began
    /// with.
    #[inline]
    pub fn pool_now(&self, pool: usize) -> Rc<PoolView> {
        self.pools[pool].now()
    }

    /// A pool of this view as it is now, for a request that has waited. After a reload that is the pool of the same name, seen apart
    /// from other requests: series are kept by the positions of routes, which are others now.
    pub fn pool_again(&self, pool: &PoolView, worker: &Worker) -> Option<Rc<PoolView>> {
        let present = worker.view();
        let position = present.snapshot.position_of(&pool.config().name)?;
        if present.snapshot.generation == self.snapshot.generation {
            return Some(self.pool_now(position));
        }
        Some(present.pools[position].apart(pool))
    }

    /// The pools that this worker has used, as they are now.
    pub fn used_pools(&self) -> impl Iterator<Item = Rc<PoolView>> {
        self.pools.iter().filter(|pool| pool.last().is_some()).map(PoolSlot::now)
    }

    /// Where a listener stands in the configuration; `None` if it no longer has it.
    pub fn listener_position(&self, name: &ListenerName) -> Option<usize> {
        self.listeners.get(name).copied()
    }

    /// A listener.
    pub fn listener(&self, position: usize) -> &config::Listener {
        &self.snapshot.config.listeners[position]
    }

    /// Counts a request that came by the listener at this position.
    #[inline]
    pub fn count_by_listener(&self, position: usize, has_failed: bool) {
        if let Some(series) = self.listener_series.get(position) {
            series.shard(self.worker).record(has_failed);
        }
    }

    /// Counts a request of `route` that a server of `pool`, by its position, has served; what its line has of that.
    pub fn count(
        &self,
        route: Option<usize>,
        pool: Option<&PoolView>,
        server: Option<usize>,
        figures: &RequestFigures,
    ) -> Rc<RenderedWay> {
        let make = |backend: Option<&BackendId>| {
            let route = route.map(|route| &self.snapshot.routes.route(route).name);
            let pool = pool.map(|pool| &pool.config().name);
            let way = RenderedWay::new(
                route.map(|r| r.as_str()),
                pool.map(|p| p.as_str()),
                backend.map(|b| b.as_str()),
            );
            let series = self.registry.series(match route {
                None => SeriesKey::unrouted(),
                Some(route) => {
                    SeriesKey { route: route.clone(), pool: pool.cloned(), backend: backend.cloned() }
                }
            });
            Counted { series, way: Rc::new(way) }
        };
        let record = |counted: &Counted| {
            counted.series.shard(self.worker).record(figures);
            Rc::clone(&counted.way)
        };
        match (route, pool, server) {
            (Some(route), Some(pool), server) => {
                let id = server.map(|server| &pool.upstreams[server].id);
                pool.with_series(server, route, || make(id), record)
            }
            (route, ..) => record(self.unserved.borrow_mut().entry(route).or_insert_with(|| make(None))),
        }
    }
}

/// The pools whose answers are measured, for routes that hedge by what is usual.
fn hedged(snapshot: &Snapshot) -> HashSet<usize> {
    if !snapshot.routes.uses().hedges_by_latency {
        return HashSet::new();
    }
    let routes = snapshot.routes.routes().iter().enumerate().filter(|(_, route)| hedges_by_latency(route));
    routes.flat_map(|(i, _)| snapshot.targets(i).iter().copied().chain(snapshot.parent_of(i))).collect()
}

/// Names of fields that clients may not set.
fn reserved(config: &config::Config, uses: &Uses) -> Vec<String> {
    let subjects = config.listeners.iter().filter_map(subject_header);
    subjects.chain(uses.mirrors.then_some(h1::MIRROR)).map(str::to_owned).collect()
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

/// The field that gives servers the subject of a client's certificate.
fn subject_header(listener: &config::Listener) -> Option<&str> {
    Some(&listener.tls.as_ref()?.client_auth.as_ref()?.subject_header)
}
