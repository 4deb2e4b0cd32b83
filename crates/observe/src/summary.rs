//! Figures of servers and pools for people: the status page asks here what the metrics say.

use std::collections::BTreeMap;
use std::time::Duration;

use evenkeel_types::{BackendId, PoolName};

use crate::histogram::HistogramSnapshot;
use crate::names::RequestRefusal;
use crate::registry::Registry;
use crate::series::{SeriesKey, SeriesTotals};

/// What is to say of a server, a pool or everything since the process started.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Requests finished.
    pub requests: u64,
    /// Those of them that were answered 5xx.
    pub errors: u64,
    /// Of the requests of the next larger whole (a server of its pool's, a pool of all pools'), from 0 to 1.
    pub share: f64,
    /// Half of the requests took no longer. Zero, as the next two, when there were none.
    pub p50: Duration,
    /// 95 % of the requests took no longer.
    pub p95: Duration,
    /// 99 % of the requests took no longer.
    pub p99: Duration,
}

impl Registry {
    /// Every request, those that reached no pool included.
    pub fn summary(&self) -> Summary {
        let mut all = Tally::default();
        self.all_series().iter().for_each(|(_, series)| all.add(&series.totals()));
        all.summary(all.requests)
    }

    /// Requests that have ended, and those of them that failed: 5xx, and those that no route took. A reload forgets those of
    /// routes, pools and servers that it removes.
    pub fn ended(&self) -> (u64, u64) {
        let (mut requests, mut errors) = (0, 0);
        for (_, series) in self.all_series() {
            let classes = series.classes();
            requests += classes.iter().sum::<u64>();
            errors += classes.last().copied().unwrap_or_default();
        }
        let lost = self.workers().iter().map(|worker| worker.requests_refused(RequestRefusal::NoRoute));
        (requests, errors + lost.sum::<u64>())
    }

    /// Each pool that got a request; a request that reached none of a pool's servers counts for the pool.
    pub fn by_pool(&self) -> BTreeMap<PoolName, Summary> {
        let tallies = self.tally(|key| key.pool.clone());
        let all = tallies.values().map(|tally| tally.requests).sum();
        tallies.into_iter().map(|(pool, tally)| (pool, tally.summary(all))).collect()
    }

    /// Each server that got a request.
    pub fn by_backend(&self) -> BTreeMap<(PoolName, BackendId), Summary> {
        let tallies = self.tally(|key| Some((key.pool.clone()?, key.backend.clone()?)));
        let mut pools = BTreeMap::<PoolName, u64>::new();
        for ((pool, _), tally) in &tallies {
            *pools.entry(pool.clone()).or_default() += tally.requests;
        }
        let requests_of = |pool: &PoolName| pools.get(pool).copied().unwrap_or_default();
        tallies
            .into_iter()
            .map(|(id, tally)| {
                let summary = tally.summary(requests_of(&id.0));
                (id, summary)
            })
            .collect()
    }

    fn tally<K: Ord>(&self, group: impl Fn(&SeriesKey) -> Option<K>) -> BTreeMap<K, Tally> {
        let mut tallies = BTreeMap::<K, Tally>::new();
        for (key, series) in self.all_series() {
            if let Some(key) = group(&key) {
                tallies.entry(key).or_default().add(&series.totals());
            }
        }
        tallies
    }
}

#[derive(Default)]
struct Tally {
    requests: u64,
    errors: u64,
    duration: HistogramSnapshot,
}

impl Tally {
    fn add(&mut self, totals: &SeriesTotals) {
        self.requests += totals.classes.iter().sum::<u64>();
        self.errors += totals.classes.last().copied().unwrap_or_default();
        self.duration.merge(&totals.duration);
    }

    fn summary(&self, whole: u64) -> Summary {
        Summary {
            requests: self.requests,
            errors: self.errors,
            share: if whole == 0 { 0.0 } else { self.requests as f64 / whole as f64 },
            p50: self.duration.quantile(0.50),
            p95: self.duration.quantile(0.95),
            p99: self.duration.quantile(0.99),
        }
    }
}
