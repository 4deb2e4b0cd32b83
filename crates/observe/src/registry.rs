//! Where every figure can be found: a worker asks once for those that it writes, a reader takes all of them.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use evenkeel_types::{BackendId, ListenerName, PoolName, RouteName};

use crate::backend::BackendMetrics;
use crate::cache::{CacheSeries, CacheTotals, PurgeCounts, StoreFigures};
use crate::certificate::{Certificate, StaleFiles};
use crate::counter::{Gauge, SharedCounter};
use crate::datagrams::DatagramSeries;
use crate::discovery::DiscoveryFigures;
use crate::events::Events;
use crate::flight::Recorder;
use crate::listener::ListenerSeries;
use crate::names::{ReloadResult, RevertReason, UpgradeResult};
use crate::outcomes::{LimitCounts, MirrorCounts, RedisFigures};
use crate::pool::PoolMetrics;
use crate::series::{Series, SeriesKey};
use crate::stream::{StreamKey, StreamSeries};
use crate::worker::WorkerMetrics;

mod capped;

use capped::Capped;
pub(crate) use capped::OTHER;

/// Combinations of route, pool and server with figures of their own, each with some 35 lines on the page. Requests of further
/// ones count for the route `other`.
const SERIES_MAX: usize = 2_000;
/// Servers with figures of their own, each with some 40 lines once it is used. Requests to further ones count for the server
/// `other` of their pool.
const BACKENDS_MAX: usize = 5_000;
/// Routes with figures of their own about their limits, mirrors and caches; further ones count for the route `other`.
const ROUTES_MAX: usize = 1_000;

/// All figures of the process. Its maps are behind locks: the request path asks once and keeps what it got.
#[derive(Debug)]
pub struct Registry {
    /// Lines written to the access log.
    pub access_log_lines: SharedCounter,
    /// Lines that the access log lost.
    pub access_log_dropped: SharedCounter,
    /// Spans that the collector has taken.
    pub spans_exported: SharedCounter,
    /// Spans that were lost on their way to the collector.
    pub spans_dropped: SharedCounter,
    /// Grows by one with each configuration that took effect.
    pub config_generation: Gauge,
    /// 1 while the configuration in force goes back by itself unless it is confirmed.
    pub config_awaiting: Gauge,
    /// Client connections that may be open at once: `limits.connections`.
    pub connections_limit: Gauge,
    /// What is known of the Redis of `[redis]`.
    pub redis: RedisFigures,
    /// Purges of the cache.
    pub purges: PurgeCounts,
    /// What has happened lately.
    pub events: Events,
    /// The flight recorder.
    pub recorder: Recorder,
    certificates: Mutex<Arc<[Certificate]>>,
    stale_files: Mutex<Arc<[StaleFiles]>>,
    reloads: [SharedCounter; ReloadResult::ALL.len()],
    reverts: [SharedCounter; RevertReason::ALL.len()],
    /// 1 if the last reload was refused.
    pub(crate) reload_failed: Gauge,
    upgrades: [SharedCounter; UpgradeResult::ALL.len()],
    workers: Box<[Arc<WorkerMetrics>]>,
    series: Mutex<Capped<SeriesKey, Series>>,
    streams: Mutex<BTreeMap<StreamKey, Arc<StreamSeries>>>,
    datagrams: Mutex<BTreeMap<ListenerName, Arc<DatagramSeries>>>,
    listeners: Mutex<BTreeMap<ListenerName, Arc<ListenerSeries>>>,
    backends: Mutex<BTreeMap<BackendKey, Arc<BackendMetrics>>>,
    /// Of servers without figures of their own, by pool.
    other_backends: Mutex<BTreeMap<PoolName, Arc<BackendMetrics>>>,
    pools: Mutex<BTreeMap<PoolName, Arc<PoolMetrics>>>,
    discoveries: Mutex<BTreeMap<PoolName, Arc<DiscoveryFigures>>>,
    limits: Mutex<Capped<LimitKey, LimitCounts>>,
    mirrors: Mutex<Capped<RouteName, MirrorCounts>>,
    caches: Mutex<Capped<RouteName, CacheSeries>>,
    store: OnceLock<StoreSource>,
    /// The step of overload by memory, descriptors and delay.
    pub overload: [Gauge; 3],
}

pub(crate) type BackendKey = (PoolName, BackendId);
/// A route, and the name of one of its limits.
pub(crate) type LimitKey = (RouteName, String);

impl Registry {
    /// A registry for this many data-path threads.
    pub fn new(workers: usize) -> Arc<Registry> {
        Arc::new(Self {
            access_log_lines: SharedCounter::default(),
            access_log_dropped: SharedCounter::default(),
            spans_exported: SharedCounter::default(),
            spans_dropped: SharedCounter::default(),
            config_generation: Gauge::default(),
            config_awaiting: Gauge::default(),
            connections_limit: Gauge::default(),
            redis: RedisFigures::default(),
            purges: PurgeCounts::default(),
            events: Events::default(),
            recorder: Recorder::new(workers),
            certificates: Mutex::default(),
            stale_files: Mutex::default(),
            reloads: Default::default(),
            reverts: Default::default(),
            reload_failed: Gauge::default(),
            upgrades: Default::default(),
            workers: (0..workers).map(|_| Arc::default()).collect(),
            series: Mutex::new(Capped::new(SERIES_MAX)),
            streams: Mutex::default(),
            datagrams: Mutex::default(),
            listeners: Mutex::default(),
            backends: Mutex::default(),
            other_backends: Mutex::default(),
            pools: Mutex::default(),
            discoveries: Mutex::default(),
            limits: Mutex::new(Capped::new(ROUTES_MAX)),
            mirrors: Mutex::new(Capped::new(ROUTES_MAX)),
            caches: Mutex::new(Capped::new(ROUTES_MAX)),
            store: OnceLock::new(),
            overload: Default::default(),
        })
    }

    /// The figures of one route, pool and server, made when first asked for; beyond [`SERIES_MAX`] of them, those of the route
    /// `other`. Takes locks: keep the answer.
    pub fn series(&self, mut key: SeriesKey) -> Arc<Series> {
        // The server's lock is taken and left before the series': no thread ever holds both.
        let backend = match (&key.pool, &key.backend) {
            (Some(pool), Some(id)) if self.is_folded(pool, id) => {
                let other = Arc::clone(
                    lock(&self.other_backends)
                        .entry(pool.clone())
                        .or_insert_with(|| Arc::new(BackendMetrics::new(self.workers.len()))),
                );
                key.backend = Some(OTHER.into());
                Some(other)
            }
            (Some(pool), Some(id)) => Some(self.backend(pool, id)),
            _ => None,
        };
        // Pools and servers keep figures of their own, so that their sums stay right.
        let other = |key: &SeriesKey| SeriesKey { route: OTHER.into(), ..key.clone() };
        lock(&self.series).get(key, other, || Series::new(&self.workers, backend.as_ref()))
    }

    /// The figures of one tcp listener's connections to one server, made when first asked for. Takes a lock: keep the
    /// answer.
    pub fn stream(&self, mut key: StreamKey) -> Arc<StreamSeries> {
        if let (Some(pool), Some(id)) = (&key.pool, &key.backend)
            && self.is_folded(pool, id)
        {
            key.backend = Some(OTHER.into());
        }
        let new = || Arc::new(StreamSeries::new(self.workers.len()));
        Arc::clone(lock(&self.streams).entry(key).or_insert_with(new))
    }

    /// The figures of all tcp and udp listeners.
    pub fn streams(&self) -> Vec<(StreamKey, Arc<StreamSeries>)> {
        lock(&self.streams).iter().map(|(key, series)| (key.clone(), Arc::clone(series))).collect()
    }

    /// The figures of the datagrams of one udp listener, made when first asked for. Takes a lock: keep the answer.
    pub fn datagrams(&self, listener: &ListenerName) -> Arc<DatagramSeries> {
        let new = || Arc::new(DatagramSeries::new(self.workers.len()));
        Arc::clone(lock(&self.datagrams).entry(listener.clone()).or_insert_with(new))
    }

    /// The figures of all udp listeners.
    pub fn all_datagrams(&self) -> Vec<(ListenerName, Arc<DatagramSeries>)> {
        lock(&self.datagrams).iter().map(|(name, series)| (name.clone(), Arc::clone(series))).collect()
    }

    /// The figures of the requests of one listener, made when first asked for. Takes a lock: keep the answer.
    pub fn listener(&self, listener: &ListenerName) -> Arc<ListenerSeries> {
        let new = || Arc::new(ListenerSeries::new(self.workers.len()));
        Arc::clone(lock(&self.listeners).entry(listener.clone()).or_insert_with(new))
    }

    pub(crate) fn all_listeners(&self) -> Vec<(ListenerName, Arc<ListenerSeries>)> {
        lock(&self.listeners).iter().map(|(name, series)| (name.clone(), Arc::clone(series))).collect()
    }

    /// Forgets the requests, connections and datagrams of listeners that are not to be kept, after a reload.
    pub fn retain_streams(&self, keep: impl Fn(&ListenerName) -> bool) {
        lock(&self.listeners).retain(|name, _| keep(name));
        lock(&self.datagrams).retain(|name, _| keep(name));
        lock(&self.streams).retain(|key, _| keep(&key.listener));
    }

    /// The figures of one worker, from 0.
    ///
    /// # Panics
    /// When there is no such worker.
    pub fn worker(&self, worker: usize) -> Arc<WorkerMetrics> {
        Arc::clone(&self.workers[worker])
    }

    /// The figures of one server of one pool, made when first asked for. Takes a lock: keep the answer.
    pub fn backend(&self, pool: &PoolName, id: &BackendId) -> Arc<BackendMetrics> {
        let mut backends = lock(&self.backends);
        let is_folded = backends.len() >= BACKENDS_MAX;
        let new = || {
            let new = BackendMetrics::new(self.workers.len());
            Arc::new(if is_folded { new.folded() } else { new })
        };
        Arc::clone(backends.entry((pool.clone(), id.clone())).or_insert_with(new))
    }

    /// True if a server's requests count for `other`.
    fn is_folded(&self, pool: &PoolName, id: &BackendId) -> bool {
        self.backend(pool, id).is_folded
    }

    /// The figures of one pool, made when first asked for. Takes a lock: keep the answer.
    pub fn pool(&self, pool: &PoolName) -> Arc<PoolMetrics> {
        Arc::clone(lock(&self.pools).entry(pool.clone()).or_default())
    }

    /// The figures of one pool that discovers servers, made when first asked for.
    pub fn discovery(&self, pool: &PoolName) -> Arc<DiscoveryFigures> {
        Arc::clone(lock(&self.discoveries).entry(pool.clone()).or_default())
    }

    /// Forgets pools that no longer discover servers.
    pub fn retain_discoveries(&self, keep: impl Fn(&PoolName) -> bool) {
        lock(&self.discoveries).retain(|pool, _| keep(pool));
    }

    /// Forgets the pools that are not to be kept, after a reload.
    pub fn retain_pools(&self, keep: impl Fn(&PoolName) -> bool) {
        lock(&self.pools).retain(|pool, _| keep(pool));
        lock(&self.other_backends).retain(|pool, _| keep(pool));
    }

    /// Forgets the series that are not to be kept, after a reload. A worker that still holds one may go on writing to it;
    /// what it writes is not read. Servers are forgotten by [`Registry::retain_backends`].
    pub fn retain(&self, keep: impl Fn(&SeriesKey) -> bool) {
        lock(&self.series).retain(keep);
    }

    /// Forgets the servers that are not to be kept, after a reload, and the series of their requests.
    pub fn retain_backends(&self, keep: impl Fn(&PoolName, &BackendId) -> bool) {
        lock(&self.backends).retain(|(pool, id), _| keep(pool, id));
        lock(&self.series).retain(|key| match (&key.pool, &key.backend) {
            (Some(pool), Some(id)) => id.as_str() == OTHER || keep(pool, id),
            _ => true,
        });
        lock(&self.streams).retain(|key, _| match (&key.pool, &key.backend) {
            (Some(pool), Some(id)) => id.as_str() == OTHER || keep(pool, id),
            _ => true,
        });
    }

    /// The figures of one rate limit, made when first asked for. Takes a lock: keep the answer.
    pub fn limit(&self, route: &RouteName, limit: &str) -> Arc<LimitCounts> {
        let new = || LimitCounts::new(self.workers.len());
        lock(&self.limits).get((route.clone(), limit.into()), |_| (OTHER.into(), OTHER.into()), new)
    }

    /// The figures of one route's mirror, made when first asked for. Takes a lock: keep the answer.
    pub fn mirror(&self, route: &RouteName) -> Arc<MirrorCounts> {
        lock(&self.mirrors).get(route.clone(), |_| OTHER.into(), || MirrorCounts::new(self.workers.len()))
    }

    /// The figures of one route's cache, made when first asked for. Takes a lock: keep the answer.
    pub fn cache(&self, route: &RouteName) -> Arc<CacheSeries> {
        lock(&self.caches).get(route.clone(), |_| OTHER.into(), || CacheSeries::new(self.workers.len()))
    }

    /// The figures of each route's cache.
    pub fn caches(&self) -> Vec<(RouteName, CacheTotals)> {
        lock(&self.caches).all().into_iter().map(|(route, series)| (route, series.totals())).collect()
    }

    /// The figures of the caches of all routes together.
    pub fn cache_totals(&self) -> CacheTotals {
        let mut all = CacheTotals::default();
        self.caches().iter().for_each(|(_, totals)| all.add(totals));
        all
    }

    /// Asks `figures` for those of the store from now on, each time that somebody reads them. The first caller decides.
    pub fn watch_store(&self, figures: impl Fn() -> StoreFigures + Send + Sync + 'static) {
        // A second store would be another process.
        let _ = self.store.set(StoreSource(Box::new(figures)));
    }

    /// The store now; `None` if there is none.
    pub fn store_figures(&self) -> Option<StoreFigures> {
        self.store.get().map(|source| (source.0)())
    }

    /// Forgets rate limits, mirrors and caches of routes that are not to be kept, after a reload.
    pub fn retain_routes(&self, keep: impl Fn(&RouteName) -> bool) {
        let keep = |route: &RouteName| route.as_str() == OTHER || keep(route);
        lock(&self.limits).retain(|(route, _)| keep(route));
        lock(&self.mirrors).retain(keep);
        lock(&self.caches).retain(keep);
    }

    /// Replaces what is known of the certificates in use; of several for one listener and file the first counts.
    pub fn set_certificates(&self, certificates: Vec<Certificate>) {
        let mut seen = HashSet::new();
        let firsts = certificates.iter().filter(|of| seen.insert((&of.listener, &of.cert)));
        *lock(&self.certificates) = firsts.cloned().collect();
    }

    /// The certificates in use.
    pub fn certificates(&self) -> Arc<[Certificate]> {
        Arc::clone(&lock(&self.certificates))
    }

    /// Replaces the files of certificates and keys that are broken on disk.
    pub fn set_stale_files(&self, files: Vec<StaleFiles>) {
        *lock(&self.stale_files) = files.into();
    }

    /// The files of certificates and keys that are broken on disk.
    pub fn stale_files(&self) -> Arc<[StaleFiles]> {
        Arc::clone(&lock(&self.stale_files))
    }

    /// Counts a reload of the configuration.
    pub fn reloaded(&self, result: ReloadResult) {
        self.reloads[result as usize].increment();
        self.reload_failed.set(i64::from(result == ReloadResult::Failure));
    }

    /// What is counted as `other`, by what it is: servers, routes, and limits, mirrors and caches of routes.
    pub(crate) fn folded(&self) -> [(&'static str, usize); 5] {
        [
            ("backend", lock(&self.backends).values().filter(|backend| backend.is_folded).count()),
            ("route", lock(&self.series).folded()),
            ("limit", lock(&self.limits).folded()),
            ("mirror", lock(&self.mirrors).folded()),
            ("cache", lock(&self.caches).folded()),
        ]
    }

    /// Reloads of the configuration that ended with `result`.
    pub fn reloads(&self, result: ReloadResult) -> u64 {
        self.reloads[result as usize].value()
    }

    /// Counts a configuration that went back because it was not confirmed.
    pub fn reverted(&self, reason: RevertReason) {
        self.reverts[reason as usize].increment();
    }

    /// Configurations that went back for this reason.
    pub(crate) fn reverts(&self, reason: RevertReason) -> u64 {
        self.reverts[reason as usize].value()
    }

    /// Counts upgrades of the binary, also those of the processes before this one.
    pub fn upgraded(&self, result: UpgradeResult, count: u64) {
        self.upgrades[result as usize].add(count);
    }

    /// Upgrades of the binary that ended with `result`.
    pub fn upgrades(&self, result: UpgradeResult) -> u64 {
        self.upgrades[result as usize].value()
    }

    pub(crate) fn workers(&self) -> &[Arc<WorkerMetrics>] {
        &self.workers
    }

    pub(crate) fn all_series(&self) -> Vec<(SeriesKey, Arc<Series>)> {
        lock(&self.series).all()
    }

    pub(crate) fn all_pools(&self) -> Vec<(PoolName, Arc<PoolMetrics>)> {
        lock(&self.pools).iter().map(|(pool, figures)| (pool.clone(), Arc::clone(figures))).collect()
    }

    pub(crate) fn all_discoveries(&self) -> Vec<(PoolName, Arc<DiscoveryFigures>)> {
        lock(&self.discoveries).iter().map(|(pool, figures)| (pool.clone(), Arc::clone(figures))).collect()
    }

    pub(crate) fn all_limits(&self) -> Vec<(LimitKey, Arc<LimitCounts>)> {
        lock(&self.limits).all()
    }

    pub(crate) fn all_mirrors(&self) -> Vec<(RouteName, Arc<MirrorCounts>)> {
        lock(&self.mirrors).all()
    }

    /// Servers with figures of their own.
    pub(crate) fn all_backends(&self) -> Vec<(BackendKey, Arc<BackendMetrics>)> {
        let backends = lock(&self.backends);
        let own = backends.iter().filter(|(_, backend)| !backend.is_folded);
        own.map(|(key, backend)| (key.clone(), Arc::clone(backend))).collect()
    }

    /// The requests of servers without figures of their own, by pool.
    pub(crate) fn all_other_backends(&self) -> Vec<(BackendKey, Arc<BackendMetrics>)> {
        let others = lock(&self.other_backends);
        others.iter().map(|(pool, backend)| ((pool.clone(), OTHER.into()), Arc::clone(backend))).collect()
    }
}

/// Where the figures of the store come from: the crate that holds it stands above this one.
struct StoreSource(Box<dyn Fn() -> StoreFigures + Send + Sync>);

impl fmt::Debug for StoreSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreSource")
    }
}

/// The maps stay whole whatever thread dies, so a poisoned lock is as good as another.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
