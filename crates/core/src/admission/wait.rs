//! Waiting while no server of the pool may be used, as `wait_for_server` allows.

use std::rc::Rc;
use std::task::Context;
use std::time::Duration;

use evenkeel_config::{Pool, WaitForServer};
use evenkeel_types::Time;

use super::arrivals::Arrival;
use super::facts::{GiveUp, Refusal, Step, Terms};
use super::gate::{Driver, Gate};
use super::request::{Admission, AdmissionState};

/// How requests wait while no server of a pool may be used, for people; `None` if they do not.
pub fn describe_wait(pool: &Pool) -> Option<String> {
    let WaitForServer { at_most, requests } = pool.wait_for_server?;
    Some(format!("up to {at_most:?} while no server may be used, {requests} requests at a time"))
}

impl<D: Driver> Admission<D> {
    /// Goes on with the pool as it is now, after [`Step::Renew`]. Which servers were tried is forgotten: their positions may be
    /// others.
    ///
    /// # Panics
    /// When servers have the request.
    pub fn renew(&mut self, gate: &Rc<Gate<D>>) {
        assert!(matches!(self.state, AdmissionState::Ready), "no server has the request");
        self.gate = Rc::clone(gate);
        self.forget_tried();
    }

    /// True while it waits for a server that may be used.
    pub fn waits_for_server(&self) -> bool {
        matches!(self.state, AdmissionState::Waiting(_))
    }

    /// How it may wait, if it may: a request that some server was sent does not.
    fn may_wait(&self) -> Option<WaitForServer> {
        self.gate.config().wait_for_server.filter(|_| self.sent == 0 && self.deferred.is_none())
    }

    /// True if it may wait for another server although all were tried and could not be reached.
    pub(super) fn outwaits_refusals(&self, now: Time) -> bool {
        let left = |settings: WaitForServer| now < self.waiting_since.unwrap_or(now) + settings.at_most;
        self.may_wait().is_some_and(left)
    }

    /// There is no server for it: it waits for one if it may.
    pub(super) fn without_server<K>(&mut self, terms: &Terms<'_, K>, now: Time, cx: &Context<'_>) -> Step {
        let Some(settings) = self.may_wait() else { return self.give_up(GiveUp::NoServer) };
        // What it holds is for requests that can use it.
        self.permit.take().into_iter().for_each(|permit| permit.release(now));
        self.waiting_since.get_or_insert(now);
        let pool = self.gate.pool();
        match pool.arrivals.join(pool.edition, settings.requests as usize) {
            Some(arrival) => self.poll_arrival(Box::new(arrival), terms, now, cx),
            None => self.refuse(Refusal::TooManyWait, now),
        }
    }

    /// Looks whether a server may be used by now.
    pub(super) fn poll_arrival<K>(
        &mut self,
        arrival: Box<Arrival>,
        terms: &Terms<'_, K>,
        now: Time,
        cx: &Context<'_>,
    ) -> Step {
        let wait = self.gate.config().wait_for_server.map_or(Duration::ZERO, |settings| settings.at_most);
        let patience = self.waiting_since.unwrap_or(now) + wait;
        let until = terms.deadline.map_or(patience, |deadline| deadline.min(patience));
        if arrival.poll(cx).is_ready() && now < until {
            return Step::Renew;
        }
        if now < until {
            self.state = AdmissionState::Waiting(arrival);
            return Step::Wait { until };
        }
        drop(arrival);
        match terms.deadline {
            Some(deadline) if now >= deadline => self.refuse(Refusal::Deadline, now),
            _ => self.refuse(Refusal::NoServer { wait }, now),
        }
    }
}
