//! What the routes of a configuration use, taken together: a worker asks this on each reload, where a look at every route would take
//! longer than a request may wait.

use evenkeel_config::{Config, HedgeAfter, Priority, Route};

/// What some route of a configuration uses.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// Some route has a cache.
    pub caches: bool,
    /// Some route compresses.
    pub compresses: bool,
    /// Some route sends copies of requests to another pool.
    pub mirrors: bool,
    /// Some route hedges by the usual latency of its pools.
    pub hedges_by_latency: bool,
    /// Which listeners lead to a route of high priority, in the order of the configuration.
    pub leads_to_high: Box<[bool]>,
}

impl Uses {
    /// What the routes of `config` use.
    pub fn of(config: &Config) -> Self {
        let mut uses = Self { leads_to_high: vec![false; config.listeners.len()].into(), ..Self::default() };
        for route in &config.routes {
            uses.caches |= route.cache.is_some();
            uses.compresses |= route.compress.is_some();
            uses.mirrors |= route.mirror.is_some();
            uses.hedges_by_latency |= hedges_by_latency(route);
            if route.priority == Priority::High {
                let listeners = config.listeners.iter().zip(&mut uses.leads_to_high);
                let leads = |name| route.listeners.is_empty() || route.listeners.contains(name);
                listeners.for_each(|(listener, high)| *high |= leads(&listener.name));
            }
        }
        uses
    }
}

/// Whether a route hedges by the usual latency of its pools, which must be measured then.
pub fn hedges_by_latency(route: &Route) -> bool {
    route.hedge.as_ref().is_some_and(|hedge| hedge.after == HedgeAfter::P95)
}
