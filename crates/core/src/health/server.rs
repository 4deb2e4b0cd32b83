//! The health of one server: active checks, passive checks and the operator's word, made into one state.

use evenkeel_config::{Health, Outlier};
use evenkeel_types::Time;

use super::passive::PassiveVerdict;
use super::role::{Unfit, Verdict};
use super::{Active, EjectionCause, Event, Hold, LiveFailure, Passive, ProbeFailure, State, Transition};
use crate::balance::Availability;

/// What the operator wants of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Administrative {
    /// Its health decides.
    Ready,
    /// No new requests; those in flight may finish.
    Drain,
    /// As `Drain`, for maintenance: connections that are relayed end, idle ones are closed, and checks stop.
    Disable,
}

impl Administrative {
    /// `ready`, `drain` or `disable`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Disable => "disable",
        }
    }
}

/// One server's state, and why it is in it. When several things speak against a server the operator's word counts
/// first, then active checks, then its role, then passive checks.
#[derive(Debug, Clone)]
pub struct ServerHealth {
    administrative: Administrative,
    active: Option<Active>,
    passive: Option<Passive>,
    /// Whether it has the role that the pool demands, and why, if the pool demands one.
    role: Option<(Verdict, String)>,
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
            role: role(health),
            state,
            since: now,
            passive_decided: false,
        }
    }

    /// Takes in the result of a probe. Without active checks it is ignored.
    pub fn probed(&mut self, result: Result<(), ProbeFailure>, now: Time) -> Option<Transition> {
        self.observe(result, now);
        self.settle(now)
    }

    /// The same without a report; [`settle`](Self::settle) follows.
    pub(super) fn observe(&mut self, result: Result<(), ProbeFailure>, now: Time) {
        self.active.iter_mut().for_each(|active| drop(active.observe(result.clone(), now)));
    }

    /// Takes in whether it has the role that the pool demands, and why; [`settle`](Self::settle) follows. What was known before is
    /// returned.
    pub(super) fn judge(&mut self, role: Option<(Verdict, String)>) -> Option<Verdict> {
        std::mem::replace(&mut self.role, role).map(|(before, _)| before)
    }

    /// True if its active checks pass.
    pub(super) fn passes_checks(&self) -> bool {
        self.active.as_ref().is_none_or(|active| active.state() == State::Up)
    }

    /// True if its last active check failed.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.active.as_ref().is_some_and(Active::is_in_doubt)
    }

    /// Takes in a failure of live traffic; `hold` says what rules out an ejection. On a server that is down or drained
    /// already it counts for nothing.
    pub fn failed(&mut self, failure: LiveFailure, now: Time, hold: Option<Hold>) -> Option<Event> {
        if matches!(self.state, State::Down | State::Draining | State::Disabled | State::Unfit) {
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
        let before = std::mem::replace(&mut self.administrative, administrative);
        // It was not checked meanwhile: what was known of it may no longer hold.
        if before == Administrative::Disable && administrative != Administrative::Disable {
            self.active = self.active.as_ref().map(|active| Active::new(active.settings(), now));
        }
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
            (active, new) => {
                *active = new.map(|settings| Active::new(settings, now));
                self.role = role(new);
            }
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
        self.role = role(health);
        self.passive = outlier.map(Passive::new);
        self.settle(now)
    }

    /// Whether it may be chosen, by itself; in a panic its pool says otherwise.
    pub fn availability(&self) -> Availability {
        match self.state {
            State::Up => Availability::Up,
            // Its role is not known yet: it may be a replica that takes no writes.
            State::Starting if self.role.is_some() => Availability::Out,
            State::Starting => Availability::Unproven,
            State::Down | State::Unfit | State::Ejected | State::Draining | State::Disabled => {
                Availability::Out
            }
        }
    }

    /// Its state; `state().as_str()` is what users see.
    pub fn state(&self) -> State {
        self.state
    }

    /// Why it is in this state.
    pub fn reason(&self) -> String {
        let active = || self.active.as_ref().map(Active::reason);
        let role = || self.role.as_ref().map(|(_, reason)| reason.as_str());
        let passive = || self.passive.as_ref().map(Passive::reason).filter(|reason| !reason.is_empty());
        let reason = match self.state {
            State::Draining => Some("drained by the operator"),
            State::Disabled => Some("disabled by the operator"),
            State::Ejected => passive(),
            State::Starting | State::Down => active(),
            State::Unfit => role(),
            // What was heard last is why it is up again.
            State::Up if self.passive_decided => passive(),
            State::Up => role().or_else(active),
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

    /// When to probe next, as [`Active::next_probe`]; `None` without active checks, and while it is disabled.
    pub(super) fn next_probe(
        &self,
        began: Time,
        is_searching: bool,
        rng: &mut fastrand::Rng,
    ) -> Option<Time> {
        if self.administrative == Administrative::Disable {
            return None;
        }
        Some(self.active.as_ref()?.next_probe(began, is_searching, rng))
    }

    /// Reports the state that its parts now add up to, if it is a new one.
    pub(super) fn settle(&mut self, now: Time) -> Option<Transition> {
        let to = self.sum();
        if to == self.state {
            return None;
        }
        let from = std::mem::replace(&mut self.state, to);
        self.since = now;
        self.passive_decided = from == State::Ejected;
        if let Some(passive) = self.passive.as_mut().filter(|_| to == State::Ejected) {
            passive.resume(now);
        }
        Some(Transition { from, to, reason: self.reason(), at: now })
    }

    fn sum(&self) -> State {
        let active = self.active.as_ref().map_or(State::Up, Active::state);
        let ejected = self.passive.as_ref().is_some_and(Passive::is_ejected);
        let is_unfit = self.role.as_ref().is_some_and(|(role, _)| !role.is_fit());
        match (self.administrative, active) {
            (Administrative::Drain, _) => State::Draining,
            (Administrative::Disable, _) => State::Disabled,
            (Administrative::Ready, State::Down) => State::Down,
            (Administrative::Ready, State::Up) if is_unfit => State::Unfit,
            (Administrative::Ready, _) if ejected => State::Ejected,
            (Administrative::Ready, state) => state,
        }
    }
}

/// What is known at first of the role of a server that is checked like this.
fn role(health: Option<&Health>) -> Option<(Verdict, String)> {
    health?.probe.role_rule()?;
    Some((Verdict::Unfit(Unfit::Unknown), "role not known yet".into()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
