//! The last seconds and minutes: rates and percentiles from differences of samples. It reads no clock and no registry.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use evenkeel_observe::{EndedFigures, HistogramSnapshot, ListenerEnded, Sample, SampleKey};
use evenkeel_types::{BackendId, ListenerName, PoolName};
use serde::Serialize;
use utoipa::ToSchema;

use crate::rounded::rounded;

/// Seconds that [`Recent`] looks back.
pub(crate) const RECENT_SECONDS: usize = 10;
/// Seconds of which points are kept.
pub(crate) const HISTORY_SECONDS: usize = 300;
/// Pools that a point has figures of, in the order of the configuration: 300 points of them are 1 MB of JSON.
const POINT_POOLS_MAX: usize = 50;
/// Listeners that a point has figures of.
const POINT_LISTENERS_MAX: usize = 50;

/// The figures of a pool, a server or the whole process over some time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct Now {
    /// Requests (or relayed connections) that ended, a second.
    pub(crate) rps: f64,
    /// Those of them that failed, a second.
    pub(crate) errors: f64,
    /// In milliseconds; none where there was no request, as the next two.
    pub(crate) p50: Option<f64>,
    pub(crate) p95: Option<f64>,
    pub(crate) p99: Option<f64>,
    /// Requests that are in progress at this moment.
    pub(crate) in_flight: i64,
}

/// The figures of a listener over some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct ListenerNow {
    rps: f64,
    errors: f64,
}

/// One second.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct Point {
    /// Its end, in seconds since the Unix epoch.
    at: f64,
    #[serde(flatten)]
    total: Now,
    /// Client connections open.
    connections: i64,
    pools: BTreeMap<String, Now>,
    listeners: BTreeMap<String, ListenerNow>,
    cache: CacheNow,
}

/// The figures of the cache in a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
struct CacheNow {
    hits: f64,
    misses: f64,
}

/// What is in progress at the end of a second.
#[derive(Debug, Default)]
pub(crate) struct Present {
    /// In seconds since the Unix epoch.
    pub(crate) at: f64,
    /// Requests in flight by pool, in the order of the configuration.
    pub(crate) pools: Vec<(PoolName, u32)>,
}

/// The last [`RECENT_SECONDS`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Recent {
    seconds: f64,
    total: EndedFigures,
    in_flight: i64,
    pools: HashMap<PoolName, EndedFigures>,
    servers: HashMap<(PoolName, BackendId), EndedFigures>,
    listeners: HashMap<ListenerName, ListenerEnded>,
    /// Lines that the access log has lost.
    pub(crate) log_dropped: u64,
}

/// What came in one second.
#[derive(Debug, Default)]
struct Delta {
    seconds: f64,
    ended: HashMap<SampleKey, EndedFigures>,
    listeners: HashMap<ListenerName, ListenerEnded>,
    log_dropped: u64,
}

/// The last seconds in detail, and the last minutes in points.
#[derive(Debug, Default)]
pub(crate) struct Window {
    previous: Option<Sample>,
    deltas: VecDeque<Delta>,
    points: VecDeque<Point>,
    recent: Recent,
}

impl Window {
    /// Takes in a sample, taken this long after the last one.
    pub(crate) fn advance(&mut self, sample: Sample, elapsed: Duration, present: &Present) {
        let Some(previous) = self.previous.take() else {
            self.previous = Some(sample);
            return;
        };
        let seconds = elapsed.as_secs_f64().max(0.001);
        let delta = Delta::between(&previous, &sample, seconds);
        let cache = CacheNow {
            hits: rounded(sample.cache_hits.saturating_sub(previous.cache_hits) as f64 / seconds),
            misses: rounded(sample.cache_misses.saturating_sub(previous.cache_misses) as f64 / seconds),
        };
        push_bounded(&mut self.points, point(&delta, &sample, cache, present), HISTORY_SECONDS);
        push_bounded(&mut self.deltas, delta, RECENT_SECONDS);
        self.recent = Recent::of(&self.deltas, sample.in_flight);
        self.previous = Some(sample);
    }

    /// The last seconds.
    pub(crate) fn recent(&self) -> &Recent {
        &self.recent
    }

    /// The points that are kept, the oldest first.
    pub(crate) fn points(&self) -> &VecDeque<Point> {
        &self.points
    }
}

impl Delta {
    fn between(previous: &Sample, sample: &Sample, seconds: f64) -> Self {
        let none = EndedFigures::default();
        let ended = sample.ended.iter().map(|(key, now)| {
            let since = now.since(previous.ended.get(key).unwrap_or(&none));
            (key.clone(), since)
        });
        let listeners = sample.listeners.iter().map(|(name, now)| {
            (name.clone(), now.since(previous.listeners.get(name).copied().unwrap_or_default()))
        });
        Self {
            seconds,
            ended: ended.filter(|(_, since)| since.requests > 0).collect(),
            listeners: listeners.filter(|(_, since)| since.requests > 0).collect(),
            log_dropped: sample.log_dropped.saturating_sub(previous.log_dropped),
        }
    }
}

impl Recent {
    fn of<'d>(deltas: impl IntoIterator<Item = &'d Delta>, in_flight: i64) -> Self {
        let mut recent = Self { in_flight, ..Self::default() };
        for delta in deltas {
            recent.seconds += delta.seconds;
            recent.log_dropped += delta.log_dropped;
            for ((pool, server), ended) in &delta.ended {
                recent.total.merge(ended);
                let Some(pool) = pool else { continue };
                recent.pools.entry(pool.clone()).or_default().merge(ended);
                if let Some(server) = server {
                    recent.servers.entry((pool.clone(), server.clone())).or_default().merge(ended);
                }
            }
            for (name, ended) in &delta.listeners {
                let sum = recent.listeners.entry(name.clone()).or_default();
                sum.requests += ended.requests;
                sum.errors += ended.errors;
            }
        }
        recent
    }

    /// Everything.
    pub(crate) fn total(&self) -> Now {
        Now::of(Some(&self.total), self.seconds, self.in_flight)
    }

    /// A pool that has so many requests in flight.
    pub(crate) fn pool(&self, pool: &PoolName, in_flight: u32) -> Now {
        Now::of(self.pools.get(pool), self.seconds, in_flight.into())
    }

    /// A server that has so many requests in flight.
    pub(crate) fn server(&self, key: &(PoolName, BackendId), in_flight: u32) -> Now {
        Now::of(self.servers.get(key), self.seconds, in_flight.into())
    }

    /// A listener.
    pub(crate) fn listener(&self, listener: &ListenerName) -> ListenerNow {
        ListenerNow::of(self.listeners.get(listener).copied().unwrap_or_default(), self.seconds)
    }

    /// Requests of a pool, and those of them that failed.
    pub(crate) fn outcomes(&self, pool: &PoolName) -> (u64, u64) {
        self.pools.get(pool).map_or((0, 0), |ended| (ended.requests, ended.errors))
    }
}

impl Now {
    fn of(ended: Option<&EndedFigures>, seconds: f64, in_flight: i64) -> Self {
        let Some(ended) = ended.filter(|ended| ended.requests > 0) else {
            return Self { in_flight, ..Self::default() };
        };
        let quantile = |q| quantile(&ended.duration, q);
        Self {
            rps: rounded(ended.requests as f64 / seconds),
            errors: rounded(ended.errors as f64 / seconds),
            p50: quantile(0.50),
            p95: quantile(0.95),
            p99: quantile(0.99),
            in_flight,
        }
    }
}

impl ListenerNow {
    fn of(ended: ListenerEnded, seconds: f64) -> Self {
        let seconds = seconds.max(0.001);
        let rate = |count: u64| rounded(count as f64 / seconds);
        Self { rps: rate(ended.requests), errors: rate(ended.errors) }
    }
}

fn point(delta: &Delta, sample: &Sample, cache: CacheNow, present: &Present) -> Point {
    let recent = Recent::of([delta], sample.in_flight);
    let pools = present.pools.iter().take(POINT_POOLS_MAX);
    let mut listeners: Vec<_> = sample.listeners.keys().collect();
    listeners.sort_unstable();
    Point {
        at: present.at,
        total: recent.total(),
        connections: sample.connections,
        pools: pools.map(|(name, in_flight)| (name.to_string(), recent.pool(name, *in_flight))).collect(),
        listeners: listeners
            .into_iter()
            .take(POINT_LISTENERS_MAX)
            .map(|name| (name.to_string(), recent.listener(name)))
            .collect(),
        cache,
    }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, item: T, max: usize) {
    if queue.len() == max {
        queue.pop_front();
    }
    queue.push_back(item);
}

/// In milliseconds; none of an empty histogram.
fn quantile(durations: &HistogramSnapshot, q: f64) -> Option<f64> {
    (durations.count() > 0).then(|| rounded(durations.quantile(q).as_secs_f64() * 1e3))
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
