//! One request on its way into a pool and from server to server.

use std::rc::Rc;
use std::task::Context;

use evenkeel_types::Time;
use smallvec::SmallVec;

use super::arrivals::Arrival;
use super::facts::{GiveUp, Leg, Refusal, Role, Step, Terms};
use super::find::Found;
use super::gate::{Driver, Gate};
use super::notice::{Notice, RefusedBy};
use super::permit::Permit;
use super::queue::Queued;
use super::race::Race;
use crate::breaker::{self, Full};
use crate::choose::{Chosen, Keys};
use crate::retry::{self, Final};

/// Servers that may be tried for one request. Only refused connections reach this number, and they cost next to nothing.
const TRIES_MAX: usize = 16;
/// Connect timeouts that one request may wait for.
const CONNECT_TIMEOUTS_MAX: usize = 3;

/// One request on its way. Dropping it gives back all that it holds: its client has left.
#[derive(Debug)]
pub struct Admission<D: Driver> {
    pub(super) gate: Rc<Gate<D>>,
    /// What the request holds. With several servers asked, what it holds of each is with the legs of the race.
    pub(super) permit: Option<Permit<D>>,
    pub(super) state: AdmissionState<D>,
    /// Most requests try one server.
    tried: SmallVec<[usize; 2]>,
    connect_timeouts: usize,
    /// Servers that were sent the request, those that still have it not counted.
    pub(super) sent: u32,
    /// Retries of requests that were sent.
    pub(super) retries: u32,
    /// The leg whose response is passed on if no other is better.
    pub(super) deferred: Option<Leg>,
    /// Since when the request waits for this try.
    pub(super) queued_since: Option<Time>,
    /// Since when the request waits for a server that may be used, all tries together.
    pub(super) waiting_since: Option<Time>,
    /// When the first of several servers was asked, if a hedge has won.
    pub(super) hedged: Option<Time>,
}

/// Where a request stands.
#[derive(Debug)]
pub(super) enum AdmissionState<D: Driver> {
    /// A server is to be chosen.
    Ready,
    /// It waits in the queue.
    Queued(Box<Queued<D>>),
    /// It waits for a server that may be used.
    Waiting(Box<Arrival>),
    /// It pauses before a retry.
    Paused(Time),
    /// One server has it.
    Asking(Leg),
    /// Several servers may have it.
    Racing(Box<Race<D>>),
    /// No other server gets it.
    Over(GiveUp),
}

/// What came of looking for a server in a pool with limits.
enum Look {
    /// It has all permits for this one.
    Server(Chosen),
    /// No server is left.
    NoServer,
    /// It has joined the queue.
    Queued,
}

impl<D: Driver> Admission<D> {
    /// A request that came at `started`. Its share is added to the pool's retry budget.
    #[inline]
    pub fn new<K>(gate: &Rc<Gate<D>>, terms: &Terms<'_, K>, started: Time) -> Self {
        gate.local().budget.request(terms.retry.budget, &gate.pool().retries.budget, started);
        Self {
            gate: Rc::clone(gate),
            permit: None,
            state: AdmissionState::Ready,
            tried: SmallVec::new(),
            connect_timeouts: 0,
            sent: 0,
            retries: 0,
            deferred: None,
            queued_since: None,
            waiting_since: None,
            hedged: None,
        }
    }

    /// What happens next. To be called at first, when `cx` wakes, at the time that the last [`Step`] named, and after each
    /// event that was reported.
    #[inline]
    pub fn poll<K: Keys>(&mut self, terms: &Terms<'_, K>, now: Time, cx: &Context<'_>) -> Step {
        match &self.state {
            AdmissionState::Ready => self.begin(terms, now, cx),
            AdmissionState::Asking(_) => Step::Asking { until: None },
            _ => self.poll_rarely(terms, now, cx),
        }
    }

    fn poll_rarely<K: Keys>(&mut self, terms: &Terms<'_, K>, now: Time, cx: &Context<'_>) -> Step {
        match std::mem::replace(&mut self.state, AdmissionState::Ready) {
            AdmissionState::Queued(queued) => match self.poll_queue(queued, terms, now, cx) {
                Some(step) => step,
                None => self.look(terms, now, cx),
            },
            AdmissionState::Waiting(arrival) => self.poll_arrival(arrival, terms, now, cx),
            AdmissionState::Paused(until) if now < until => {
                self.state = AdmissionState::Paused(until);
                Step::Pause { until }
            }
            AdmissionState::Paused(_) | AdmissionState::Ready => self.begin(terms, now, cx),
            AdmissionState::Asking(leg) => {
                self.state = AdmissionState::Asking(leg);
                Step::Asking { until: None }
            }
            AdmissionState::Racing(race) => self.poll_race(race, terms, now),
            AdmissionState::Over(why) => {
                self.state = AdmissionState::Over(why);
                Step::GiveUp(why)
            }
        }
    }

    /// The gate that it came through.
    pub fn gate(&self) -> &Rc<Gate<D>> {
        &self.gate
    }

    /// The server of a leg.
    ///
    /// # Panics
    /// When the leg is another request's.
    pub fn server_of(&self, leg: Leg) -> usize {
        self.tried()[leg.index()]
    }

    /// Servers that were chosen so far.
    pub fn tried(&self) -> &[usize] {
        &self.tried
    }

    /// How many servers were sent the request so far, those that have it now among them.
    pub fn attempts(&self) -> u32 {
        self.sent
            + match &self.state {
                AdmissionState::Asking(_) => 1,
                AdmissionState::Racing(race) => race.running(),
                _ => 0,
            }
    }

    /// The leg whose response the driver keeps in case no other server has a better one.
    pub fn deferred(&self) -> Option<Leg> {
        self.deferred
    }

    /// When the first of several servers was asked, if a hedge has won.
    pub fn hedged(&self) -> Option<Time> {
        self.hedged
    }

    /// What the request holds, to be kept until its response has been passed on. `None` if it holds nothing. Nothing is
    /// to be polled or reported after that.
    pub fn take_permit(&mut self) -> Option<Permit<D>> {
        self.permit.take()
    }

    /// Chooses a server for a new try.
    #[inline]
    fn begin<K: Keys>(&mut self, terms: &Terms<'_, K>, now: Time, cx: &Context<'_>) -> Step {
        if terms.deadline.is_some_and(|deadline| now >= deadline) {
            return self.give_up(GiveUp::Deadline);
        }
        self.queued_since = None;
        if self.gate.guard().is_some() {
            return self.look(terms, now, cx);
        }
        match self.gate.choose(terms.by(), self.tried(), now) {
            Some(chosen) => {
                self.permit = Some(Permit::unlimited(&self.gate, chosen.server));
                self.send(chosen, terms, now)
            }
            None => self.without_server(terms, now, cx),
        }
    }

    /// Takes what permits there are in a pool with limits, and waits for what there are not.
    fn look<K: Keys>(&mut self, terms: &Terms<'_, K>, now: Time, cx: &Context<'_>) -> Step {
        loop {
            if matches!(self.state, AdmissionState::Ready) {
                match self.look_once(terms, now) {
                    Ok(Look::Server(chosen)) => return self.send(chosen, terms, now),
                    Ok(Look::NoServer) => return self.without_server(terms, now, cx),
                    Ok(Look::Queued) => {}
                    Err(refusal) => return self.refuse(refusal, now),
                }
            }
            if let AdmissionState::Queued(queued) = std::mem::replace(&mut self.state, AdmissionState::Ready)
                && let Some(step) = self.poll_queue(queued, terms, now, cx)
            {
                return step;
            }
        }
    }

    /// Takes what permits there are, or joins the queue for what there are not.
    fn look_once<K: Keys>(&mut self, terms: &Terms<'_, K>, now: Time) -> Result<Look, Refusal> {
        let gate = Rc::clone(&self.gate);
        let has_queue = gate.config().queue.is_some();
        if self.permit.is_none() {
            let mut permit = Permit::new(&gate, terms.of, now);
            permit.ask_pool(now).map_err(|open| self.refused_by_pool(open))?;
            self.permit = Some(permit);
        }
        let permit = self.permit.as_mut().expect("it was put there");
        if !permit.is_in_pool()
            && let Err(full) = permit.enter_pool()
        {
            return match has_queue {
                true => self.queue_for_pool(full, None, now).map(|()| Look::Queued),
                false => Err(self.refused_by(RefusedBy::Full(full), Refusal::Full(full))),
            };
        }
        let newest = self.queued_since.map(|_| gate.pool_now());
        let pool = newest.as_deref().unwrap_or_else(|| gate.pool());
        let tried = &self.tried;
        match permit.find(pool, terms.by(), tried, has_queue, now) {
            Found::Full { own, not } if has_queue => {
                self.queue_for_server(own, not, now).map(|()| Look::Queued)
            }
            Found::Full { .. } => {
                let full = Full::Servers;
                Err(self.refused_by(RefusedBy::Full(full), Refusal::Full(full)))
            }
            Found::Open => Err(self.refused_by(RefusedBy::ServerCircuits, Refusal::ServersOpen)),
            Found::Server(chosen) => Ok(Look::Server(chosen)),
            Found::None => Ok(Look::NoServer),
        }
    }

    /// The server gets it now.
    #[inline]
    pub(super) fn send<K: Keys>(&mut self, chosen: Chosen, terms: &Terms<'_, K>, now: Time) -> Step {
        let Some(leg) = self.try_now(chosen.server) else {
            self.permit.iter_mut().for_each(|permit| permit.leave_server(now));
            return self.give_up(GiveUp::NoServer);
        };
        if terms.hedge.is_some()
            && let Some(race) = self.race(leg, &chosen, terms, now)
        {
            self.state = AdmissionState::Racing(race);
            return Step::Send { leg, chosen, role: Role::First };
        }
        self.state = AdmissionState::Asking(leg);
        Step::Send { leg, chosen, role: Role::Alone }
    }

    /// Notes a server that is tried now; `None` if there were too many already.
    pub(super) fn try_now(&mut self, server: usize) -> Option<Leg> {
        if !self.may_go_on() {
            return None;
        }
        let leg = Leg(self.tried.len() as u32);
        self.tried.push(server);
        Some(leg)
    }

    pub(super) fn forget_tried(&mut self) {
        self.tried.clear();
    }

    fn may_go_on(&self) -> bool {
        self.tried.len() < TRIES_MAX && self.connect_timeouts < CONNECT_TIMEOUTS_MAX
    }

    pub(super) fn note_connect_timeout(&mut self) {
        self.connect_timeouts += 1;
    }

    /// Why no other server can be asked, if none can.
    pub(super) fn no_server(&self) -> Option<Final> {
        match retry::any_left(&self.gate.pool().members, self.tried()) {
            false => Some(Final::Servers),
            true => (!self.may_go_on()).then_some(Final::Unreachable),
        }
    }

    /// Takes one retry, or hedge, out of what the pool can bear.
    pub(super) fn withdraw(&mut self, percent: u32, now: Time) -> Result<(), Final> {
        if let Some(permit) = &mut self.permit
            && !permit.begin_retry()
        {
            return Err(Final::Limit);
        }
        let (local, pool) = (self.gate.local(), self.gate.pool());
        if local.budget.withdraw(percent, &pool.retries.budget, now) {
            return Ok(());
        }
        self.permit.iter_mut().for_each(Permit::cancel_retry);
        Err(Final::Budget)
    }

    pub(super) fn give_up(&mut self, why: GiveUp) -> Step {
        self.state = AdmissionState::Over(why);
        Step::GiveUp(why)
    }

    /// The pool does not take it. If a server was asked before, what came of that decides.
    pub(super) fn refuse(&mut self, refusal: Refusal, now: Time) -> Step {
        self.state = AdmissionState::Over(GiveUp::Refused(refusal));
        if !self.tried.is_empty() {
            self.permit.iter_mut().for_each(|permit| permit.leave_server(now));
            return Step::GiveUp(GiveUp::Refused(refusal));
        }
        self.permit.take().into_iter().for_each(|permit| permit.release(now));
        Step::Refuse(refusal)
    }

    pub(super) fn refused_by_pool(&self, open: breaker::Refused) -> Refusal {
        self.refused_by(RefusedBy::PoolCircuit, Refusal::PoolOpen(open))
    }

    fn refused_by(&self, by: RefusedBy, refusal: Refusal) -> Refusal {
        self.gate.notice(Notice::Refused(by));
        refusal
    }
}
