//! Passive checks: a server on which live traffic fails too often is taken out for a while.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use evenkeel_config::{FailureOn, Outlier};
use evenkeel_types::Time;

use super::{EjectionCause, Hold, State, Transition};

/// How live traffic failed on a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection could be made.
    Connect,
    /// The connection broke before the answer was complete.
    Reset,
    /// No answer within the pool's `timeout.response`.
    Timeout,
    /// An answer that is not HTTP.
    BadAnswer,
    /// An answer with a status that says that the server failed.
    Status(u16),
}

impl Failure {
    /// True if `on` counts it.
    pub fn counts(self, on: &FailureOn) -> bool {
        match self {
            Self::Connect => on.connect,
            Self::Reset | Self::BadAnswer => on.reset,
            Self::Timeout => on.timeout,
            Self::Status(status) => on.holds_status(status),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("no connection"),
            Self::Reset => f.write_str("connection broken"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::BadAnswer => f.write_str("malformed answer"),
            Self::Status(status) => write!(f, "status {status}"),
        }
    }
}

/// What live traffic consists of, where it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveTraffic {
    /// Requests of HTTP.
    Requests,
    /// Connections of tcp listeners.
    Connections,
    /// Sessions of udp listeners.
    Sessions,
}

impl LiveTraffic {
    /// As in "3 connections".
    pub(crate) const fn several(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Connections => "connections",
            Self::Sessions => "sessions",
        }
    }

    const fn one(self) -> &'static str {
        match self {
            Self::Requests => "request",
            Self::Connections => "connection",
            Self::Sessions => "session",
        }
    }
}

/// A failure of live traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveFailure {
    /// Of what.
    pub of: LiveTraffic,
    /// How it failed.
    pub how: Failure,
}

/// What a failure leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassiveVerdict {
    /// Nothing yet, or nothing new.
    Counted,
    /// The server is taken out.
    Ejected(Transition),
    /// It would be taken out, but must not be. Said again only after `window` without such a failure.
    Kept {
        /// Why it would have been taken out.
        reason: String,
        /// Why it was not.
        hold: Hold,
    },
}

/// The passive checks of one server: `failures` within `window` eject it for `eject`, doubled on each repeat up to
/// ten times `eject`. A repeat is forgotten for every ten times `eject` that pass without an ejection.
///
/// Holds the times of at most `failures` failures.
#[derive(Debug, Clone)]
pub struct Passive {
    settings: Outlier,
    /// The latest failures within the window, oldest first.
    failures: VecDeque<(Time, LiveTraffic)>,
    ejected_until: Option<Time>,
    /// How often it was ejected, less what was forgotten.
    repeats: u32,
    /// The end of the last ejection, moved on by what was forgotten.
    quiet_since: Time,
    /// When it last was kept instead of ejected.
    kept_at: Option<Time>,
    reason: String,
    /// When it was last ejected, and why.
    ejected: (Time, String),
    cause: Option<EjectionCause>,
}

impl Passive {
    /// The longest ejection, and the quiet time that forgets a repeat, in multiples of `eject`.
    const EJECT_TIMES_MAX: u32 = 10;

    /// A server without a history.
    pub fn new(settings: &Outlier) -> Self {
        Self {
            settings: settings.clone(),
            failures: VecDeque::new(),
            ejected_until: None,
            repeats: 0,
            quiet_since: Time::ZERO,
            kept_at: None,
            reason: String::new(),
            ejected: (Time::ZERO, String::new()),
            cause: None,
        }
    }

    /// Takes in a failure. `hold` says what rules out an ejection.
    pub fn failure(&mut self, failure: LiveFailure, now: Time, hold: Option<Hold>) -> PassiveVerdict {
        if self.ejected_until.is_some() {
            // The remains of what was in flight when it was ejected.
            return PassiveVerdict::Counted;
        }
        let count = self.settings.failures as usize;
        while self.failures.front().is_some_and(|(oldest, _)| now.since(*oldest) > self.settings.window) {
            self.failures.pop_front();
        }
        let LiveFailure { of, how } = failure;
        self.failures.push_back((now, of));
        if self.failures.len() < count {
            return PassiveVerdict::Counted;
        }
        let reason = match count {
            0 | 1 => format!("{} failed: {how}", of.one()),
            n => {
                // A pool may serve listeners of several kinds.
                let are_alike = self.failures.iter().all(|(_, other)| *other == of);
                let what = if are_alike { of.several() } else { "tries" };
                format!("{n} {what} failed within {:?}, the last: {how}", self.settings.window)
            }
        };
        if hold.is_some() {
            self.failures.pop_front();
        }
        self.sentence(EjectionCause::Failures, reason, now, hold)
    }

    /// Takes in that the server does worse than the others. `hold` says what rules out an ejection.
    pub fn outlier(
        &mut self,
        cause: EjectionCause,
        reason: String,
        now: Time,
        hold: Option<Hold>,
    ) -> PassiveVerdict {
        if self.ejected_until.is_some() {
            return PassiveVerdict::Counted;
        }
        self.sentence(cause, reason, now, hold)
    }

    fn sentence(
        &mut self,
        cause: EjectionCause,
        reason: String,
        now: Time,
        hold: Option<Hold>,
    ) -> PassiveVerdict {
        let Some(hold) = hold else {
            self.cause = Some(cause);
            return PassiveVerdict::Ejected(self.eject(reason, now));
        };
        let before = self.kept_at.replace(now);
        let is_said = before.is_some_and(|before| now.since(before) <= self.settings.window);
        if is_said { PassiveVerdict::Counted } else { PassiveVerdict::Kept { reason, hold } }
    }

    /// Ends the ejection when its time is over.
    pub fn poll(&mut self, now: Time) -> Option<Transition> {
        if self.ejected_until? > now {
            return None;
        }
        self.ejected_until = None;
        self.quiet_since = now;
        let reason = String::from("ejection is over");
        self.reason.clone_from(&reason);
        Some(Transition { from: State::Ejected, to: State::Up, reason, at: now })
    }

    /// When [`poll`](Self::poll) will have something to say.
    pub fn due(&self) -> Option<Time> {
        self.ejected_until
    }

    /// Whether it is out.
    pub fn is_ejected(&self) -> bool {
        self.ejected_until.is_some()
    }

    /// Notes that the server is only out because of its ejection from now on. If that began earlier, what is said is how
    /// much of it is left.
    pub fn resume(&mut self, now: Time) {
        let (at, why) = &self.ejected;
        let Some(until) = self.ejected_until.filter(|_| *at != now) else { return };
        let left = Duration::from_millis(until.since(now).as_millis().try_into().unwrap_or(u64::MAX));
        self.reason = format!("out for {left:?} more: {why}");
    }

    /// By what it stood out when it was last ejected.
    pub fn cause(&self) -> Option<EjectionCause> {
        self.cause
    }

    /// Why it is out, or why it is back; empty for a server that was never out.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What it was made from.
    pub fn settings(&self) -> &Outlier {
        &self.settings
    }

    fn eject(&mut self, reason: String, now: Time) -> Transition {
        self.failures.clear();
        self.kept_at = None;
        let quiet = self.settings.eject.saturating_mul(Self::EJECT_TIMES_MAX);
        while self.repeats > 0 && now.since(self.quiet_since) >= quiet {
            self.repeats -= 1;
            self.quiet_since = self.quiet_since + quiet;
        }
        let times =
            1u32.checked_shl(self.repeats).map_or(Self::EJECT_TIMES_MAX, |n| n.min(Self::EJECT_TIMES_MAX));
        // Beyond four doublings the maximum holds; counting on would only delay forgetting.
        self.repeats = (self.repeats + 1).min(4);
        let period: Duration = self.settings.eject.saturating_mul(times);
        self.ejected_until = Some(now + period);
        self.reason = format!("{reason}; out for {period:?}");
        self.ejected = (now, reason);
        Transition { from: State::Up, to: State::Ejected, reason: self.reason.clone(), at: now }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
