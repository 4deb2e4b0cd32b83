//! Finding a server that has room for one more request, and taking the permit for it.

use std::rc::Rc;

use evenkeel_types::Time;

use super::gate::Driver;
use super::permit::Permit;
use crate::breaker::Passed;
use crate::choose::{By, Chosen, Keys, Why, choose_by};
use crate::snapshot::Pool;

/// What a request finds at once.
pub(super) enum Found {
    /// A server, which counts it now.
    Server(Chosen),
    /// No server that it could go to is full, and the circuit breaker of at least one is open.
    Open,
    /// At least one server that it could go to is full.
    Full {
        /// The one that the request belongs to, if that is what it waits for.
        own: Option<usize>,
        /// Servers that are not worth waiting for: tried, or with an open circuit breaker.
        not: Box<[usize]>,
    },
    /// There is no server left.
    None,
}

impl<D: Driver> Permit<D> {
    /// Chooses a server of `pool` that is not among `tried` and has room, and has it count this permit. `has_queue` says that
    /// the request may wait: then one that belongs to a server which is full does not move to another.
    pub(super) fn find<K: Keys>(
        &mut self,
        pool: &Pool,
        by: By<'_, K>,
        tried: &[usize],
        has_queue: bool,
        now: Time,
    ) -> Found {
        if pool.guard.is_some() {
            return self.find_with_room(pool, by, tried, has_queue, now);
        }
        match self.gate().choose(by, tried, now) {
            Some(chosen) => {
                *self = Self::unlimited(self.gate(), chosen.server);
                Found::Server(chosen)
            }
            None => Found::None,
        }
    }

    fn find_with_room<K: Keys>(
        &mut self,
        pool: &Pool,
        by: By<'_, K>,
        tried: &[usize],
        has_queue: bool,
        now: Time,
    ) -> Found {
        let gate = Rc::clone(self.gate());
        let config = gate.config();
        let (mut passed, mut own) = (Passed::new(tried), None);
        while passed.goes_on(pool, config, now) {
            let picker = &mut gate.local().picker.borrow_mut();
            let Some(chosen) = choose_by(pool, config, picker, by, passed.skip(), now) else { break };
            let max = config.backends[chosen.server].max_connections.unwrap_or(u32::MAX);
            if !gate.load(chosen.server).try_begin(max) {
                let is_worth_waiting = passed.full(pool, config, chosen.server, now) && has_queue;
                if is_worth_waiting && chosen.why == Why::Sticky {
                    own = Some(chosen.server);
                    break;
                }
            } else if self.take_server(chosen.server, now).is_ok() {
                return Found::Server(chosen);
            } else {
                passed.open(chosen.server);
            }
        }
        match () {
            () if passed.any_full => Found::Full { own, not: passed.out().into() },
            () if passed.any_open => Found::Open,
            () => Found::None,
        }
    }
}
