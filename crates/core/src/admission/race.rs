//! Hedging: a request whose server is slow goes to another one as well, and the first to answer wins.

use std::rc::Rc;

use evenkeel_config::Retry;
use evenkeel_types::Time;

use super::facts::{AfterFailure, Answer, Dismissed, FailedTry, FirstByte, Leg, Role, Step, Terms, Winner};
use super::find::Found;
use super::gate::Driver;
use super::notice::{HedgeNotice, Notice};
use super::permit::Permit;
use super::request::{Admission, AdmissionState};
use crate::choose::{Chosen, Keys, Why};
use crate::retry::{Final, hedge_after};

/// A request that several servers may have at once. While it lasts, what the request holds of each server is here; what it
/// holds of the pool stays with the [`Admission`], and each leg beyond the first holds a place in the pool of its own.
#[derive(Debug)]
pub(super) struct Race<D: Driver> {
    began: Time,
    /// When another server is asked because those that have it are silent.
    due: Option<Time>,
    legs: Vec<Entrant<D>>,
    spare: Option<Spare<D>>,
}

/// A server that was asked.
#[derive(Debug)]
struct Entrant<D: Driver> {
    leg: Leg,
    server: usize,
    is_hedge: bool,
    permit: Option<Permit<D>>,
}

/// A server whose answer has a status that the route retries. It wins only if the others fail.
#[derive(Debug)]
struct Spare<D: Driver> {
    of: Entrant<D>,
    status: u16,
    sent: Time,
    at: Time,
}

impl<D: Driver> Race<D> {
    /// Servers that have the request now.
    pub(super) fn running(&self) -> u32 {
        self.legs.len() as u32 + u32::from(self.spare.is_some())
    }

    fn take(&mut self, leg: Leg) -> Option<Entrant<D>> {
        let at = self.legs.iter().position(|entrant| entrant.leg == leg)?;
        Some(self.legs.swap_remove(at))
    }

    /// The permits of those that still run.
    fn permits(&mut self) -> impl Iterator<Item = &mut Permit<D>> {
        let spare = self.spare.iter_mut().map(|spare| &mut spare.of);
        self.legs.iter_mut().chain(spare).filter_map(|entrant| entrant.permit.as_mut())
    }
}

impl<D: Driver> Admission<D> {
    /// The race that begins with this leg, if its request may be hedged.
    pub(super) fn race<K: Keys>(
        &mut self,
        leg: Leg,
        chosen: &Chosen,
        terms: &Terms<'_, K>,
        now: Time,
    ) -> Option<Box<Race<D>>> {
        // A request that belongs to a server is not hedged: its session is there.
        let may = terms.is_short
            && matches!(chosen.why, Why::Algorithm(_))
            && terms.retry.repeats(terms.request.method())
            && self.sent + 1 < terms.retry.attempts;
        if !may {
            return None;
        }
        let after = hedge_after(terms.hedge, &self.gate.pool().retries.latencies, now)?;
        let permit = match self.gate.guard() {
            None => self.permit.take(),
            Some(_) => self.permit.as_mut().map(Permit::split_server),
        };
        let first = Entrant { leg, server: chosen.server, is_hedge: false, permit };
        let due = Some(now + after);
        Some(Box::new(Race { began: now, due, legs: vec![first], spare: None }))
    }

    /// Asks another server if a hedge is due.
    pub(super) fn poll_race<K: Keys>(
        &mut self,
        mut race: Box<Race<D>>,
        terms: &Terms<'_, K>,
        now: Time,
    ) -> Step {
        let step = match race.due {
            Some(due) if now >= due => self.hedge(&mut race, terms, now),
            until => Step::Asking { until },
        };
        self.state = AdmissionState::Racing(race);
        step
    }

    fn hedge<K: Keys>(&mut self, race: &mut Race<D>, terms: &Terms<'_, K>, now: Time) -> Step {
        race.due = None;
        match self.another(race.running(), terms, now) {
            Ok((leg, chosen, permit)) => {
                let permit = Some(permit);
                race.legs.push(Entrant { leg, server: chosen.server, is_hedge: true, permit });
                Step::Send { leg, chosen, role: Role::Hedge { after: now - race.began } }
            }
            Err(why) => Step::NotHedged(why),
        }
    }

    /// Another server to ask beside those that have the request.
    fn another<K: Keys>(
        &mut self,
        running: u32,
        terms: &Terms<'_, K>,
        now: Time,
    ) -> Result<(Leg, Chosen, Permit<D>), Final> {
        if self.sent + running >= terms.retry.attempts {
            return Err(Final::Attempts);
        }
        if terms.deadline.is_some_and(|deadline| now >= deadline) {
            return Err(Final::Deadline);
        }
        if let Some(why) = self.no_server() {
            return Err(why);
        }
        let gate = Rc::clone(&self.gate);
        let mut permit = Permit::new(&gate, terms.of, now);
        let Found::Server(chosen) = permit.find(gate.pool(), terms.by(), self.tried(), false, now) else {
            return Err(Final::Servers);
        };
        self.permit.iter_mut().for_each(Permit::begin_try);
        permit.enter_pool().map_err(|_| Final::Servers)?;
        self.withdraw(terms.retry.budget, now).inspect_err(|why| {
            if *why == Final::Budget {
                gate.notice(Notice::Hedge(HedgeNotice::BudgetExhausted));
            }
        })?;
        let leg = self.try_now(chosen.server).ok_or(Final::Unreachable)?;
        Ok((leg, chosen, permit))
    }

    /// The first byte of a leg's answer has come, to a request that was sent whole at `sent`. `status` is that of its head,
    /// if so much has come.
    pub fn handle_first_byte(
        &mut self,
        leg: Leg,
        (status, sent): (Option<u16>, Time),
        retry: &Retry,
        now: Time,
    ) -> FirstByte {
        let mut race = match std::mem::replace(&mut self.state, AdmissionState::Ready) {
            AdmissionState::Racing(race) => race,
            state => {
                self.state = state;
                return FirstByte::Won(self.no_race());
            }
        };
        let Some(of) = race.take(leg) else {
            self.state = AdmissionState::Racing(race);
            return FirstByte::Kept(None);
        };
        match status {
            Some(status) if !race.legs.is_empty() && retry.on.holds_status(status) => {
                let kept = Spare { of, status, sent, at: now };
                let dismissed = race.spare.replace(kept).map(|spare| self.dismiss(spare, now));
                self.state = AdmissionState::Racing(race);
                FirstByte::Kept(dismissed)
            }
            _ => FirstByte::Won(self.win(*race, of, now)),
        }
    }

    /// A leg beside which no other was asked.
    fn no_race(&mut self) -> Winner {
        Winner { is_hedge: false, dismissed: None, discards_deferred: self.deferred.take().is_some() }
    }

    /// It is the only leg from now on.
    fn win(&mut self, race: Race<D>, winner: Entrant<D>, now: Time) -> Winner {
        let began = race.began;
        let dismissed = self.end_race(race, now);
        if winner.is_hedge {
            self.hedged = Some(began);
            self.gate.notice(Notice::Hedge(HedgeNotice::Won));
        }
        let (is_hedge, leg) = (winner.is_hedge, winner.leg);
        self.take_back(winner.permit, now);
        self.state = AdmissionState::Asking(leg);
        Winner { is_hedge, dismissed, ..self.no_race() }
    }

    /// The permit of the only leg that is left becomes the request's own.
    fn take_back(&mut self, of_leg: Option<Permit<D>>, now: Time) {
        match (&mut self.permit, of_leg) {
            (Some(permit), Some(of_leg)) => permit.join_server(of_leg, now),
            (None, of_leg) => self.permit = of_leg,
            (Some(_), None) => {}
        }
    }

    /// All legs that are left have lost; the driver ends them.
    pub(super) fn end_race(&mut self, race: Race<D>, now: Time) -> Option<Dismissed> {
        self.sent += race.legs.len() as u32;
        for entrant in race.legs {
            self.lose(&entrant);
            entrant.permit.into_iter().for_each(|permit| permit.release(now));
        }
        race.spare.map(|spare| self.dismiss(spare, now))
    }

    /// Throws away an answer that is not needed. Its server is judged by it all the same.
    fn dismiss(&mut self, spare: Spare<D>, now: Time) -> Dismissed {
        let Spare { of, status, sent, at } = spare;
        self.lose(&of);
        self.sent += 1;
        if let Some(mut permit) = of.permit {
            permit.judge(&Answer::whole(status, sent, at));
            permit.release(now);
        }
        Dismissed { leg: of.leg, server: of.server, status, took: at - sent }
    }

    fn lose(&self, entrant: &Entrant<D>) {
        if entrant.is_hedge {
            self.gate.notice(Notice::Hedge(HedgeNotice::Lost));
        }
    }

    /// A leg has failed. `None` if it was the only one: then the try has failed.
    pub(super) fn handle_leg_failure(
        &mut self,
        mut race: Box<Race<D>>,
        leg: Leg,
        failed: &FailedTry,
        now: Time,
    ) -> Option<AfterFailure> {
        let Some(entrant) = race.take(leg) else {
            self.state = AdmissionState::Racing(race);
            return Some(AfterFailure::Others);
        };
        self.lose(&entrant);
        if race.legs.is_empty() && race.spare.is_none() {
            self.take_back(entrant.permit, now);
            self.state = AdmissionState::Asking(leg);
            return None;
        }
        if let Some(mut permit) = entrant.permit {
            // The request's own place in the pool is for one of the others now.
            if !permit.is_in_pool()
                && let Some(other) = race.permits().find(|other| other.is_in_pool())
            {
                other.leave_pool(now);
            }
            permit.blame_server(failed, now);
            permit.release(now);
        }
        self.permit.iter_mut().for_each(|permit| permit.note_failure(failed, now));
        self.note_failed(failed);
        match race.spare.take_if(|_| race.legs.is_empty()) {
            Some(spare) => {
                let leg = spare.of.leg;
                Some(AfterFailure::Won(leg, self.win(*race, spare.of, now)))
            }
            None => {
                self.state = AdmissionState::Racing(race);
                Some(AfterFailure::Others)
            }
        }
    }
}
