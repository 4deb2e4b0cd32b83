//! The pools that each route leads to, as positions in the configuration.

use std::collections::HashMap;

use evenkeel_config::{Action, Config, Route};
use evenkeel_types::PoolName;

/// The pools of all routes. Routes are named by their positions.
#[derive(Debug, Default)]
pub struct Destinations {
    /// The pools of the routes' actions, one route behind the other.
    targets: Box<[usize]>,
    /// Where the targets of each route end.
    ends: Box<[usize]>,
    mirrors: HashMap<usize, usize>,
    parents: HashMap<usize, usize>,
    positions: foldhash::HashMap<PoolName, usize>,
}

impl Destinations {
    /// The pools to which `routes` of `config` lead.
    pub fn of(config: &Config, routes: &[Route]) -> Self {
        let positions: foldhash::HashMap<PoolName, usize> =
            config.pools.iter().enumerate().map(|(i, pool)| (pool.name.clone(), i)).collect();
        // Validation has made sure that every pool that is named exists.
        let find = |name: &PoolName| positions.get(name).copied();
        let (mut targets, mut ends) = (Vec::with_capacity(routes.len()), Vec::with_capacity(routes.len()));
        let (mut mirrors, mut parents) = (HashMap::new(), HashMap::new());
        for (i, route) in routes.iter().enumerate() {
            match &route.action {
                Action::Pool(name) => targets.extend(find(name)),
                Action::Split(split) => targets.extend(split.iter().filter_map(|(name, _)| find(name))),
                Action::Redirect(_) | Action::Respond(_) | Action::Files(_) => {}
            }
            ends.push(targets.len());
            mirrors.extend(route.mirror.as_ref().and_then(|mirror| Some((i, find(&mirror.pool)?))));
            let parent = route.cache.as_ref().and_then(|cache| cache.parent.as_ref());
            parents.extend(parent.and_then(|parent| Some((i, find(parent)?))));
        }
        Self { targets: targets.into(), ends: ends.into(), mirrors, parents, positions }
    }

    /// Where a pool stands in the configuration, whether or not a route leads to it.
    pub fn position_of(&self, pool: &PoolName) -> Option<usize> {
        self.positions.get(pool).copied()
    }

    /// The pools of a route's action: one for `pool`, one a share for `split`.
    #[inline]
    pub fn targets(&self, route: usize) -> &[usize] {
        let start = route.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.targets[start..self.ends[route]]
    }

    /// The pool that gets copies of a route's requests.
    pub fn mirror_of(&self, route: usize) -> Option<usize> {
        self.mirrors.get(&route).copied()
    }

    /// The pool of cache nodes that gets what a route's cache does not have.
    pub fn parent_of(&self, route: usize) -> Option<usize> {
        self.parents.get(&route).copied()
    }

    /// True unless routes only ask this pool first, and can do without it.
    pub fn is_needed(&self, pool: usize) -> bool {
        !self.parents.values().any(|parent| *parent == pool) || self.targets.contains(&pool)
    }
}
