//! What one request has behind it, what it holds, and how it gives that back: what `stage/{forward,held,seat}.rs` keep
//! of a request on the data path.

use std::time::Duration;

use evenkeel_core::breaker::{Breaker, Outcome, Pass, Refused, Retry, State, Ticket, Transition};
use evenkeel_core::health::Failure;
use evenkeel_types::Time;

use super::Balancer;

/// A request on its way from server to server.
#[derive(Debug)]
pub struct Course {
    /// Its number.
    pub(super) number: usize,
    pub(super) client: u32,
    pub(super) method: &'static str,
    /// The thread of the data path that has it.
    pub(super) worker: usize,
    /// Servers that it was given to.
    pub(super) tried: Vec<usize>,
    /// Servers that it was sent to, as the retry policy counts.
    pub(super) attempts: u32,
    pub(super) retries: u32,
    pub(super) under_way: Option<Retry>,
    pub(super) waits: Option<Waits>,
    seat: Option<Seat>,
    has_asked: bool,
    in_pool: bool,
    began: Time,
    /// When the server with its seat got it.
    sent: Time,
    pass: Option<Pass>,
    /// How it fared so far.
    outcome: Outcome,
}

/// What it waits for.
#[derive(Debug)]
pub struct Waits {
    pub(super) ticket: Ticket,
    /// For a place at a server; else for one in the pool.
    pub(super) at: Option<At>,
    /// What was known of the servers when it began to wait.
    pub(super) version: u64,
}

/// Servers that one may wait for: which one alone, and which not.
pub type At = (Option<usize>, Vec<usize>);

/// A place at a server.
#[derive(Debug)]
struct Seat {
    server: usize,
    began: Time,
    pass: Option<Pass>,
}

impl Course {
    /// A request that comes now.
    pub(super) fn new(
        number: usize,
        (client, method): (u32, &'static str),
        worker: usize,
        began: Time,
    ) -> Self {
        Self {
            number,
            client,
            method,
            worker,
            tried: Vec::new(),
            attempts: 0,
            retries: 0,
            under_way: None,
            waits: None,
            seat: None,
            has_asked: false,
            in_pool: false,
            began,
            sent: began,
            pass: None,
            outcome: Outcome::Unknown,
        }
    }

    /// Where it has a place.
    pub fn seat(&self) -> Option<usize> {
        self.seat.as_ref().map(|seat| seat.server)
    }

    pub(super) fn sent(&self) -> Time {
        self.sent
    }

    pub(super) fn is_in_pool(&self) -> bool {
        self.in_pool
    }
}

impl Balancer {
    /// Asks the circuit breaker of the pool, if there is one and it was not asked.
    pub(super) fn ask_pool(&mut self, course: &mut Course, now: Time) -> Result<(), Refused> {
        if std::mem::replace(&mut course.has_asked, true) {
            return Ok(());
        }
        let settings = self.config.breaker.as_ref().and_then(|breaker| breaker.trip.as_ref());
        let (Some(settings), Some(guard)) = (settings, &self.pool.guard) else { return Ok(()) };
        let (admitted, change) = guard.breaker.trip.admit(settings, now);
        self.opened += opens(change.as_ref());
        course.pass = Some(admitted?);
        Ok(())
    }

    /// Asks it again after a wait, in which it may have opened.
    pub(super) fn ask_pool_again(&mut self, course: &mut Course, now: Time) -> Result<(), Refused> {
        match course.pass {
            Some(pass) if !self.breaker().trip.honours(pass) => {
                (course.pass, course.has_asked) = (None, false);
                self.ask_pool(course, now)
            }
            _ => Ok(()),
        }
    }

    /// It has a place in the pool.
    pub(super) fn entered(&mut self, course: &mut Course) {
        course.in_pool = true;
        self.inside += 1;
        let limits = self.config.breaker.iter().flat_map(|it| [it.max_requests, it.max_connections]);
        // What `concurrency` allows may have fallen since the place was given.
        let most = limits.flatten().chain(self.config.concurrency.iter().map(|it| it.max)).min();
        assert!(
            most.is_none_or(|most| self.inside <= most),
            "{} in the pool, and {most:?} may be",
            self.inside
        );
    }

    /// Gives its place in the pool back, if it has one.
    pub(super) fn leave_pool(&mut self, course: &mut Course, now: Time) {
        if std::mem::take(&mut course.in_pool) {
            self.inside -= 1;
            self.breaker().leave(now);
        }
    }

    /// Takes over a place at a server that is counted already, and asks the server's circuit breaker, if there is one.
    pub(super) fn sit_down(&mut self, course: &mut Course, server: usize, now: Time) -> Result<(), Refused> {
        assert!(course.seat.is_none(), "a request has two places");
        course.outcome = Outcome::Unknown;
        self.seated[server] += 1;
        let (seated, max) = (self.seated[server], self.config.backends[server].max_connections);
        assert!(max.is_none_or(|max| seated <= max), "{seated} at server {server}, and {max:?} may be");
        let mut seat = Seat { server, began: now, pass: None };
        let trip = self.pool.guard.as_ref().and_then(|guard| guard.servers.get(server));
        if let (Some(settings), Some(trip)) = (&self.config.server_breaker, trip) {
            let (admitted, change) = trip.admit(settings, now);
            self.opened += opens(change.as_ref());
            match admitted {
                Ok(pass) => seat.pass = Some(pass),
                Err(refused) => {
                    self.stand_up(seat, now);
                    return Err(refused);
                }
            }
        }
        course.seat = Some(seat);
        Ok(())
    }

    /// The server gets it now.
    pub(super) fn sends(&self, course: &mut Course, server: usize, now: Time) {
        assert_eq!(course.seat(), Some(server), "it has no place there");
        assert!(course.is_in_pool() || self.pool.guard.is_none(), "it has no place in the pool");
        assert!(!course.tried.contains(&server), "chose server {server} again");
        course.tried.push(server);
        course.sent = now;
    }

    /// The head of an answer is there.
    pub(super) fn head_came(&mut self, course: &mut Course, status: u16, now: Time) {
        let failed = matches!(status, 502..=504);
        if !failed {
            self.learn(Some(now - course.sent), now);
        }
        self.settle(course, failed, now);
        if !failed {
            self.settle_pool(course, now);
        }
    }

    /// A try is over; `failure` if there was no answer.
    pub(super) fn tried(&mut self, course: &mut Course, failure: Option<Failure>, now: Time) {
        if let Some(failure) = failure {
            if failure == Failure::Timeout {
                self.learn(None, now);
            }
            self.settle(course, true, now);
        }
        if let Some(seat) = course.seat.take() {
            self.stand_up(seat, now);
        }
    }

    /// The request is over, however it went: gives back all that it holds.
    pub fn over(&mut self, course: &mut Course, now: Time) {
        self.stop_waiting(course, now);
        if let Some(seat) = course.seat.take() {
            self.stand_up(seat, now);
        }
        self.settle_pool(course, now);
        self.leave_pool(course, now);
        course.under_way = None;
        course.tried = Vec::new();
    }

    fn settle(&mut self, course: &mut Course, failed: bool, now: Time) {
        course.outcome = Outcome::Ended { failed, took: now - course.began };
        let Some(seat) = &mut course.seat else { return };
        let outcome = Outcome::Ended { failed, took: now - seat.began };
        if let Some(pass) = seat.pass.take() {
            let change = self.give_pass(seat.server, pass, outcome, now);
            self.opened += opens(change.as_ref());
        }
    }

    fn settle_pool(&mut self, course: &mut Course, now: Time) {
        let Some(pass) = course.pass.take() else { return };
        let settings = self.config.breaker.as_ref().and_then(|breaker| breaker.trip.as_ref());
        let settings = settings.expect("it gave the pass");
        let change = self.breaker().trip.settle(pass, course.outcome, settings, now);
        self.opened += opens(change.as_ref());
    }

    fn stand_up(&mut self, mut seat: Seat, now: Time) {
        let server = seat.server;
        if let Some(pass) = seat.pass.take() {
            let change = self.give_pass(server, pass, Outcome::Unknown, now);
            self.opened += opens(change.as_ref());
        }
        self.seated[server] -= 1;
        let load = &self.pool.members.server(server).load;
        match &self.pool.guard {
            None => load.end(),
            Some(guard) => {
                guard.breaker.leave_server(load, now);
                self.freed.push(server);
            }
        }
    }

    fn give_pass(&self, server: usize, pass: Pass, outcome: Outcome, now: Time) -> Option<Transition> {
        let guard = self.pool.guard.as_ref().expect("it gave the pass");
        let settings = self.config.server_breaker.as_ref().expect("it gave the pass");
        guard.servers[server].settle(pass, outcome, settings, now)
    }

    fn learn(&self, took: Option<Duration>, now: Time) {
        if let Some(guard) = &self.pool.guard {
            guard.breaker.learn(&self.config, took, now);
        }
    }

    pub(super) fn breaker(&self) -> &Breaker {
        &self.pool.guard.as_ref().expect("a pool with limits has a guard").breaker
    }
}

fn opens(change: Option<&Transition>) -> u64 {
    u64::from(change.is_some_and(|change| change.to == State::Open))
}
