//! Where one worker counts what rate limits, mirrors and caches do: looked up once, and then kept with the view.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use evenkeel_config::Route;
use evenkeel_observe::{CacheSeries, LimitCounts, LimitOutcome, MirrorCounts, MirrorOutcome, Registry};

/// The counters of one worker's view.
#[derive(Debug)]
pub struct Tally {
    registry: Arc<Registry>,
    worker: usize,
    /// By the positions of route and limit.
    limits: RefCell<HashMap<(usize, usize), Arc<LimitCounts>>>,
    /// By the position of the route.
    mirrors: RefCell<HashMap<usize, Arc<MirrorCounts>>>,
    /// By the position of the route. Looked up for each request to a route with a cache.
    caches: RefCell<Vec<Option<Arc<CacheSeries>>>>,
}

impl Tally {
    /// Nothing looked up yet.
    pub fn new(registry: &Arc<Registry>, worker: usize) -> Self {
        let (limits, mirrors, caches) = (RefCell::default(), RefCell::default(), RefCell::default());
        Self { registry: Arc::clone(registry), worker, limits, mirrors, caches }
    }

    /// Counts what a route's limit at a position did.
    pub fn limited(&self, (position, route): (usize, &Route), limit: usize, outcome: LimitOutcome) {
        let mut limits = self.limits.borrow_mut();
        let new = || self.registry.limit(&route.name, &route.rate_limits[limit].name);
        limits.entry((position, limit)).or_insert_with(new).count(self.worker, outcome);
    }

    /// Counts a copy of a route's request.
    pub fn mirrored(&self, route: (usize, &Route), outcome: MirrorOutcome) {
        self.mirror_counts(route).count(self.worker, outcome);
    }

    /// Where a route's cache is counted.
    pub fn cached(&self, (position, route): (usize, &Route)) -> Arc<CacheSeries> {
        let mut caches = self.caches.borrow_mut();
        if caches.len() <= position {
            caches.resize(position + 1, None);
        }
        Arc::clone(caches[position].get_or_insert_with(|| self.registry.cache(&route.name)))
    }

    /// Where copies of a route's requests are counted.
    pub fn mirror_counts(&self, (position, route): (usize, &Route)) -> Arc<MirrorCounts> {
        let mut mirrors = self.mirrors.borrow_mut();
        Arc::clone(mirrors.entry(position).or_insert_with(|| self.registry.mirror(&route.name)))
    }
}
