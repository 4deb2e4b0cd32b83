//! The health of one server: active checks, passive checks and the operator's word, made into one state.

use evenkeel_config::{Health, Outlier};
use evenkeel_types::Time;

use super::passive::PassiveVerdict;
use super::{Active, EjectionCause, Event, Failure, Hold, Passive, ProbeFailure, State, Transition};
use crate::balance::Availability;

/// What the operator wants of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Administrative {
    /// Its health decides.
    Ready,
    /// No new requests; those in flight may finish.
    Drain,
}

/// One server's state, and why it is in it. When several things speak against a server the operator's word counts
/// first, then active checks, then passive ones.
#[derive(Debug, Clone)]
pub struct ServerHealth {
    administrative: Administrative,
    active: Option<Active>,
    passive: Option<Passive>,
    /// The state last reported.
    state: State,
    since: Time,
    /// It is up because an ejection ended.
    passive_decided: bool,
}

impl ServerHealth {
    /// A server that appears now. Without active checks it is up until live traffic says otherwise.
    pub fn new(health: Option<&Health>, outlier: Option<&Outlier>, now: Time) -> Self {
        let active = health.map(|settings| Active::new(settings, now));
        let state = active.as_ref().map_or(State::Up, Active::state);
        let passive = outlier.map(Passive::new);
        Self {
            administrative: Administrative::Ready,
            active,
            passive,
            state,
            since: now,
            passive_decided: false,
        }
    }

    /// Takes in the result of a probe. Without active checks it is ignored.
    pub fn probed(&mut self, result: Result<(), ProbeFailure>, now: Time) -> Option<Transition> {
        self.active.as_mut()?.observe(result, now);
        self.settle(now)
    }

    /// Takes in a failure of live traffic; `hold` says what rules out an ejection. On a server that is down or drained
    /// already it counts for nothing.
    pub fn failed(&mut self, failure: Failure, now: Time, hold: Option<Hold>) -> Option<Event> {
        if matches!(self.state, State::Down | State::Draining) {
            return None;
        }
        let verdict = self.passive.as_mut()?.failure(failure, now, hold);
        self.follow(verdict, EjectionCause::Failures, now)
    }

    /// Takes in that the server, which is up, does worse than the others; `hold` says what rules out an ejection.
    pub fn outlier(
        &mut self,
        cause: EjectionCause,
        reason: String,
        now: Time,
        hold: Option<Hold>,
    ) -> Option<Event> {
        let verdict = self.passive.as_mut()?.outlier(cause, reason, now, hold);
        self.follow(verdict, cause, now)
    }

    fn follow(&mut self, verdict: PassiveVerdict, cause: EjectionCause, now: Time) -> Option<Event> {
        match verdict {
            PassiveVerdict::Counted => None,
            PassiveVerdict::Ejected(_) => self.settle(now).map(Event::Transition),
            PassiveVerdict::Kept { reason, hold } => Some(Event::Kept { reason, cause, hold, at: now }),
        }
    }

    /// Takes in the operator's word.
    pub fn administer(&mut self, administrative: Administrative, now: Time) -> Option<Transition> {
        self.administrative = administrative;
        self.settle(now)
    }

    /// Ends an ejection whose time is over.
    pub fn poll(&mut self, now: Time) -> Option<Transition> {
        self.passive.as_mut()?.poll(now)?;
        self.settle(now)
    }

    /// Takes over new settings. What is known of the server stays, unless it was found by a different probe.
    pub fn reconfigure(
        &mut self,
        health: Option<&Health>,
        outlier: Option<&Outlier>,
        now: Time,
    ) -> Option<Transition> {
        match (&mut self.active, health) {
            (Some(active), Some(new)) if active.settings() == new => {}
            (Some(active), Some(new))
                if active.settings().probe == new.probe && active.settings().port == new.port =>
            {
                active.retune(new);
            }
            (active, new) => *active = new.map(|settings| Active::new(settings, now)),
        }
        if self.passive.as_ref().map(Passive::settings) != outlier {
            self.passive = outlier.map(Passive::new);
        }
        self.settle(now)
    }

    /// Forgets what was known, because another server has come to the same id. The operator's word stays.
    pub fn restart(
        &mut self,
        health: Option<&Health>,
        outlier: Option<&Outlier>,
        now: Time,
    ) -> Option<Transition> {
        self.active = health.map(|settings| Active::new(settings, now));
        self.passive = outlier.map(Passive::new);
        self.settle(now)
    }

    /// Whether it may be chosen, by itself; in a panic its pool says otherwise.
    pub fn availability(&self) -> Availability {
        match self.state {
            State::Up => Availability::Up,
            State::Starting => Availability::Unproven,
            State::Down | State::Ejected | State::Draining => Availability::Out,
        }
    }

    /// Its state; `state().as_str()` is what users see.
    pub fn state(&self) -> State {
        self.state
    }

    /// Why it is in this state.
    pub fn reason(&self) -> String {
        let active = || self.active.as_ref().map(Active::reason);
        let passive = || self.passive.as_ref().map(Passive::reason).filter(|reason| !reason.is_empty());
        let reason = match self.state {
            State::Draining => Some("drained by the operator"),
            State::Ejected => passive(),
            State::Starting | State::Down => active(),
            // What was heard last is why it is up again.
            State::Up if self.passive_decided => passive(),
            State::Up => active(),
        };
        reason.unwrap_or("not checked").to_owned()
    }

    /// By what it stood out when it was last ejected.
    pub fn cause(&self) -> Option<EjectionCause> {
        self.passive.as_ref()?.cause()
    }

    /// Since when it is in this state.
    pub fn since(&self) -> Time {
        self.since
    }

    /// What the operator wants of it.
    pub fn administrative(&self) -> Administrative {
        self.administrative
    }

    /// When [`poll`](Self::poll) will have something to say.
    pub fn due(&self) -> Option<Time> {
        self.passive.as_ref()?.due()
    }

    /// When to probe next, as [`Active::next_probe`]; `None` without active checks.
    pub fn next_probe(&self, began: Time, rng: &mut fastrand::Rng) -> Option<Time> {
        Some(self.active.as_ref()?.next_probe(began, rng))
    }

    /// Reports the state that its parts now add up to, if it is a new one.
    fn settle(&mut self, now: Time) -> Option<Transition> {
        let to = self.sum();
        if to == self.state {
            return None;
        }
        let from = std::mem::replace(&mut self.state, to);
        self.since = now;
        self.passive_decided = from == State::Ejected;
        Some(Transition { from, to, reason: self.reason(), at: now })
    }

    fn sum(&self) -> State {
        let active = self.active.as_ref().map_or(State::Up, Active::state);
        let ejected = self.passive.as_ref().is_some_and(Passive::is_ejected);
        match (self.administrative, active) {
            (Administrative::Drain, _) => State::Draining,
            (Administrative::Ready, State::Down) => State::Down,
            (Administrative::Ready, _) if ejected => State::Ejected,
            (Administrative::Ready, state) => state,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
