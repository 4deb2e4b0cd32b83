//! The figures of requests at one moment, added up over routes and workers, for a reader that compares moments.

use std::collections::HashMap;

use evenkeel_types::{BackendId, ListenerName, PoolName};

use crate::histogram::HistogramSnapshot;
use crate::names::CacheResult;
use crate::registry::Registry;
use crate::series::SeriesTotals;
use crate::stream::{StreamEnded, StreamTotals};

/// Whose figures they are: of a server, of requests of a pool that reached none, or of requests without a pool.
pub type SampleKey = (Option<PoolName>, Option<BackendId>);

/// Requests that have ended, or connections that were relayed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndedFigures {
    /// All of them.
    pub requests: u64,
    /// Those that were answered 5xx, whose response broke off, or whose connection found no server or lost it.
    pub errors: u64,
    /// How long requests took.
    pub duration: HistogramSnapshot,
}

/// Requests and connections of one listener that have ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListenerEnded {
    /// All of them.
    pub requests: u64,
    /// Those that failed, as of [`EndedFigures`].
    pub errors: u64,
}

/// Everything since the process started.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// By server and pool.
    pub ended: HashMap<SampleKey, EndedFigures>,
    /// By listener.
    pub listeners: HashMap<ListenerName, ListenerEnded>,
    /// Requests that the cache has answered.
    pub cache_hits: u64,
    /// Requests that it was asked for in vain.
    pub cache_misses: u64,
    /// Lines that the access log has lost.
    pub log_dropped: u64,
    /// Requests begun and not ended.
    pub in_flight: i64,
    /// Client connections open.
    pub connections: i64,
}

impl Registry {
    /// Adds everything up. That takes some microseconds for each series, and holds no lock meanwhile.
    pub fn sample(&self) -> Sample {
        let mut sample = Sample::default();
        for (key, series) in self.all_series() {
            sample.ended.entry((key.pool, key.backend)).or_default().add(&series.totals());
        }
        for (key, series) in self.streams() {
            let (all, failed) = outcomes(&series.totals());
            let of_pool = sample.ended.entry((key.pool, key.backend)).or_default();
            let of_listener = sample.listeners.entry(key.listener).or_default();
            (of_pool.requests, of_pool.errors) = (of_pool.requests + all, of_pool.errors + failed);
            (of_listener.requests, of_listener.errors) =
                (of_listener.requests + all, of_listener.errors + failed);
        }
        for (name, series) in self.all_listeners() {
            let (requests, errors) = series.totals();
            let of_listener = sample.listeners.entry(name).or_default();
            of_listener.requests += requests;
            of_listener.errors += errors;
        }
        let cache = self.cache_totals();
        for result in CacheResult::ALL.iter().filter(|result| **result != CacheResult::Bypass) {
            let count = if result.is_served() { &mut sample.cache_hits } else { &mut sample.cache_misses };
            *count += cache.requests(*result);
        }
        sample.log_dropped = self.access_log_dropped.value();
        sample.in_flight = self.requests_in_flight();
        sample.connections = self.connections();
        sample
    }

    /// Client connections open.
    pub fn connections(&self) -> i64 {
        self.workers().iter().map(|worker| worker.connections.value()).sum()
    }

    /// Requests begun and not yet finished.
    pub fn requests_in_flight(&self) -> i64 {
        self.workers().iter().map(|worker| worker.requests_in_flight.value()).sum()
    }
}

impl EndedFigures {
    fn add(&mut self, totals: &SeriesTotals) {
        self.requests += totals.classes.iter().sum::<u64>();
        self.errors += totals.classes.last().copied().unwrap_or_default() + totals.broken;
        self.duration.merge(&totals.duration);
    }

    /// Adds the figures of another one.
    pub fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.duration.merge(&other.duration);
    }

    /// What was added since `earlier`; nothing if something was taken away, as by a reload that removes a route.
    pub fn since(&self, earlier: &Self) -> Self {
        match self.requests.checked_sub(earlier.requests) {
            None | Some(0) => Self::default(),
            Some(requests) => Self {
                requests,
                errors: self.errors.saturating_sub(earlier.errors),
                duration: self.duration.since(&earlier.duration),
            },
        }
    }
}

impl ListenerEnded {
    /// What was added since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(earlier.requests),
            errors: self.errors.saturating_sub(earlier.errors),
        }
    }
}

/// Connections that have ended, and those of them that failed by no doing of the client.
fn outcomes(totals: &StreamTotals) -> (u64, u64) {
    let failed = [
        StreamEnded::ServerReset,
        StreamEnded::ServerStalled,
        StreamEnded::RoleLost,
        StreamEnded::ServerDown,
        StreamEnded::Refused,
        StreamEnded::ConnectFailed,
    ];
    let failed = failed.into_iter().map(|how| totals.ended[how as usize]).sum();
    (totals.ended.iter().sum(), failed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;
    use crate::series::{RequestFigures, SeriesKey};

    fn request(status: u16, is_broken: bool) -> RequestFigures {
        RequestFigures {
            status,
            is_broken,
            total: Duration::from_millis(10),
            upstream: None,
            overhead: Duration::ZERO,
            bytes_in: 0,
            bytes_out: 0,
            tries: 1,
        }
    }

    #[test]
    fn requests_are_added_up_over_routes_and_workers_and_differ_by_what_came_since() {
        let registry = Registry::new(2);
        let key = |route: &str, server: &str| SeriesKey {
            route: route.into(),
            pool: Some("app".into()),
            backend: Some(server.into()),
        };
        let record = |route: &str, server: &str, worker: usize, figures: &RequestFigures| {
            registry.series(key(route, server)).shard(worker).record(figures);
        };
        record("/a", "one", 0, &request(200, false));
        record("/b", "one", 1, &request(200, true));
        let before = registry.sample();
        record("/a", "one", 1, &request(503, false));
        record("/a", "two", 0, &request(200, false));
        let after = registry.sample();
        let of = |sample: &Sample, server: &str| {
            let key = (Some("app".into()), Some(server.into()));
            sample.ended.get(&key).cloned().unwrap_or_default()
        };
        assert_eq!((of(&before, "one").requests, of(&before, "one").errors), (2, 1));
        let since = of(&after, "one").since(&of(&before, "one"));
        assert_eq!((since.requests, since.errors, since.duration.count()), (1, 1, 1));
        assert_eq!(of(&after, "two").since(&of(&before, "two")).requests, 1);
        // The other way round: something is gone.
        assert_eq!(of(&before, "one").since(&of(&after, "one")), EndedFigures::default());
    }

    #[test]
    fn requests_of_a_listener_are_counted_by_worker() {
        let registry = Registry::new(2);
        let web = registry.listener(&"web".into());
        web.shard(0).record(false);
        web.shard(1).record(true);
        let sample = registry.sample();
        assert_eq!(sample.listeners[&"web".into()], ListenerEnded { requests: 2, errors: 1 });
        registry.retain_streams(|_| false);
        assert!(registry.sample().listeners.is_empty());
    }
}
