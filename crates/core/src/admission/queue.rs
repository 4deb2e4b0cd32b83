//! Waiting in the pool's queue: for a place in the pool, or for one at a server.

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use evenkeel_types::Time;

use super::facts::{Refusal, Step, Terms};
use super::gate::{Driver, Gate};
use super::notice::{Notice, QueueNotice, QueueRefusal};
use super::permit::Permit;
use super::request::{Admission, AdmissionState};
use crate::balance::Load;
use crate::breaker::{Full, Grant, Ticket, Want};
use crate::choose::{Chosen, Keys, Why, waited};

/// A request in the queue. It leaves the queue when this is dropped, and gives back what was granted too late.
#[derive(Debug)]
pub(super) struct Queued<D: Driver> {
    gate: Rc<Gate<D>>,
    ticket: Ticket,
    since: Time,
    /// The limit that was reached.
    full: Full,
    goal: Goal,
}

/// What a request in the queue waits for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Goal {
    /// A place in the pool, to look for a server then.
    Pool,
    /// A place in the pool. It holds one at a server already, which may be its own.
    PoolForServer {
        /// The server that it belongs to.
        own: Option<usize>,
    },
    /// A place at a server.
    Server {
        /// The server that it belongs to, and waits for alone.
        own: Option<usize>,
    },
}

impl<D: Driver> Drop for Queued<D> {
    fn drop(&mut self) {
        self.gate.notice(Notice::Queue(QueueNotice::Left));
        if let Some(grant) = self.gate.breaker().withdraw(self.ticket) {
            Permit::return_grant(&self.gate, &grant, self.gate.driver().now());
        }
    }
}

impl<D: Driver> Admission<D> {
    /// True while it is in the queue.
    pub fn is_queued(&self) -> bool {
        matches!(self.state, AdmissionState::Queued(_))
    }

    /// What it waits for in the queue; `None` if it does not wait, or that has been granted. For checks.
    pub fn wants(&self) -> Option<Want> {
        let AdmissionState::Queued(queued) = &self.state else { return None };
        self.gate.breaker().wanted(queued.ticket)
    }

    /// Joins the queue for a place in the pool.
    pub(super) fn queue_for_pool(
        &mut self,
        full: Full,
        own_server: Option<Option<usize>>,
        now: Time,
    ) -> Result<(), Refusal> {
        let goal = own_server.map_or(Goal::Pool, |own| Goal::PoolForServer { own });
        self.join(Want::Place, (full, goal), now)?;
        self.gate.breaker().offer_place(now);
        Ok(())
    }

    /// Joins the queue for a place at a server, and leaves its place in the pool to others meanwhile.
    pub(super) fn queue_for_server(
        &mut self,
        own: Option<usize>,
        not: Box<[usize]>,
        now: Time,
    ) -> Result<(), Refusal> {
        self.permit.iter_mut().for_each(|permit| permit.leave_pool(now));
        let of = Arc::clone(self.gate.pool().members.positions());
        let full = if own.is_some() { Full::OwnServer } else { Full::Servers };
        let want = Want::Server { of, only: own, not };
        self.join(want, (full, Goal::Server { own }), now)?;
        let gate = &self.gate;
        gate.breaker().offer_servers(&gate.pool().members, now);
        Ok(())
    }

    fn join(&mut self, want: Want, (full, goal): (Full, Goal), now: Time) -> Result<(), Refusal> {
        let Some(ticket) = self.gate.breaker().wait(want, self.gate.config(), now) else {
            self.gate.notice(Notice::Queue(QueueNotice::Refused(QueueRefusal::Full)));
            return Err(Refusal::QueueFull { full, wait: self.wait() });
        };
        self.gate.notice(Notice::Queue(QueueNotice::Joined));
        self.queued_since = self.queued_since.or(Some(now));
        let gate = Rc::clone(&self.gate);
        self.state = AdmissionState::Queued(Box::new(Queued { gate, ticket, since: now, full, goal }));
        Ok(())
    }

    /// How long requests may wait in this pool.
    fn wait(&self) -> Duration {
        self.gate.config().queue.as_ref().map_or(Duration::ZERO, |queue| queue.wait)
    }

    /// Looks whether what it waits for has been granted; `Some` if it goes on waiting or is refused.
    pub(super) fn poll_queue<K: Keys>(
        &mut self,
        queued: Box<Queued<D>>,
        terms: &Terms<'_, K>,
        now: Time,
        cx: &Context<'_>,
    ) -> Option<Step> {
        let Poll::Ready(grant) = self.gate.breaker().poll(queued.ticket, cx) else {
            return Some(self.keep_waiting(queued, terms.deadline, now));
        };
        if !matches!(grant, Grant::NoServer) {
            let waited = now.since(queued.since);
            self.gate.notice(Notice::Queue(QueueNotice::Granted { waited }));
        }
        let goal = queued.goal;
        drop(queued);
        let granted = match (grant, goal) {
            (Grant::Server(load), Goal::Server { own }) => self.server_granted(&load, own, terms, now),
            (Grant::Place, Goal::PoolForServer { own }) => self.pool_granted(now).map(|()| {
                let server = self.permit.as_ref().and_then(Permit::server);
                server.and_then(|server| self.still_takes(server, own, terms, now))
            }),
            (Grant::Place, _) => self.pool_granted(now).map(|()| None),
            // No server that it would take takes requests any more: it looks anew.
            _ => Ok(None),
        };
        match granted {
            Ok(chosen) => chosen.map(|chosen| self.send(chosen, terms, now)),
            Err(refusal) => Some(self.refuse(refusal, now)),
        }
    }

    fn keep_waiting(&mut self, queued: Box<Queued<D>>, deadline: Option<Time>, now: Time) -> Step {
        let wait = self.wait();
        let patience = self.queued_since.unwrap_or(queued.since) + wait;
        let until = deadline.map_or(patience, |deadline| deadline.min(patience));
        if now < until {
            self.state = AdmissionState::Queued(queued);
            return Step::Wait { until };
        }
        self.gate.notice(Notice::Queue(QueueNotice::Refused(QueueRefusal::Timeout)));
        let full = queued.full;
        drop(queued);
        let refusal = match deadline {
            Some(deadline) if now >= deadline => Refusal::Deadline,
            _ => Refusal::QueueTimeout { full, wait },
        };
        self.refuse(refusal, now)
    }

    /// It has got a place in the pool.
    fn pool_granted(&mut self, now: Time) -> Result<(), Refusal> {
        let Some(permit) = &mut self.permit else { return Ok(()) };
        permit.entered_pool();
        let Err(open) = permit.ask_pool_again(now) else { return Ok(()) };
        // The next one in the queue does not wait for this answer.
        permit.leave_pool(now);
        Err(self.refused_by_pool(open))
    }

    /// It has got a place at a server. `None` if it has to look for another, or for a place in the pool first.
    fn server_granted<K: Keys>(
        &mut self,
        load: &Arc<Load>,
        own: Option<usize>,
        terms: &Terms<'_, K>,
        now: Time,
    ) -> Result<Option<Chosen>, Refusal> {
        let server =
            self.gate.pool().members.position_of(load).expect("it is one of those that it waited for");
        let Some(permit) = &mut self.permit else { return Ok(None) };
        if let Err(open) = permit.ask_pool_again(now) {
            self.gate.breaker().leave_server(load, now);
            return Err(self.refused_by_pool(open));
        }
        if permit.take_server(server, now).is_err() {
            return Ok(None);
        }
        match permit.enter_pool() {
            Ok(()) => Ok(self.still_takes(server, own, terms, now)),
            Err(full) => self.queue_for_pool(full, Some(own), now).map(|()| None),
        }
    }

    /// It has a place at this server and one in the pool. The server may take no more requests by now, because some time has
    /// passed since its place was granted.
    fn still_takes<K: Keys>(
        &mut self,
        server: usize,
        own: Option<usize>,
        terms: &Terms<'_, K>,
        now: Time,
    ) -> Option<Chosen> {
        if self.gate.pool_now().members.takes(server, own == Some(server)) {
            return Some(self.chosen_by_waiting(server, own, terms));
        }
        self.permit.iter_mut().for_each(|permit| permit.leave_server(now));
        None
    }

    fn chosen_by_waiting<K: Keys>(&self, server: usize, own: Option<usize>, terms: &Terms<'_, K>) -> Chosen {
        match own {
            Some(own) if own == server => Chosen { server, why: Why::Sticky, issue_cookie: false },
            _ => waited(self.gate.pool(), self.gate.config(), terms.by(), server),
        }
    }
}
