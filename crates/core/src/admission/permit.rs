//! What a request, or one leg of it, holds of a pool: one type, which gives everything back when it is dropped.

use std::rc::Rc;
use std::time::Duration;

use evenkeel_config::Trip as Settings;
use evenkeel_types::Time;

use super::facts::{Answer, FailedTry};
use super::gate::{Driver, Gate};
use super::notice::{Notice, RefusedBy};
use crate::breaker::{CircuitChange, Full, Grant, Outcome, Pass, Refused, Trip};
use crate::health::LiveTraffic;

/// A request in flight at a server, and in a pool with limits all that it holds there: its place in the pool, the passes of
/// both circuit breakers, and its retries in flight. Dropping it gives all of that back.
#[derive(Debug)]
pub struct Permit<D: Driver> {
    gate: Rc<Gate<D>>,
    /// The server that counts it.
    server: Option<usize>,
    /// In a pool without limits there is nothing more to hold, and nothing is allocated.
    limited: Option<Box<Limited>>,
}

/// What a permit holds of a pool with limits.
#[derive(Debug)]
struct Limited {
    /// What holds it.
    of: LiveTraffic,
    in_pool: bool,
    /// Retries and hedges that wait for an answer.
    retries: u32,
    /// When the request came to the pool, and when the try began.
    came: Time,
    began: Time,
    /// The passes of the circuit breakers of the pool and of the server.
    pool_pass: Option<Pass>,
    server_pass: Option<Pass>,
    /// How the request fared so far.
    outcome: Outcome,
}

impl Limited {
    fn new(of: LiveTraffic, now: Time) -> Self {
        Self {
            of,
            in_pool: false,
            retries: 0,
            came: now,
            began: now,
            pool_pass: None,
            server_pass: None,
            outcome: Outcome::Unknown,
        }
    }
}

impl<D: Driver> Permit<D> {
    /// Holds nothing yet, from `now` on; it is for a request, a connection or a session.
    pub(super) fn new(gate: &Rc<Gate<D>>, of: LiveTraffic, now: Time) -> Self {
        let limited = gate.guard().map(|_| Box::new(Limited::new(of, now)));
        Self { gate: Rc::clone(gate), server: None, limited }
    }

    /// For a server of a pool without limits, which counts it from now on.
    #[inline]
    pub(super) fn unlimited(gate: &Rc<Gate<D>>, server: usize) -> Self {
        gate.load(server).begin();
        Self { gate: Rc::clone(gate), server: Some(server), limited: None }
    }

    /// For a session that another process had at a server, which counts it from now on. In a pool with limits it holds what any other
    /// permit holds, also beyond the limits, because the session is there already. Circuit breakers are not asked.
    pub fn resumed(gate: &Rc<Gate<D>>, server: usize, now: Time) -> Self {
        let mut permit = Self::new(gate, LiveTraffic::Sessions, now);
        gate.load(server).begin();
        permit.server = Some(server);
        if let Some(limited) = &mut permit.limited {
            gate.breaker().readmit();
            limited.in_pool = true;
        }
        permit
    }

    /// The server where it is in flight.
    pub fn server(&self) -> Option<usize> {
        self.server
    }

    /// True if it holds a place in a pool with limits.
    pub fn is_in_pool(&self) -> bool {
        self.limited.as_ref().is_some_and(|limited| limited.in_pool)
    }

    /// The gate that it came through.
    pub fn gate(&self) -> &Rc<Gate<D>> {
        &self.gate
    }

    /// Gives everything back. Dropping it does the same, and asks the driver for the time if that matters.
    pub fn release(mut self, now: Time) {
        self.give_back(now);
    }

    /// The server has answered: judges it, and the request as well.
    #[inline]
    pub fn answered(&mut self, answer: &Answer) {
        if self.limited.is_some() {
            self.answered_within_limits(answer);
        }
    }

    fn answered_within_limits(&mut self, answer: &Answer) {
        self.end_retries();
        self.judge(answer);
        let Some(limited) = &mut self.limited else { return };
        let failed =
            pool_settings(&self.gate).is_some_and(|settings| settings.on.holds_status(answer.status));
        limited.outcome = outcome(answer, failed, (limited.of, limited.came));
        // A failed request may be tried again; a successful one is known to be, however long the rest of its answer takes.
        if !failed {
            self.settle_pool(answer.at);
        }
    }

    /// The server has failed. It does not have the request any more.
    pub fn failed(&mut self, failed: &FailedTry, now: Time) {
        self.note_failure(failed, now);
        self.blame_server(failed, now);
        self.leave_server(now);
    }

    /// Judges the server alone by its answer.
    pub(super) fn judge(&mut self, answer: &Answer) {
        if self.limited.is_none() {
            return;
        }
        if !answer.is_in_place() && answer.took.is_some() {
            self.learn(answer.took, answer.at);
        }
        let counts = |settings: &Settings| settings.on.holds_status(answer.status);
        self.settle_server(|settings, tried| outcome(answer, counts(settings), tried), answer.at);
    }

    /// Judges the server alone by its failure.
    pub(super) fn blame_server(&mut self, failed: &FailedTry, now: Time) {
        if self.limited.is_none() || failed.blame.is_none() {
            return;
        }
        if failed.timed_out {
            self.learn(None, now);
        }
        self.settle_server(|settings, tried| failed.outcome(settings, tried, now), now);
    }

    /// The request has failed at a server that another permit stands for.
    pub(super) fn note_failure(&mut self, failed: &FailedTry, now: Time) {
        if let (Some(limited), Some(settings)) = (&mut self.limited, pool_settings(&self.gate))
            && failed.blame.is_some()
        {
            limited.outcome = failed.outcome(settings, (limited.of, limited.came), now);
        }
    }

    /// A new try begins: how the request fares is open again.
    pub(super) fn begin_try(&mut self) {
        if let Some(limited) = &mut self.limited {
            limited.outcome = Outcome::Unknown;
        }
    }

    /// Asks the pool's circuit breaker, if it has one.
    ///
    /// # Errors
    /// It is open.
    pub(super) fn ask_pool(&mut self, now: Time) -> Result<(), Refused> {
        let (Some(limited), Some(settings)) = (&mut self.limited, pool_settings(&self.gate)) else {
            return Ok(());
        };
        let (admitted, change) = self.gate.breaker().trip.admit(settings, now);
        tell(&self.gate, None, change);
        limited.pool_pass = Some(admitted?);
        Ok(())
    }

    /// Asks it again after a wait, during which it may have opened.
    ///
    /// # Errors
    /// It has.
    pub(super) fn ask_pool_again(&mut self, now: Time) -> Result<(), Refused> {
        let Some(limited) = &mut self.limited else { return Ok(()) };
        match limited.pool_pass {
            Some(pass) if !self.gate.breaker().trip.honours(pass) => {
                limited.pool_pass = None;
                self.ask_pool(now)
            }
            _ => Ok(()),
        }
    }

    /// Takes a place in the pool without waiting for it.
    ///
    /// # Errors
    /// The limit that is reached.
    pub(super) fn enter_pool(&mut self) -> Result<(), Full> {
        let Some(limited) = &mut self.limited else { return Ok(()) };
        self.gate.breaker().enter(self.gate.config())?;
        limited.in_pool = true;
        Ok(())
    }

    /// Takes over a place that the queue has granted.
    pub(super) fn entered_pool(&mut self) {
        self.limited.iter_mut().for_each(|limited| limited.in_pool = true);
    }

    /// Gives its place in the pool back, if it has one.
    pub(super) fn leave_pool(&mut self, now: Time) {
        if let Some(limited) = &mut self.limited
            && std::mem::take(&mut limited.in_pool)
        {
            self.gate.breaker().leave(now);
        }
    }

    /// Takes over a place at a server that counts it already, and asks the server's circuit breaker, if there is one.
    ///
    /// # Errors
    /// It is open; the place was given back.
    pub(super) fn take_server(&mut self, server: usize, now: Time) -> Result<(), Refused> {
        debug_assert!(self.server.is_none(), "a permit is for one server");
        self.server = Some(server);
        self.begin_try();
        let Some(limited) = &mut self.limited else { return Ok(()) };
        limited.began = now;
        if let Some((settings, trip)) = server_trip(&self.gate, server) {
            let (admitted, change) = trip.admit(settings, now);
            tell(&self.gate, Some(server), change);
            match admitted {
                Ok(pass) => limited.server_pass = Some(pass),
                Err(refused) => {
                    self.leave_server(now);
                    return Err(refused);
                }
            }
        }
        Ok(())
    }

    /// Gives its place at the server back, if it has one, and the pass of a try of which nothing is known.
    pub(super) fn leave_server(&mut self, now: Time) {
        self.settle_server(|_, _| Outcome::Unknown, now);
        if let Some(server) = self.server.take() {
            match &self.limited {
                None => self.gate.load(server).end_unlimited(|| now),
                Some(_) => self.gate.breaker().leave_server(self.gate.load(server), now),
            }
        }
    }

    /// Counts a retry, or a hedge, that waits for its answer; false if there are `breaker.max_retries`.
    pub(super) fn begin_retry(&mut self) -> bool {
        let Some(limited) = &mut self.limited else { return true };
        let is_begun = self.gate.breaker().begin_retry(self.gate.config());
        limited.retries += u32::from(is_begun);
        if !is_begun {
            self.gate.notice(Notice::Refused(RefusedBy::RetriesMax));
        }
        is_begun
    }

    /// Takes the last one back: it is not made.
    pub(super) fn cancel_retry(&mut self) {
        if let Some(limited) = &mut self.limited
            && limited.retries > 0
        {
            limited.retries -= 1;
            self.gate.breaker().end_retry();
        }
    }

    /// Its retries do not wait for an answer any more.
    pub(super) fn end_retries(&mut self) {
        if let Some(limited) = &mut self.limited {
            (0..std::mem::take(&mut limited.retries)).for_each(|_| self.gate.breaker().end_retry());
        }
    }

    /// Moves what it holds of its server into a permit of its own, for a leg beside others.
    pub(super) fn split_server(&mut self) -> Self {
        let limited = self.limited.as_mut().map(|limited| {
            let mut other = Limited::new(limited.of, limited.began);
            other.server_pass = limited.server_pass.take();
            Box::new(other)
        });
        Self { gate: Rc::clone(&self.gate), server: self.server.take(), limited }
    }

    /// Takes over what the permit of a leg holds of its server; what else that holds is given back.
    pub(super) fn join_server(&mut self, mut leg: Self, now: Time) {
        debug_assert!(self.server.is_none(), "a permit is for one server");
        self.server = leg.server.take();
        if let (Some(limited), Some(other)) = (&mut self.limited, &mut leg.limited) {
            (limited.began, limited.server_pass) = (other.began, other.server_pass.take());
        }
        leg.release(now);
    }

    /// Gives back what the queue has granted and the request does not use.
    pub(super) fn return_grant(gate: &Gate<D>, grant: &Grant, now: Time) {
        match grant {
            Grant::Place => gate.breaker().leave(now),
            Grant::Server(load) => gate.breaker().leave_server(load, now),
            Grant::NoServer => {}
        }
    }

    fn settle_server(&mut self, outcome: impl FnOnce(&Settings, Tried) -> Outcome, now: Time) {
        let (Some(limited), Some(server)) = (&mut self.limited, self.server) else { return };
        let Some(pass) = limited.server_pass.take() else { return };
        let Some((settings, trip)) = server_trip(&self.gate, server) else { return };
        let change = trip.settle(pass, outcome(settings, (limited.of, limited.began)), settings, now);
        tell(&self.gate, Some(server), change);
    }

    fn settle_pool(&mut self, now: Time) {
        let Some(limited) = &mut self.limited else { return };
        let Some(pass) = limited.pool_pass.take() else { return };
        let Some(settings) = pool_settings(&self.gate) else { return };
        let change = self.gate.breaker().trip.settle(pass, limited.outcome, settings, now);
        tell(&self.gate, None, change);
    }

    /// Lets the limit that follows latency know of an answer, or that none came in time.
    fn learn(&self, took: Option<Duration>, now: Time) {
        if let Some(limit) = self.gate.breaker().learn(self.gate.config(), took, now) {
            self.gate.notice(Notice::Concurrency(limit));
        }
    }

    fn give_back(&mut self, now: Time) {
        self.leave_server(now);
        self.end_retries();
        self.settle_pool(now);
        self.leave_pool(now);
        self.limited = None;
    }
}

impl<D: Driver> Drop for Permit<D> {
    #[inline]
    fn drop(&mut self) {
        if self.limited.is_some() {
            let now = self.gate.driver().now();
            self.give_back(now);
        } else if let Some(server) = self.server.take() {
            self.gate.load(server).end_unlimited(|| self.gate.driver().now());
        }
    }
}

/// What was tried, and since when.
type Tried = (LiveTraffic, Time);

fn outcome(answer: &Answer, failed: bool, (of, began): Tried) -> Outcome {
    let took = answer.at.since(began).saturating_sub(answer.uploading);
    Outcome::Ended { of, failed, took }
}

impl FailedTry {
    /// What a circuit breaker makes of it; one that does not count it learns nothing, unless it took too long.
    fn outcome(&self, settings: &Settings, (of, began): Tried, now: Time) -> Outcome {
        let failed = self.blame.is_some_and(|blame| blame.counts(&settings.on));
        if failed || self.timed_out {
            Outcome::Ended { of, failed, took: now.since(began) }
        } else {
            Outcome::Unknown
        }
    }
}

/// The settings of the pool's circuit breaker, if it has one.
fn pool_settings<D: Driver>(gate: &Gate<D>) -> Option<&Settings> {
    gate.config().breaker.as_ref()?.trip.as_ref()
}

/// The circuit breaker of a server, with its settings, if it has one.
fn server_trip<D: Driver>(gate: &Gate<D>, server: usize) -> Option<(&Settings, &Trip)> {
    let settings = gate.config().server_breaker.as_ref()?;
    Some((settings, gate.guard()?.servers.get(server)?))
}

fn tell<D: Driver>(gate: &Gate<D>, server: Option<usize>, change: Option<CircuitChange>) {
    if let Some(change) = change {
        gate.notice(Notice::Circuit { server, change });
    }
}
