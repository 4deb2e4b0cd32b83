//! Which servers of a pool a request has passed over, and when to look at all of them instead of one after the other.

use evenkeel_config::Pool as PoolConfig;
use evenkeel_types::Time;

use crate::snapshot::Pool;

/// Choices that may find a server without room before all are looked at, and afterwards before the request gives up:
/// what was seen may have changed by then. A choice takes as long as the pool is large, and so does what it passes over;
/// only so many of them bound what it costs to refuse a request.
const CHOICES_MAX: usize = 8;

/// Servers that one request has passed over, because they are full or their circuit breakers open.
#[derive(Debug)]
pub struct Passed<'t> {
    tried: &'t [usize],
    /// Those that were tried, and those passed over; empty before the first of the latter.
    all: Vec<usize>,
    /// Those that are not to be waited for; empty before the first that is passed over.
    out: Vec<usize>,
    choices: usize,
    looked: bool,
    /// One of them is full.
    pub any_full: bool,
    /// The circuit breaker of one of them is open.
    pub any_open: bool,
}

impl<'t> Passed<'t> {
    /// None yet, of a request that `tried` these.
    pub fn new(tried: &'t [usize]) -> Self {
        let (all, out) = (Vec::new(), Vec::new());
        Self { tried, all, out, choices: 0, looked: false, any_full: false, any_open: false }
    }

    /// Those that are not to be chosen.
    pub fn skip(&self) -> &[usize] {
        if self.all.is_empty() { self.tried } else { &self.all }
    }

    /// Those that were tried or have an open circuit breaker.
    pub fn out(&self) -> &[usize] {
        if self.all.is_empty() { self.tried } else { &self.out }
    }

    /// This one was chosen, and is full; true if it is worth waiting for, as its circuit breaker is not open.
    pub fn full(&mut self, pool: &Pool, config: &PoolConfig, server: usize, now: Time) -> bool {
        if is_open(pool, config, server, now) {
            self.open(server);
            return false;
        }
        self.any_full = true;
        self.choices += 1;
        self.pass(server);
        true
    }

    /// This one was chosen, and its circuit breaker is open.
    pub fn open(&mut self, server: usize) {
        self.any_open = true;
        self.choices += 1;
        self.pass(server);
        self.out.push(server);
    }

    /// True if another choice is worth it. After some of them it looks at all servers for one that has room at `now`, and
    /// passes over those that have not.
    pub fn goes_on(&mut self, pool: &Pool, config: &PoolConfig, now: Time) -> bool {
        if self.choices < CHOICES_MAX {
            return true;
        }
        if std::mem::replace(&mut self.looked, true) {
            return self.choices < 2 * CHOICES_MAX;
        }
        let mut is_passed = vec![false; pool.members.len()];
        self.all.iter().for_each(|server| is_passed[*server] = true);
        let left = (0..is_passed.len()).filter(|server| !is_passed[*server] && pool.members.usable(*server));
        let mut any = false;
        for server in left {
            let max = config.backends[server].max_connections.unwrap_or(u32::MAX);
            if is_open(pool, config, server, now) {
                self.any_open = true;
                self.all.push(server);
                self.out.push(server);
            } else if pool.members.server(server).load.in_flight() >= max {
                self.any_full = true;
                self.all.push(server);
            } else {
                any = true;
            }
        }
        any
    }

    fn pass(&mut self, server: usize) {
        if self.all.is_empty() {
            self.all.extend_from_slice(self.tried);
            self.out.extend_from_slice(self.tried);
        }
        self.all.push(server);
    }
}

fn is_open(pool: &Pool, config: &PoolConfig, server: usize, now: Time) -> bool {
    let trip = pool.guard.as_ref().and_then(|guard| guard.servers.get(server));
    trip.zip(config.server_breaker.as_ref()).is_some_and(|(trip, of)| trip.refuses(of, now))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::balance::Picker;
    use crate::breaker::fixtures;
    use crate::snapshot::Guard;

    /// So many servers of one place each, all but `free` of them taken.
    fn full_but(free: &[usize], len: usize) -> (Pool, PoolConfig) {
        let mut config = fixtures::pool("");
        let one = config.backends[0].clone();
        config.backends = (0..len)
            .map(|at| {
                let mut backend = one.clone();
                (backend.id, backend.max_connections) = (format!("s{at}").into(), Some(1));
                backend
            })
            .collect();
        let members = fixtures::members(&(0..len).map(|_| Arc::default()).collect::<Vec<_>>());
        let taken = (0..len).filter(|at| !free.contains(at));
        taken.for_each(|at| members.server(at).load.begin());
        let guard = Some(Guard { breaker: Arc::default(), servers: Arc::new([]) });
        let (states, retries) = (Arc::new([]), Arc::default());
        (
            Pool {
                members,
                states,
                panic: None,
                cookie: None,
                affinity: None,
                retries,
                guard,
                arrivals: Arc::default(),
                edition: 0,
            },
            config,
        )
    }

    /// Which server the data path would find, and after how many choices.
    fn find(pool: &Pool, config: &PoolConfig, tried: &[usize]) -> (Option<usize>, usize) {
        let (mut passed, mut picker) = (Passed::new(tried), Picker::new(7));
        let mut choices = 0;
        while passed.goes_on(pool, config, Time::ZERO) {
            let Some(choice) = picker.pick(&pool.members, 0, passed.skip(), Time::ZERO) else { break };
            choices += 1;
            if pool.members.server(choice.server).load.try_begin(1) {
                return (Some(choice.server), choices);
            }
            passed.full(pool, config, choice.server, Time::ZERO);
        }
        (None, choices)
    }

    #[test]
    fn the_only_one_with_room_is_found_after_a_few_choices() {
        for len in [1, 2, 9, 40, 1000] {
            for free in [0, len / 2, len - 1] {
                let (pool, config) = full_but(&[free], len);
                let (found, choices) = find(&pool, &config, &[]);
                assert_eq!(found, Some(free), "of {len}");
                assert!(choices <= CHOICES_MAX + 1, "{choices} of {len}");
            }
        }
    }

    #[test]
    fn a_tried_server_is_not_found_again_and_a_full_pool_is_known_after_a_few_choices() {
        let (pool, config) = full_but(&[3], 1000);
        assert_eq!(find(&pool, &config, &[3]), (None, CHOICES_MAX));
    }

    #[test]
    fn a_server_with_an_open_circuit_is_not_waited_for() {
        let (pool, config) = full_but(&[], 5);
        let mut passed = Passed::new(&[4]);
        assert_eq!((passed.skip(), passed.out()), (&[4][..], &[4][..]));
        assert!(passed.full(&pool, &config, 1, Time::ZERO));
        passed.open(2);
        assert_eq!((passed.skip(), passed.out()), (&[4, 1, 2][..], &[4, 2][..]));
    }
}
