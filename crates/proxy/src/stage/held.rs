//! What a request holds of a pool with limits: its place in the pool and at a server, and the passes of their circuit
//! breakers. Given back when it is dropped, whichever way the request ends.

use std::sync::Arc;
use std::time::Duration;

use evenkeel_config::Pool;
use evenkeel_core::balance::Load;
use evenkeel_core::breaker::{Breaker, Outcome, Pass, Refused, State, Transition};
use evenkeel_core::snapshot::{Guard, Snapshot};
use evenkeel_observe::{BackendMetrics, Gauge, PoolMetrics, Registry};
use evenkeel_types::{Clock, Time};

use crate::upstream::answer::AnswerError;

/// What one request holds.
#[derive(Debug)]
pub struct Held {
    snapshot: Arc<Snapshot>,
    pool: usize,
    clock: Clock,
    registry: Arc<Registry>,
    /// What is counted of the pool.
    pub metrics: Arc<PoolMetrics>,
    /// When it came to the pool.
    began: Time,
    in_pool: bool,
    pass: Option<Pass>,
    /// How it fared so far.
    outcome: Outcome,
    server: Option<AtServer>,
}

/// What it holds of a server.
#[derive(Debug)]
struct AtServer {
    server: usize,
    began: Time,
    pass: Option<Pass>,
}

impl Held {
    /// Nothing yet, of a pool that has a guard.
    pub fn new(
        snapshot: &Arc<Snapshot>,
        pool: usize,
        registry: &Arc<Registry>,
        metrics: &Arc<PoolMetrics>,
        clock: Clock,
    ) -> Self {
        Self {
            snapshot: Arc::clone(snapshot),
            pool,
            clock,
            registry: Arc::clone(registry),
            metrics: Arc::clone(metrics),
            began: clock.now(),
            in_pool: false,
            pass: None,
            outcome: Outcome::Unknown,
            server: None,
        }
    }

    /// Asks the circuit breaker of the pool, if it has one.
    ///
    /// # Errors
    /// It is open.
    pub fn ask_pool(&mut self, now: Time) -> Result<(), Refused> {
        let Some(settings) = self.config().breaker.as_ref().and_then(|breaker| breaker.trip.as_ref()) else {
            return Ok(());
        };
        let (admitted, change) = self.breaker().trip.admit(settings, now);
        self.tell(None, change);
        self.pass = Some(admitted?);
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
            self.breaker().leave(self.config(), now);
        }
    }

    /// It has a place at a server. Asks the server's circuit breaker, if it has one.
    ///
    /// # Errors
    /// It is open; the place was given back.
    pub fn sit_down(&mut self, server: usize, now: Time) -> Result<(), Refused> {
        let at = self.server.insert(AtServer { server, began: now, pass: None });
        self.outcome = Outcome::Unknown;
        let (settings, trip) = (
            &self.snapshot.config.pools[self.pool].server_breaker,
            self.snapshot.pools[self.pool].guard.as_ref(),
        );
        let Some((settings, trip)) = settings.as_ref().zip(trip.and_then(|guard| guard.servers.get(server)))
        else {
            return Ok(());
        };
        let (admitted, change) = trip.admit(settings, now);
        at.pass = admitted.as_ref().ok().copied();
        self.tell(Some(server), change);
        if let Err(refused) = admitted {
            self.stand_up(Outcome::Unknown, now);
            return Err(refused);
        }
        Ok(())
    }

    /// The head of the server's answer is there, to a request that was sent at this time.
    pub fn answered(&mut self, status: u16, sent: Option<Time>, now: Time) {
        let failed = matches!(status, 502..=504);
        if !failed {
            self.learn(sent.map(|sent| now.since(sent)), now);
        }
        self.settle_server(|began| Outcome::Ended { failed, took: now.since(began) }, now);
        self.outcome = Outcome::Ended { failed, took: now.since(self.began) };
        // What failed may be tried again; what succeeded is known to have, however long the rest of it takes.
        if !failed {
            self.settle_pool(now);
        }
    }

    /// The try at the server is over; `error` if it failed.
    pub fn leave_server(&mut self, error: Option<&AnswerError>) {
        let now = self.clock.now();
        let outcome = match error.filter(|error| error.failure().is_some()) {
            None => Outcome::Unknown,
            Some(error) => {
                if matches!(error, AnswerError::Timeout | AnswerError::ConnectTimeout) {
                    self.learn(None, now);
                }
                let began = self.server.as_ref().map_or(now, |at| at.began);
                self.outcome = Outcome::Ended { failed: true, took: now.since(self.began) };
                Outcome::Ended { failed: true, took: now.since(began) }
            }
        };
        self.stand_up(outcome, now);
    }

    fn stand_up(&mut self, outcome: Outcome, now: Time) {
        self.settle_server(|_| outcome, now);
        let Some(at) = self.server.take() else { return };
        let max = self.config().backends[at.server].max_connections;
        self.breaker().leave_server(self.load(at.server), max, self.config(), now);
    }

    fn settle_server(&mut self, outcome: impl FnOnce(Time) -> Outcome, now: Time) {
        let Some(at) = &mut self.server else { return };
        let (server, began) = (at.server, at.began);
        let Some(pass) = at.pass.take() else { return };
        let Some(settings) = &self.config().server_breaker else { return };
        let Some(trip) = self.guard().and_then(|guard| guard.servers.get(server)) else { return };
        let change = trip.settle(pass, outcome(began), settings, now);
        self.tell(Some(server), change);
    }

    fn settle_pool(&mut self, now: Time) {
        let Some(pass) = self.pass.take() else { return };
        let Some(settings) = self.config().breaker.as_ref().and_then(|breaker| breaker.trip.as_ref()) else {
            return;
        };
        let change = self.breaker().trip.settle(pass, self.outcome, settings, now);
        self.tell(None, change);
    }

    /// Lets the limit that follows latency know of an answer, or that none came in time.
    fn learn(&self, took: Option<Duration>, now: Time) {
        let Some(settings) = &self.config().concurrency else { return };
        let breaker = self.breaker();
        if let Some(limit) = breaker.adaptive.observe(settings, took, breaker.in_flight(), now) {
            self.metrics.concurrency_limit.set(i64::from(limit));
        }
    }

    /// Tells of a change of a circuit breaker, that of a server or of the pool.
    fn tell(&self, server: Option<usize>, change: Option<Transition>) {
        let Some(Transition { from, to, reason }) = change else { return };
        let (pool, from, to_name) = (&self.config().name, from.as_str(), to.as_str());
        match server {
            None => {
                set(&self.metrics.breaker_state, to);
                tracing::warn!(%pool, from, to = to_name, reason, "circuit breaker of the pool changed");
            }
            Some(server) => {
                let id = &self.config().backends[server].id;
                let metrics: Arc<BackendMetrics> = self.registry.backend(pool, id);
                set(&metrics.breaker_state, to);
                tracing::warn!(%pool, server = %id, from, to = to_name, reason, "circuit breaker of the server changed");
            }
        }
    }

    fn config(&self) -> &Pool {
        &self.snapshot.config.pools[self.pool]
    }

    fn guard(&self) -> Option<&Guard> {
        self.snapshot.pools[self.pool].guard.as_ref()
    }

    fn breaker(&self) -> &Arc<Breaker> {
        &self.guard().expect("only a pool with a guard is held").breaker
    }

    fn load(&self, server: usize) -> &Arc<Load> {
        &self.snapshot.pools[self.pool].members.server(server).load
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let now = self.clock.now();
        self.stand_up(Outcome::Unknown, now);
        self.settle_pool(now);
        self.leave_pool(now);
    }
}

fn set(gauge: &Gauge, state: State) {
    gauge.set(match state {
        State::Closed => 0,
        State::Open => 1,
        State::HalfOpen => 2,
    });
}
