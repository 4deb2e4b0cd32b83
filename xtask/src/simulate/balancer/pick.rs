//! Picking a server if there is room, else waiting for room: what `stage/pick.rs` does on the data path, in steps that a
//! simulated clock can drive.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake};

use evenkeel_core::balance::Load;
use evenkeel_core::breaker::{Breaker, Grant, Passed, Want};
use evenkeel_core::choose::{Chosen, Why, choose, waited};
use evenkeel_types::Time;

use super::Balancer;
use super::asked::Asked;
use super::course::{At, Course, Waits};

/// What happens to a request next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// This server gets it.
    Send(usize),
    /// It waits for a place, until then at most.
    Wait(Time),
    /// There is no server left for it.
    NoServer,
    /// The pool has no room for it, or a circuit breaker is open.
    Refuse,
}

/// Rings when a request that waits has got a place.
#[derive(Debug)]
pub struct Bell {
    request: usize,
    rung: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner).push(self.request);
    }
}

impl Balancer {
    /// Where a request goes now.
    pub fn pick(&mut self, course: &mut Course, now: Time) -> Step {
        if self.pool.guard.is_none() {
            let Some(chosen) = self.choose(course, &[], now) else { return Step::NoServer };
            self.pool.members.server(chosen.server).load.begin();
            self.sit_down(course, chosen.server, now).expect("no circuit breaker refuses it");
            return self.send(course, now);
        }
        if self.ask_pool(course, now).is_err() {
            return Step::Refuse;
        }
        if course.is_in_pool() { self.sit(course, now) } else { self.enter(course, now) }
    }

    /// Looks whether what a request waits for is there; what it does then.
    pub fn resume(&mut self, course: &mut Course, now: Time) -> Option<Step> {
        let waits = course.waits.as_ref()?;
        let bell = Arc::new(Bell { request: course.number, rung: Arc::clone(&self.rung) }).into();
        match self.breaker().poll(waits.ticket, &Context::from_waker(&bell)) {
            Poll::Pending => {
                self.waiting.insert(course.number, waits.at.clone());
                self.joined.push(course.number);
                None
            }
            Poll::Ready(grant) => {
                let waits = course.waits.take().expect("it waited");
                Some(self.granted(course, waits, grant, now))
            }
        }
    }

    /// Those whose bell has rung.
    pub fn rung(&mut self) -> Vec<usize> {
        let rung = std::mem::take(&mut *self.rung.lock().unwrap_or_else(PoisonError::into_inner));
        for nth in &rung {
            assert!(self.waiting.remove(nth).is_some(), "woke who did not wait");
        }
        rung
    }

    /// It waits no longer, and gives back what it got too late.
    pub fn stop_waiting(&mut self, course: &mut Course, now: Time) {
        let Some(waits) = course.waits.take() else { return };
        match self.breaker().withdraw(waits.ticket) {
            None => drop(self.waiting.remove(&course.number)),
            Some(Grant::Place) => self.breaker().leave(now),
            Some(Grant::Server(load)) => {
                let server = self.position(&load);
                let max = self.config.backends[server].max_connections;
                self.breaker().leave_server(&load, max, now);
                self.freed.push(server);
            }
        }
    }

    fn choose(&mut self, course: &Course, passed: &[usize], now: Time) -> Option<Chosen> {
        let skip = if passed.is_empty() { &course.tried } else { passed };
        let asked = Asked::new(course.method, course.client);
        let chosen = choose(&self.pool, &self.config, &mut self.pickers[course.worker], &asked, skip, now);
        let members = &self.pool.members;
        let Some(chosen) = chosen else {
            let left = (0..members.len()).find(|&at| members.usable(at) && !skip.contains(&at));
            assert_eq!(left, None, "no server was chosen though one is usable");
            return None;
        };
        assert!(members.usable(chosen.server), "chose server {}, which is out", chosen.server);
        assert!(!skip.contains(&chosen.server), "chose server {} again", chosen.server);
        Some(chosen)
    }

    /// Takes a place in the pool, or waits for one.
    fn enter(&mut self, course: &mut Course, now: Time) -> Step {
        if self.breaker().enter(&self.config).is_err() {
            if self.config.queue.is_none() || !self.join(course, None, now) {
                return Step::Refuse;
            }
            self.breaker().offer_place(now);
            return self.wait(course, now);
        }
        self.entered(course);
        if course.seat().is_some() { self.send(course, now) } else { self.sit(course, now) }
    }

    /// Takes a place at a server, or waits for one.
    fn sit(&mut self, course: &mut Course, now: Time) -> Step {
        let tried = course.tried.clone();
        let (mut passed, mut only) = (Passed::new(&tried), None);
        while passed.goes_on(&self.pool, &self.config, now) {
            let Some(Chosen { server, why, .. }) = self.choose(course, passed.skip(), now) else { break };
            let max = self.config.backends[server].max_connections;
            if !self.pool.members.server(server).load.try_begin(max.unwrap_or(u32::MAX)) {
                passed.full(server);
                if why == Why::Sticky && self.config.queue.is_some() {
                    only = Some(server);
                    break;
                }
            } else if self.sit_down(course, server, now).is_ok() {
                return self.send(course, now);
            } else {
                passed.open(server);
            }
        }
        match () {
            () if passed.any_full && self.config.queue.is_some() => {
                self.wait_for_server(course, only, passed.out().to_vec(), now)
            }
            () if passed.any_full || passed.any_open => Step::Refuse,
            () => Step::NoServer,
        }
    }

    fn wait_for_server(
        &mut self,
        course: &mut Course,
        only: Option<usize>,
        mut not: Vec<usize>,
        now: Time,
    ) -> Step {
        let members = &self.pool.members;
        not.extend((0..members.len()).filter(|server| !members.usable(*server)));
        self.leave_pool(course, now);
        self.join_for_server(course, (only, not), now)
    }

    fn join_for_server(&mut self, course: &mut Course, at: At, now: Time) -> Step {
        if !self.join(course, Some(at), now) {
            return Step::Refuse;
        }
        for (server, backend) in self.config.backends.iter().enumerate() {
            let load = &self.pool.members.server(server).load;
            self.breaker().offer_server(load, backend.max_connections, now);
        }
        self.wait(course, now)
    }

    fn join(&self, course: &mut Course, at: Option<At>, now: Time) -> bool {
        let key = |server: &usize| Breaker::key(&self.pool.members.server(*server).load);
        let want = match &at {
            None => Want::Place,
            Some((only, not)) => {
                Want::Server { only: only.as_ref().map(key), not: not.iter().map(key).collect() }
            }
        };
        let Some(ticket) = self.breaker().wait(want, &self.config, now) else { return false };
        course.waits = Some(Waits { ticket, at });
        true
    }

    fn wait(&mut self, course: &mut Course, now: Time) -> Step {
        let queue = self.config.queue.as_ref().expect("who waits does so in a queue");
        let until = now + queue.wait;
        self.resume(course, now).unwrap_or(Step::Wait(until))
    }

    fn granted(&mut self, course: &mut Course, waits: Waits, grant: Grant, now: Time) -> Step {
        match (grant, waits.at) {
            (Grant::Place, None) => {
                self.entered(course);
                if self.ask_pool_again(course, now).is_err() {
                    self.leave_pool(course, now);
                    return Step::Refuse;
                }
                if course.seat().is_some() { self.send(course, now) } else { self.sit(course, now) }
            }
            (Grant::Server(load), Some((only, mut not))) => {
                let server = self.position(&load);
                assert!(only.is_none_or(|only| only == server), "got a place at another server");
                assert!(!not.contains(&server), "got a place where it did not want one");
                if self.ask_pool_again(course, now).is_err() {
                    let max = self.config.backends[server].max_connections;
                    self.breaker().leave_server(&load, max, now);
                    self.freed.push(server);
                    return Step::Refuse;
                }
                if self.sit_down(course, server, now).is_ok() {
                    if only.is_none() {
                        let asked = Asked::new(course.method, course.client);
                        waited(&self.pool, &self.config, &asked, server);
                    }
                    return self.enter(course, now);
                }
                not.push(server);
                if only.is_some() || not.len() >= self.pool.members.len() {
                    return Step::Refuse;
                }
                self.join_for_server(course, (only, not), now)
            }
            (grant, at) => panic!("got {grant:?}, and waited for {at:?}"),
        }
    }

    fn send(&mut self, course: &mut Course, now: Time) -> Step {
        let server = course.seat().expect("it has a place");
        self.sends(course, server, now);
        Step::Send(server)
    }

    fn position(&self, load: &Arc<Load>) -> usize {
        let members = &self.pool.members;
        let mut servers = 0..members.len();
        servers.find(|at| Arc::ptr_eq(&members.server(*at).load, load)).expect("no server comes or goes")
    }
}
