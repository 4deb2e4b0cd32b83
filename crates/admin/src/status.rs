//! `GET /status`: the process, its listeners, pools and servers at this moment, for people and programs.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::extract::State;
use evenkeel_config::Backend;
use evenkeel_core::discovery::DiscoveryState;
use evenkeel_core::snapshot::{Guard, PoolHandle, PoolState};
use evenkeel_observe::{Certificate as InUse, Registry, Summary};
use evenkeel_types::{Address, BackendId, ListenerName, PoolName, Time};
use serde::Serialize;
use utoipa::ToSchema;

use crate::cache::Cache;
use crate::confirm::AwaitingConfirmation;
use crate::context::Context;
use crate::discovery::{self, Discovery};
use crate::live::facts::problems;
use crate::live::problems::Problem;
use crate::live::state;
use crate::live::window::{ListenerNow, Now, Recent};
use crate::notes::ServerNotes;
use crate::rounded::{rounded, seconds};
use crate::streams::{Datagrams, Streams, datagrams, streams, streams_by_server};

/// The whole of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Status {
    version: &'static str,
    pid: u32,
    /// The absolute path of its configuration file; none if it runs without one.
    config: Option<String>,
    uptime_seconds: f64,
    /// The number of what is in force: 1 in a new process, also after an upgrade, and one more with each reload that took effect,
    /// each return to the previous configuration, and each change of a split.
    generation: u64,
    leaving: bool,
    /// Only while the configuration in force goes back by itself unless it is confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    awaiting_confirmation: Option<AwaitingConfirmation>,
    /// The moment that all of this is about, in seconds since the Unix epoch.
    at: f64,
    /// What is wrong, the worst first. In a message of `/live` it stands beside the status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problems: Option<Vec<Problem>>,
    /// Client connections open.
    connections: i64,
    requests_in_flight: i64,
    listeners: Vec<Listener>,
    pools: Vec<Pool>,
    /// Every request since the process started, those that reached no pool included.
    totals: Totals,
    overload: Overload,
    cache: Cache,
    /// All requests of the last ten seconds.
    now: Now,
}

/// How far the process withdraws, by each cause: 0 is not at all.
#[derive(Debug, Serialize, ToSchema)]
struct Overload {
    memory: i64,
    descriptors: i64,
    delay: i64,
}

#[derive(Debug, Serialize, ToSchema)]
struct Listener {
    name: String,
    addresses: Vec<String>,
    /// Only of a listener with TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<Tls>,
    /// Only of one that has relayed connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    streams: Option<Streams>,
    /// Only of a udp listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    datagrams: Option<Datagrams>,
    /// Its requests, or relayed connections, of the last ten seconds.
    now: ListenerNow,
}

#[derive(Debug, Serialize, ToSchema)]
struct Tls {
    certificates: Vec<Certificate>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Certificate {
    /// Its file.
    cert: String,
    names: Vec<String>,
    /// RFC 3339.
    expires: String,
    /// Below zero once it has expired.
    days_left: i64,
    /// Only when it expires soon.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Pool {
    name: String,
    algorithm: &'static str,
    /// Servers that may get a request.
    usable: usize,
    /// Whether ejected servers are used as well, because too few others are left.
    panic: bool,
    requests: u64,
    errors: u64,
    /// Of the requests of all pools, from 0 to 1.
    share: f64,
    latency_ms: Latency,
    /// Only of a pool with limits or circuit breakers.
    #[serde(skip_serializing_if = "Option::is_none")]
    breaker: Option<Breaker>,
    /// Requests that wait because no server may be used. Only of a pool with `wait_for_server`.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_for_server: Option<usize>,
    /// Only of a pool that discovers servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    discovery: Option<Discovery>,
    servers: Vec<Server>,
    /// Its requests, or relayed connections, of the last ten seconds.
    now: Now,
}

/// What a pool with limits is doing.
#[derive(Debug, Serialize, ToSchema)]
struct Breaker {
    /// Of its circuit breaker; closed if it has none.
    state: &'static str,
    /// Why; empty if it never opened.
    reason: String,
    in_flight: u32,
    /// Queued requests.
    waiting: usize,
    /// Requests that may be in flight; none without a limit.
    limit: Option<u32>,
}

/// One server of a pool.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Server {
    id: String,
    address: String,
    /// Where it comes from: `configuration`, `command`, `dns`, `srv` or `file`.
    origin: &'static str,
    state: &'static str,
    reason: String,
    /// For how long it has been in this state.
    since_seconds: f64,
    weight: u32,
    /// With what it counts now: less than `weight` while it starts slowly.
    effective_weight: f64,
    backup: bool,
    in_flight: u32,
    requests: u64,
    /// Requests that were answered 5xx.
    errors: u64,
    /// Of the requests of its pool, from 0 to 1.
    share: f64,
    latency_ms: Latency,
    connections_idle: i64,
    /// Only of one that connections were relayed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    streams: Option<Streams>,
    /// The role of a database server at its last check.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    /// The timeline of PostgreSQL.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<u32>,
    /// By how much a replica lagged at its last check.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_bytes: Option<u64>,
    /// The state of its circuit breaker, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    breaker: Option<&'static str>,
    /// Its requests, or relayed connections, of the last ten seconds.
    now: Now,
    #[serde(flatten)]
    notes: ServerNotes,
}

#[derive(Debug, Serialize, ToSchema)]
struct Totals {
    requests: u64,
    errors: u64,
    latency_ms: Latency,
}

#[derive(Debug, Default, Serialize, ToSchema)]
struct Latency {
    p50: f64,
    p95: f64,
    p99: f64,
}

/// Listeners, pools and servers at this moment
#[utoipa::path(get, path = "/status", tag = "process", responses((status = 200, body = Status, description = "All of it.")))]
pub(crate) async fn status(State(context): State<Arc<Context>>) -> Json<Status> {
    Json(Status::of(&context))
}

impl Status {
    /// Everything at this moment.
    pub(crate) fn of(context: &Context) -> Self {
        let snapshot = context.snapshot.load();
        let (now, registry) = (context.clock.now(), &*context.registry);
        let figures = Figures::of(context);
        let by_pool = registry.by_pool();
        let show = |(configured, handle): (&evenkeel_config::Pool, &Arc<PoolHandle>)| {
            let (state, known) = (handle.state(), context.discoveries.of(&configured.name));
            let found = known.as_deref();
            let at = |server| At { pool: &state, configured, found, server };
            let servers =
                (0..state.config.backends.len()).map(|i| at(i).show(registry, &figures, now)).collect();
            let discovery = Discovery::of(configured, found, now);
            pool(&state, (by_pool.get(&state.config.name), &figures.recent), discovery, servers)
        };
        let pools = snapshot.config.pools.iter().zip(&snapshot.pools).map(show).collect();
        let total = registry.summary();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            config: context.source.as_ref().map(|path| path.display().to_string()),
            uptime_seconds: seconds(now.since(Time::ZERO)),
            generation: snapshot.generation,
            leaving: context.leaving.load(Ordering::Relaxed),
            awaiting_confirmation: AwaitingConfirmation::of(context),
            at: state::now(),
            problems: Some(problems(context)),
            connections: registry.connections(),
            requests_in_flight: registry.requests_in_flight(),
            listeners: listeners(&context.listening.load(), registry, &figures.recent),
            pools,
            overload: Overload {
                memory: registry.overload[0].value(),
                descriptors: registry.overload[1].value(),
                delay: registry.overload[2].value(),
            },
            cache: Cache::of(registry),
            totals: Totals {
                requests: total.requests,
                errors: total.errors,
                latency_ms: Latency::from(&total),
            },
            now: figures.recent.total(),
        }
    }
}

/// One server at this moment; none if the present configuration does not have it.
pub(crate) fn server(context: &Context, pool: &PoolName, id: &BackendId) -> Option<Server> {
    let snapshot = context.snapshot.load();
    let position = snapshot.position_of(pool)?;
    let state = snapshot.pools[position].state();
    let (configured, known) = (&snapshot.config.pools[position], context.discoveries.of(pool));
    let server = state.servers.members.position(id)?;
    let at = At { pool: &state, configured, found: known.as_deref(), server };
    Some(at.show(&context.registry, &Figures::of(context), context.clock.now()))
}

/// What is known of servers, added up once for all of them.
struct Figures {
    ended: BTreeMap<(PoolName, BackendId), Summary>,
    streams: HashMap<(PoolName, BackendId), Streams>,
    recent: Arc<Recent>,
}

impl Figures {
    fn of(context: &Context) -> Self {
        Self {
            ended: context.registry.by_backend(),
            streams: streams_by_server(&context.registry),
            recent: context.live.recent(),
        }
    }
}

/// The place of a server in its pool.
struct At<'a> {
    pool: &'a PoolState,
    configured: &'a evenkeel_config::Pool,
    found: Option<&'a DiscoveryState>,
    server: usize,
}

impl At<'_> {
    fn show(&self, registry: &Registry, figures: &Figures, now: Time) -> Server {
        let (config, pool) = (&self.pool.config, &self.pool.servers);
        let backend @ Backend { id, address, backup, .. } = &config.backends[self.server];
        let state = &pool.states[self.server];
        let key = (config.name.clone(), id.clone());
        let summary = figures.ended.get(&key);
        let in_flight = pool.members.server(self.server).load.in_flight();
        let metrics = registry.backend(&key.0, &key.1);
        let database = metrics.database();
        Server {
            id: id.to_string(),
            address: address.to_string(),
            origin: discovery::origin(backend, self.configured, self.found),
            state: state.state.as_str(),
            reason: state.reason.clone(),
            since_seconds: seconds(now.since(state.since)),
            weight: state.weight,
            effective_weight: rounded(pool.members.effective_weight(self.server)),
            backup: *backup,
            in_flight,
            requests: summary.map_or(0, |summary| summary.requests),
            errors: summary.map_or(0, |summary| summary.errors),
            share: summary.map_or(0.0, |summary| summary.share),
            latency_ms: summary.map(Latency::from).unwrap_or_default(),
            connections_idle: metrics.connections_idle(),
            streams: figures.streams.get(&key).copied(),
            role: database.map(|database| database.role),
            timeline: database.and_then(|database| database.timeline),
            lag_bytes: database.and_then(|database| database.lag),
            breaker: pool
                .guard
                .as_ref()
                .and_then(|guard| Some(guard.servers.get(self.server)?.state().0.as_str())),
            now: figures.recent.server(&key, in_flight),
            notes: ServerNotes::from(metrics.notes.read()),
        }
    }
}

fn pool(
    state: &PoolState,
    (summary, recent): (Option<&Summary>, &Recent),
    discovery: Option<Discovery>,
    servers: Vec<Server>,
) -> Pool {
    let (config, pool) = (&state.config, &state.servers);
    let in_flight = (0..pool.members.len()).map(|at| pool.members.server(at).load.in_flight()).sum();
    Pool {
        name: config.name.to_string(),
        algorithm: config.algorithm.word(),
        usable: pool.members.usable_count(),
        panic: pool.panic.is_some(),
        requests: summary.map_or(0, |summary| summary.requests),
        errors: summary.map_or(0, |summary| summary.errors),
        share: summary.map_or(0.0, |summary| summary.share),
        latency_ms: summary.map(Latency::from).unwrap_or_default(),
        breaker: pool.guard.as_ref().map(|guard| breaker(config, guard)),
        waiting_for_server: config.wait_for_server.map(|_| pool.arrivals.waiting()),
        discovery,
        servers,
        now: recent.pool(&config.name, in_flight),
    }
}

fn breaker(config: &evenkeel_config::Pool, guard: &Guard) -> Breaker {
    let (state, reason) = guard.breaker.trip.state();
    Breaker {
        state: state.as_str(),
        reason,
        in_flight: guard.breaker.in_flight(),
        waiting: guard.breaker.waiting(),
        limit: Some(guard.breaker.limit(config).0).filter(|limit| *limit < u32::MAX),
    }
}

/// Addresses by listener, in the order in which they were bound.
fn listeners(bound: &[(ListenerName, Address)], registry: &Registry, recent: &Recent) -> Vec<Listener> {
    let certificates = registry.certificates();
    let mut listeners = Vec::<Listener>::new();
    for (name, address) in bound {
        match listeners.iter_mut().find(|listener| listener.name == name.as_str()) {
            Some(listener) => listener.addresses.push(address.to_string()),
            None => listeners.push(Listener {
                name: name.to_string(),
                addresses: vec![address.to_string()],
                tls: tls(name, &certificates),
                streams: streams(registry, |of| of.listener == *name),
                datagrams: datagrams(registry, name),
                now: recent.listener(name),
            }),
        }
    }
    listeners
}

/// The certificates of a listener, if it has any.
fn tls(listener: &ListenerName, certificates: &[InUse]) -> Option<Tls> {
    let now = SystemTime::now();
    let of_it = certificates.iter().filter(|certificate| certificate.listener == *listener);
    let certificates: Vec<_> = of_it
        .map(|certificate| Certificate {
            cert: certificate.cert.clone(),
            names: certificate.names.clone(),
            expires: certificate.expires(),
            days_left: certificate.days_left(now),
            warning: certificate.warning(now),
        })
        .collect();
    (!certificates.is_empty()).then_some(Tls { certificates })
}

impl From<&Summary> for Latency {
    fn from(summary: &Summary) -> Self {
        let ms = |time: Duration| rounded(time.as_secs_f64() * 1e3);
        Self { p50: ms(summary.p50), p95: ms(summary.p95), p99: ms(summary.p99) }
    }
}
