//! What a request holds of a pool with limits: its place in the pool, and the pass of the pool's circuit breaker. Given
//! back when it is dropped, whichever way the request ends.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_config::Pool;
use evenkeel_core::balance::Load;
use evenkeel_core::breaker::{Breaker, Full, Grant, Outcome, Pass, Refused, Retry, State, Transition};
use evenkeel_core::snapshot::{self, Guard, PoolState};
use evenkeel_observe::{Gauge, PoolMetrics, Registry};
use evenkeel_types::{Clock, Time};

use crate::forward::seat::Seat;
use crate::server::error::ServerError;

/// A pool with a guard, as requests see it from their beginning to their end; one for each state of the pool and worker.
#[derive(Debug)]
pub struct Guarded {
    /// The pool as it stood when they came.
    state: Arc<PoolState>,
    /// The process's clock.
    pub clock: Clock,
    /// What is counted.
    pub registry: Arc<Registry>,
    /// What is counted of the pool.
    pub metrics: Arc<PoolMetrics>,
    /// The pool as it stood when somebody last asked, and which version of its servers that was.
    newest: RefCell<Option<(u64, Rc<snapshot::Pool>)>>,
}

/// What one request holds.
#[derive(Debug)]
pub struct Held {
    of: Rc<Guarded>,
    /// When it came to the pool.
    began: Time,
    in_pool: bool,
    pass: Option<Pass>,
    /// How it fared so far.
    outcome: Outcome,
    /// What counts its retries and hedges, for as long as they wait for an answer.
    retries: Vec<Retry>,
}

/// The head of an answer.
#[derive(Debug)]
pub struct Answered {
    /// Its status.
    pub status: u16,
    /// When it came.
    pub at: Time,
    /// How long after the end of the request, if that has been sent whole.
    pub took: Option<Duration>,
    /// How much time had gone by for no other reason than that the client was sending it.
    pub uploading: Duration,
}

impl Answered {
    fn is_failure(&self) -> bool {
        matches!(self.status, 502..=504)
    }

    fn outcome(&self, began: Time) -> Outcome {
        let took = self.at.since(began).saturating_sub(self.uploading);
        Outcome::Ended { failed: self.is_failure(), took }
    }
}

impl Held {
    /// Nothing yet, of a pool that has a guard.
    pub fn new(of: &Rc<Guarded>) -> Self {
        let began = of.clock.now();
        let of = Rc::clone(of);
        Self { of, began, in_pool: false, pass: None, outcome: Outcome::Unknown, retries: Vec::new() }
    }

    /// Asks the circuit breaker of the pool, if it has one.
    ///
    /// # Errors
    /// It is open.
    pub fn ask_pool(&mut self, now: Time) -> Result<(), Refused> {
        let breaker = self.of.config().breaker.as_ref();
        let Some(settings) = breaker.and_then(|breaker| breaker.trip.as_ref()) else { return Ok(()) };
        let (admitted, change) = self.of.breaker().trip.admit(settings, now);
        self.tell(change);
        self.pass = Some(admitted?);
        Ok(())
    }

    /// Asks it again after a wait, in which it may have opened.
    ///
    /// # Errors
    /// It has.
    pub fn ask_pool_again(&mut self, now: Time) -> Result<(), Refused> {
        match self.pass {
            Some(pass) if !self.of.breaker().trip.honours(pass) => {
                self.pass = None;
                self.ask_pool(now)
            }
            _ => Ok(()),
        }
    }

    /// Takes a place in the pool without waiting for it.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn enter(&mut self) -> Result<(), Full> {
        self.of.breaker().enter(self.of.config())?;
        self.in_pool = true;
        Ok(())
    }

    /// It has a place in the pool.
    pub fn entered(&mut self) {
        self.in_pool = true;
    }

    /// True if it has a place in the pool.
    pub fn is_in_pool(&self) -> bool {
        self.in_pool
    }

    /// Gives its place in the pool back.
    pub fn leave_pool(&mut self, now: Time) {
        if std::mem::take(&mut self.in_pool) {
            self.of.breaker().leave(now);
        }
    }

    /// It has a place at a server. Asks the server's circuit breaker, if it has one.
    ///
    /// # Errors
    /// It is open; the place was given back.
    pub fn sit_down(&mut self, server: usize, now: Time) -> Result<Box<Seat>, Refused> {
        self.outcome = Outcome::Unknown;
        Seat::take(&self.of, server, now).map(Box::new)
    }

    /// A place among the pool's retries; `None` when there are `breaker.max_retries` already.
    pub fn try_retry(&self) -> Option<Retry> {
        self.of.breaker().try_retry(self.of.config())
    }

    /// Counts one until its answer is there.
    pub fn begin_retry(&mut self, retry: Retry) {
        self.retries.push(retry);
    }

    /// Nobody waits for its retries any more.
    pub fn end_retries(&mut self) {
        self.retries.clear();
    }

    /// The server with this seat has answered.
    pub fn answered(&mut self, seat: Option<&mut Seat>, answer: &Answered) {
        // The rest of an answer may take hours.
        self.end_retries();
        self.judge(seat, answer);
        self.outcome = answer.outcome(self.began);
        let (failed, now) = (answer.is_failure(), answer.at);
        // What failed may be tried again; what succeeded is known to have, however long the rest of it takes.
        if !failed {
            self.settle_pool(now);
        }
    }

    /// Judges the server with this seat by its answer, and the request not.
    pub fn judge(&self, seat: Option<&mut Seat>, answer: &Answered) {
        let now = self.of.clock.now();
        if !answer.is_failure() && answer.took.is_some() {
            self.learn(answer.took, now);
        }
        if let Some(seat) = seat {
            seat.settle(|began| answer.outcome(began), now);
        }
    }

    /// The try at the server with this seat is over; `error` if it failed.
    pub fn tried(&mut self, seat: Option<Box<Seat>>, error: Option<&ServerError>) {
        let Some(error) = error.filter(|error| error.failure().is_some()) else { return };
        let now = self.of.clock.now();
        if matches!(error, ServerError::Timeout | ServerError::ConnectTimeout) {
            self.learn(None, now);
        }
        self.outcome = Outcome::Ended { failed: true, took: now.since(self.began) };
        if let Some(mut seat) = seat {
            seat.settle(|began| Outcome::Ended { failed: true, took: now.since(began) }, now);
        }
    }

    fn settle_pool(&mut self, now: Time) {
        let Some(pass) = self.pass.take() else { return };
        let breaker = self.of.config().breaker.as_ref();
        let Some(settings) = breaker.and_then(|breaker| breaker.trip.as_ref()) else { return };
        let change = self.of.breaker().trip.settle(pass, self.outcome, settings, now);
        self.tell(change);
    }

    /// Lets the limit that follows latency know of an answer, or that none came in time.
    fn learn(&self, took: Option<Duration>, now: Time) {
        if let Some(limit) = self.of.breaker().learn(self.of.config(), took, now) {
            self.of.metrics.concurrency_limit.set(i64::from(limit));
        }
    }

    /// Tells of a change of the pool's circuit breaker.
    fn tell(&self, change: Option<Transition>) {
        let Some(Transition { from, to, reason }) = change else { return };
        show(&self.of.metrics.breaker_state, to);
        let (pool, from, to) = (&self.of.config().name, from.as_str(), to.as_str());
        tracing::warn!(%pool, from, to, reason, "circuit breaker of the pool changed");
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let now = self.of.clock.now();
        self.settle_pool(now);
        self.leave_pool(now);
    }
}

impl Guarded {
    /// A pool that has a guard.
    pub fn new(
        (clock, registry): (Clock, &Arc<Registry>),
        state: &Arc<PoolState>,
        metrics: &Arc<PoolMetrics>,
    ) -> Self {
        Self {
            state: Arc::clone(state),
            clock,
            registry: Arc::clone(registry),
            metrics: Arc::clone(metrics),
            newest: RefCell::default(),
        }
    }

    /// The pool.
    pub fn pool(&self) -> &snapshot::Pool {
        &self.state.servers
    }

    /// The same with its servers as they stand now, for who has waited: they may take requests no longer, or again.
    pub fn pool_by_now(&self) -> Rc<snapshot::Pool> {
        let (pool, mut newest) = (self.pool(), self.newest.borrow_mut());
        let version = newest.as_ref().map_or(0, |(version, _)| *version);
        if let Some((version, standings)) = self.breaker().standings(&pool.members, version) {
            let members = Arc::new(pool.members.with_parts(|at, _| standings[at]));
            *newest = Some((version, Rc::new(snapshot::Pool { members, ..pool.clone() })));
        }
        let (_, pool) = newest.get_or_insert_with(|| (version, Rc::new(pool.clone())));
        Rc::clone(pool)
    }

    /// What changes with traffic about one of its servers.
    pub fn load(&self, server: usize) -> &Arc<Load> {
        &self.pool().members.server(server).load
    }

    /// Gives back a place that came too late.
    pub fn give_back(&self, grant: &Grant) {
        let now = self.clock.now();
        match grant {
            Grant::Place => self.breaker().leave(now),
            Grant::Server(load) => self.breaker().leave_server(load, now),
            Grant::NoServer => {}
        }
    }

    /// The pool's configuration.
    pub fn config(&self) -> &Pool {
        &self.state.config
    }

    /// What guards it.
    pub fn guard(&self) -> &Guard {
        self.pool().guard.as_ref().expect("only a pool with a guard is held")
    }

    /// Its places.
    pub fn breaker(&self) -> &Arc<Breaker> {
        &self.guard().breaker
    }
}

/// Sets a gauge of a circuit breaker: 0 closed, 1 open, 2 half open.
pub fn show(gauge: &Gauge, state: State) {
    gauge.set(match state {
        State::Closed => 0,
        State::Open => 1,
        State::HalfOpen => 2,
    });
}
