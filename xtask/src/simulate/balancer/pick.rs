//! Picking a server if there is room, else waiting for room: what `stage/pick.rs` does on the data path, in steps that a
//! simulated clock can drive.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake};

use evenkeel_core::balance::Load;
use evenkeel_core::breaker::{Grant, Passed, Want};
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
            Some(Grant::Server(load)) => self.give_back(&load, now),
            Some(Grant::NoServer) => {}
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
        self.go_on(course, now)
    }

    /// Takes a place at a server, or waits for one.
    fn sit(&mut self, course: &mut Course, now: Time) -> Step {
        let tried = course.tried.clone();
        let (mut passed, mut only) = (Passed::new(&tried), None);
        while passed.goes_on(&self.pool, &self.config, now) {
            let Some(Chosen { server, why, .. }) = self.choose(course, passed.skip(), now) else { break };
            let max = self.config.backends[server].max_connections;
            if !self.pool.members.server(server).load.try_begin(max.unwrap_or(u32::MAX)) {
                let is_awaited =
                    passed.full(&self.pool, &self.config, server, now) && self.config.queue.is_some();
                if is_awaited && why == Why::Sticky {
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
        not: Vec<usize>,
        now: Time,
    ) -> Step {
        self.leave_pool(course, now);
        if !self.join(course, Some((only, not)), now) {
            return Step::Refuse;
        }
        self.breaker().offer_servers(&self.pool.members, now);
        self.wait(course, now)
    }

    fn join(&self, course: &mut Course, at: Option<At>, now: Time) -> bool {
        let of = Arc::clone(&self.pool.members);
        let want = match &at {
            None => Want::Place,
            Some((only, not)) => Want::Server { of, only: *only, not: not.as_slice().into() },
        };
        let Some(ticket) = self.breaker().wait(want, &self.config, now) else { return false };
        course.waits = Some(Waits { ticket, at, version: self.version });
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
                self.go_on(course, now)
            }
            (Grant::Server(load), Some((only, not))) => {
                let server = self.position(&load);
                let members = &self.pool.members;
                assert!(members.takes(server, only == Some(server)), "got a place at a server that is out");
                let may_move = waits.version != self.version;
                assert!(may_move || only.is_none_or(|only| only == server), "got a place at another server");
                assert!(!not.contains(&server), "got a place where it did not want one");
                if self.ask_pool_again(course, now).is_err() {
                    self.give_back(&load, now);
                    return Step::Refuse;
                }
                if self.sit_down(course, server, now).is_err() {
                    return self.pick(course, now);
                }
                if only != Some(server) {
                    let asked = Asked::new(course.method, course.client);
                    waited(&self.pool, &self.config, &asked, server);
                }
                self.enter(course, now)
            }
            (Grant::NoServer, Some(_)) => self.pick(course, now),
            (grant, at) => panic!("got {grant:?}, and waited for {at:?}"),
        }
    }

    /// It has a place in the pool: goes to the server where it has one already, if that still takes requests.
    fn go_on(&mut self, course: &mut Course, now: Time) -> Step {
        match course.seat() {
            Some(server) if self.pool.members.usable(server) => self.send(course, now),
            Some(_) => {
                self.tried(course, None, now);
                self.sit(course, now)
            }
            None => self.sit(course, now),
        }
    }

    fn give_back(&mut self, load: &Arc<Load>, now: Time) {
        self.breaker().leave_server(load, now);
        self.freed.push(self.position(load));
    }

    fn send(&mut self, course: &mut Course, now: Time) -> Step {
        let server = course.seat().expect("it has a place");
        self.sends(course, server, now);
        Step::Send(server)
    }

    fn position(&self, load: &Arc<Load>) -> usize {
        self.pool.members.position_of(load).expect("no server comes or goes")
    }
}
