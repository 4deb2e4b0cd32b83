//! What the servers did, as the driver reports it, and what follows.

use std::rc::Rc;

use evenkeel_types::Time;

use super::facts::{AfterFailure, AfterHead, Answer, Dismissed, FailedTry, GiveUp, Leg, Terms};
use super::gate::Driver;
use super::notice::{Notice, QueueNotice, QueueRefusal};
use super::permit::Permit;
use super::request::{Admission, AdmissionState};
use crate::choose::Keys;
use crate::retry::{Attempt, Cause, Decision, Final, retry};

impl<D: Driver> Admission<D> {
    /// A connection for this leg is there. True if the deferred response of an earlier try is to be thrown away, which is so
    /// unless several servers are asked: then that is decided by the first byte of an answer.
    pub fn handle_connected(&mut self, _leg: Leg) -> bool {
        matches!(self.state, AdmissionState::Asking(_)) && self.deferred.take().is_some()
    }

    /// The head of a leg's final answer has come. If several servers may have the request, the leg has won by now.
    pub fn handle_head<K: Keys>(&mut self, leg: Leg, answer: &Answer, terms: &Terms<'_, K>) -> AfterHead {
        self.measure(answer);
        if let Some(permit) = &mut self.permit {
            permit.answered(answer);
        }
        let policy = terms.retry;
        if !policy.on.holds_status(answer.status) {
            return AfterHead::PassOn;
        }
        let cause = Cause::Status(answer.status);
        let at_once = match () {
            () if answer.has_begun => Some(Final::Answered),
            () if answer.is_sent => None,
            () if !policy.repeats(terms.request.method()) => Some(Final::Method),
            () => Some(Final::Early),
        };
        if let Some(why) = at_once {
            self.gate.notice(Notice::Retry { cause, decision: Decision::Final(why) });
            return AfterHead::NotRetried { why, was_asked: false };
        }
        self.permit.iter_mut().for_each(|permit| permit.leave_server(answer.at));
        self.sent += 1;
        match self.decide(cause, (answer.replayable, answer.has_begun), terms, answer.at) {
            Decision::Retry { .. } => {
                self.deferred = Some(leg);
                AfterHead::Defer
            }
            Decision::Final(why) => AfterHead::NotRetried { why, was_asked: true },
        }
    }

    /// A leg has failed before its answer could be passed on.
    pub fn handle_failure<K: Keys>(
        &mut self,
        leg: Leg,
        failed: &FailedTry,
        terms: &Terms<'_, K>,
        now: Time,
    ) -> AfterFailure {
        match std::mem::replace(&mut self.state, AdmissionState::Ready) {
            AdmissionState::Racing(race) => {
                if let Some(after) = self.handle_leg_failure(race, leg, failed, now) {
                    return after;
                }
            }
            AdmissionState::Asking(_) => {}
            // Nothing is decided any more: an answer that was to be passed on after all could not be.
            state => {
                self.state = state;
                return AfterFailure::GiveUp(None);
            }
        }
        if let Some(permit) = &mut self.permit {
            permit.failed(failed, now);
        }
        self.note_failed(failed);
        let Some(cause) = failed.cause else {
            self.state = AdmissionState::Over(GiveUp::Failed);
            return AfterFailure::GiveUp(None);
        };
        match self.decide(cause, (failed.replayable, failed.has_begun), terms, now) {
            Decision::Retry { .. } => AfterFailure::Retry,
            Decision::Final(why) => AfterFailure::GiveUp(Some(why)),
        }
    }

    /// The client has left. An answer that was kept is thrown away; the driver ends all legs.
    pub fn handle_gone(&mut self, now: Time) -> Option<Dismissed> {
        let dismissed = match std::mem::replace(&mut self.state, AdmissionState::Over(GiveUp::Gone)) {
            AdmissionState::Racing(race) => self.end_race(*race, now),
            AdmissionState::Queued(_) => {
                self.gate.notice(Notice::Queue(QueueNotice::Refused(QueueRefusal::Gone)));
                None
            }
            _ => None,
        };
        self.permit.take().into_iter().for_each(|permit| permit.release(now));
        dismissed
    }

    pub(super) fn note_failed(&mut self, failed: &FailedTry) {
        self.sent += u32::from(failed.cause != Some(Cause::Connect));
        if failed.timed_out && failed.cause == Some(Cause::Connect) {
            self.note_connect_timeout();
        }
    }

    /// Asks the retry policy, and makes ready for what it decides.
    fn decide<K: Keys>(
        &mut self,
        cause: Cause,
        (replayable, has_begun): (bool, bool),
        terms: &Terms<'_, K>,
        now: Time,
    ) -> Decision {
        // The tries before have ended.
        self.permit.iter_mut().for_each(Permit::end_retries);
        let attempt = Attempt {
            cause,
            method: terms.request.method(),
            replayable,
            answered: has_begun,
            attempts: self.sent,
            retries: self.retries,
            no_server: match self.no_server() {
                Some(Final::Servers) if cause == Cause::Connect && self.outwaits_refusals(now) => None,
                none => none,
            },
            now,
            deadline: terms.deadline,
        };
        let local = Rc::clone(self.gate.local());
        let random = || local.picker.borrow_mut().random();
        let decision = retry(terms.retry, &attempt, || self.withdraw(terms.retry.budget, now), random);
        self.gate.notice(Notice::Retry { cause, decision });
        self.state = match decision {
            Decision::Retry { after } => {
                self.retries += u32::from(cause != Cause::Connect);
                let until = now + after;
                AdmissionState::Paused(terms.deadline.map_or(until, |deadline| deadline.min(until)))
            }
            Decision::Final(why) => AdmissionState::Over(GiveUp::NotRetried(why)),
        };
        decision
    }

    /// Notes how long the answer took, if a route hedges by what is usual. A hedge took as long as the leg before it.
    fn measure(&self, answer: &Answer) {
        // A server that fails fast is not a quick one.
        if !self.gate.is_measured() || answer.status >= 500 {
            return;
        }
        if let Some(took) = self.hedged.map(|began| answer.at - began).or(answer.took) {
            self.gate.pool().retries.latencies.observe(took, answer.at);
        }
    }
}
