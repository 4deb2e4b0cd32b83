//! One pool as one worker admits requests to it: what was in force when they came, and what only this worker has.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use evenkeel_config::Pool as PoolConfig;
use evenkeel_types::Time;

use super::find::Found;
use super::notice::Notice;
use super::permit::Permit;
use crate::balance::{Load, Picker};
use crate::breaker::Breaker;
use crate::choose::{By, Chosen, Keys, choose_by};
use crate::health::LiveTraffic;
use crate::retry::LocalBudget;
use crate::snapshot::{Guard, Pool, PoolState};

/// What a [`Gate`] needs of the program that it works in.
pub trait Driver {
    /// The time, for a permit that is dropped and not [released](Permit::release).
    fn now(&self) -> Time;

    /// Counts or logs what has happened at this pool.
    fn notice(&self, pool: &PoolConfig, notice: Notice);
}

/// What one worker has for one pool. It outlives the [`Gate`]s, which follow configuration and health.
#[derive(Debug)]
pub struct Local {
    /// Whose turn it is, and the random source.
    pub picker: RefCell<Picker>,
    /// What is not yet deposited in the pool's retry budget.
    pub budget: LocalBudget,
}

impl Local {
    /// For a worker; each is given another `seed`.
    pub fn new(seed: u64) -> Self {
        Self { picker: RefCell::new(Picker::new(seed)), budget: LocalBudget::default() }
    }
}

/// One worker's view of one pool. Requests keep the gate that they came through: servers that come later are not theirs.
#[derive(Debug)]
pub struct Gate<D> {
    state: Arc<PoolState>,
    local: Rc<Local>,
    is_measured: bool,
    driver: D,
    /// The pool with its servers as they stood when a request last asked, and the version of that.
    newest: RefCell<Option<(u64, Rc<Pool>)>>,
}

impl<D: Driver> Gate<D> {
    /// A pool as it is now. `is_measured` says that some route hedges by what is usual in this pool, so that the time of its
    /// answers is taken.
    pub fn new(state: Arc<PoolState>, local: Rc<Local>, is_measured: bool, driver: D) -> Self {
        Self { state, local, is_measured, driver, newest: RefCell::default() }
    }

    /// The pool's configuration.
    pub fn config(&self) -> &PoolConfig {
        &self.state.config
    }

    /// The pool's servers as they were when the gate was made.
    pub fn pool(&self) -> &Pool {
        &self.state.servers
    }

    /// What this worker has for the pool.
    pub fn local(&self) -> &Rc<Local> {
        &self.local
    }

    /// The program around it.
    pub fn driver(&self) -> &D {
        &self.driver
    }

    /// Since when and why the pool's circuit breaker refuses requests, for the log; `None` if it is closed.
    pub fn circuit_in_words(&self, now: Time) -> Option<String> {
        self.pool().guard.as_ref()?.breaker.trip.description(now)
    }

    /// True if the pool's circuit breaker refuses requests now.
    pub fn is_circuit_open(&self, now: Time) -> bool {
        let settings = self.config().breaker.as_ref().and_then(|breaker| breaker.trip.as_ref());
        let guard = self.pool().guard.as_ref();
        guard.zip(settings).is_some_and(|(guard, settings)| guard.breaker.trip.refuses(settings, now))
    }

    /// Gives a request that does not wait a server and a permit for it; `None` if it cannot have one now. For copies of
    /// requests: nothing is counted of a refusal.
    pub fn admit_at_once(self: &Rc<Self>, request: &impl Keys, now: Time) -> Option<(Chosen, Permit<D>)> {
        let mut permit = Permit::new(self, LiveTraffic::Requests, now);
        permit.ask_pool(now).ok()?;
        permit.enter_pool().ok()?;
        match permit.find(self.pool(), By::request(request), &[], false, now) {
            Found::Server(chosen) => Some((chosen, permit)),
            _ => None,
        }
    }

    /// The server that a request goes to in a pool without limits; `None` if there is none left.
    #[inline]
    pub(super) fn choose<K: Keys>(&self, by: By<'_, K>, tried: &[usize], now: Time) -> Option<Chosen> {
        choose_by(self.pool(), self.config(), &mut self.local.picker.borrow_mut(), by, tried, now)
    }

    pub(super) fn guard(&self) -> Option<&Guard> {
        self.pool().guard.as_ref()
    }

    /// What counts the requests in flight of a pool with limits.
    pub(super) fn breaker(&self) -> &Breaker {
        &self.guard().expect("only a pool with a guard has limits").breaker
    }

    pub(super) fn load(&self, server: usize) -> &Arc<Load> {
        &self.pool().members.server(server).load
    }

    /// True if some route hedges by what is usual in this pool.
    pub fn is_measured(&self) -> bool {
        self.is_measured
    }

    pub(super) fn notice(&self, notice: Notice) {
        self.driver.notice(self.config(), notice);
    }

    /// The pool with its servers as they stand now, for a request that has waited: they may take requests no longer, or again.
    pub(super) fn pool_now(&self) -> Rc<Pool> {
        let mut newest = self.newest.borrow_mut();
        let version = newest.as_ref().map_or(0, |(version, _)| *version);
        if let Some((version, standings)) = self.breaker().standings(&self.pool().members, version) {
            let members = Arc::new(self.pool().members.with_parts(|at, _| standings[at]));
            *newest = Some((version, Rc::new(Pool { members, ..self.pool().clone() })));
        }
        let (_, pool) = newest.get_or_insert_with(|| (version, Rc::new(self.pool().clone())));
        Rc::clone(pool)
    }
}
