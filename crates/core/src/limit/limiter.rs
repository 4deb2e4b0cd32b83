//! The limits of all routes, and what a request comes to that several of them apply to.

use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use evenkeel_config::{Config, RateLimit, Route};
use evenkeel_types::{RouteName, Time};
use smallvec::{SmallVec, smallvec};

use super::gcra::{Gcra, Standing};
use super::key;
use super::table::{Places, Table};
use crate::keys::Keys;

/// Limits of one route at most.
pub const LIMITS_MAX: usize = 8;

/// Something of each limit of a route. Most routes have no more than two.
type OfEach<T> = SmallVec<[T; 2]>;

/// Some of a route's limits: bit `n` stands for the one at position `n`.
pub type Mask = u8;

/// One limit of one route.
#[derive(Debug)]
pub struct Limiter {
    /// What the configuration says.
    pub config: RateLimit,
    /// Rate and burst.
    pub gcra: Gcra,
    /// What it allows, as an item of `RateLimit-Policy`: the tokens that a full bucket has, and the seconds in which it
    /// fills up (draft-ietf-httpapi-ratelimit-headers-10, 3).
    pub policy: Box<str>,
    table: Table,
    keyed: RandomState,
}

impl Limiter {
    /// A limit of which nothing is used up. `keyed` makes its hashes unpredictable.
    pub fn new(config: &RateLimit, keyed: &RandomState) -> Self {
        let gcra = Gcra::new(config.rate, config.burst);
        let (burst, window) = (gcra.burst(), gcra.window().as_nanos().div_ceil(1_000_000_000));
        Self {
            policy: format!("\"{}\";q={burst};w={window}", config.name).into(),
            gcra,
            table: Table::new(config.keys_max),
            config: config.clone(),
            keyed: keyed.clone(),
        }
    }
}

/// The limits of a configuration, by the position of their route.
#[derive(Debug, Default)]
pub struct Limits {
    routes: Box<[Box<[Arc<Limiter>]>]>,
}

impl Limits {
    /// The limits of `config`. Those that are the same in `old`, a configuration and its limits, remember what they know.
    pub fn new(config: &Config, old: Option<(&Config, &Self)>, keyed: &RandomState) -> Self {
        let mut known: HashMap<(&RouteName, &str), &Arc<Limiter>> = HashMap::new();
        if let Some((config, old)) = old {
            for (route, limiters) in config.routes.iter().zip(&old.routes) {
                let route = &route.name;
                known.extend(limiters.iter().map(|limiter| ((route, limiter.config.name.as_str()), limiter)));
            }
        }
        let limiter = |route: &RouteName, limit: &RateLimit| match known.get(&(route, limit.name.as_str())) {
            Some(same) if same.config == *limit => Arc::clone(same),
            _ => Arc::new(Limiter::new(limit, keyed)),
        };
        let of_route = |route: &Route| {
            let limits = route.rate_limits.iter().take(LIMITS_MAX);
            limits.map(|limit| limiter(&route.name, limit)).collect()
        };
        Self { routes: config.routes.iter().map(of_route).collect() }
    }

    /// The limits of the route at `position`.
    pub fn of(&self, position: usize) -> &[Arc<Limiter>] {
        self.routes.get(position).map_or(&[], |limiters| limiters)
    }
}

/// What a request came to.
#[derive(Debug, Clone)]
pub struct LimitVerdict {
    /// How each limit stands that was asked, by its position.
    pub standings: OfEach<Option<Standing>>,
    /// Limits that had to forget a key.
    pub forgot: Mask,
}

impl LimitVerdict {
    /// That of a request of which so many limits are yet to be asked.
    pub fn new(limits: usize) -> Self {
        Self { standings: smallvec![None; limits], forgot: 0 }
    }

    /// The limit that refuses the request, and for how long: of several, the one with the longest wait.
    pub fn refused(&self, limits: &[Arc<Limiter>]) -> Option<(usize, Duration)> {
        let refusing =
            self.standings.iter().zip(limits).enumerate().filter_map(|(position, (standing, limit))| {
                standing.filter(|it| it.refused && !limit.config.dry_run).map(|it| (position, it.next))
            });
        refusing.max_by_key(|(_, retry)| *retry)
    }
}

/// Asks those of a route's limits that are in `mask`. Either each of them has a token for the request and gives it, or
/// none gives one; a dry run's is given if it has one and the others let the request pass.
pub fn ask(limits: &[Arc<Limiter>], mask: Mask, request: &impl Keys, now: Time) -> LimitVerdict {
    let mut verdict = LimitVerdict::new(limits.len());
    let mut held = hold(limits, mask, request);
    for (position, limiter) in limits.iter().enumerate() {
        if let Some((key, places)) = &held[position] {
            verdict.standings[position] = Some(limiter.gcra.look(places.get(*key), now));
        }
    }
    if verdict.refused(limits).is_some() {
        return verdict;
    }
    for (position, limiter) in limits.iter().enumerate() {
        let (Some((key, places)), Some(standing)) = (&mut held[position], &mut verdict.standings[position])
        else {
            continue;
        };
        if !standing.refused {
            let tat = limiter.gcra.take(places.get(*key), now);
            let forgot = places.set(*key, tat, &limiter.gcra, now);
            verdict.forgot |= Mask::from(forgot) << position;
            *standing = limiter.gcra.after(*standing);
        }
    }
    verdict
}

/// Puts back what [`ask`] took of the limits in `mask`: the request does not pass after all.
pub fn put_back(
    limits: &[Arc<Limiter>],
    mask: Mask,
    verdict: &mut LimitVerdict,
    request: &impl Keys,
    now: Time,
) {
    let mut held = hold(limits, mask, request);
    for (position, limiter) in limits.iter().enumerate() {
        if let (Some((key, places)), Some(standing)) = (&mut held[position], &mut verdict.standings[position])
            && !standing.refused
        {
            let tat = limiter.gcra.put_back(places.get(*key));
            places.set(*key, tat, &limiter.gcra, now);
            *standing = limiter.gcra.look(tat, now);
        }
    }
}

/// A key, and the table that it is in.
type Held<'l> = Option<(u64, MutexGuard<'l, Places>)>;

/// Takes hold of the keys in all tables. Every thread takes the tables in the order in which they lie in memory, which
/// is the same when another thread has a route's limits in another order, as after a reload: so no two threads wait for
/// each other.
fn hold<'l>(limits: &'l [Arc<Limiter>], mask: Mask, request: &impl Keys) -> OfEach<Held<'l>> {
    let mut held: OfEach<Held<'l>> = limits.iter().map(|_| None).collect();
    let mut order: OfEach<usize> = (0..limits.len()).collect();
    order.sort_unstable_by_key(|position| Arc::as_ptr(&limits[*position]));
    for position in order {
        if mask & 1 << position != 0 {
            let limiter = &limits[position];
            let key = key::hash(&limiter.config, request, &limiter.keyed);
            held[position] = Some((key, limiter.table.of(key)));
        }
    }
    held
}
