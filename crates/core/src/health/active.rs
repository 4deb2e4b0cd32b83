//! Active checks: what a server's answers to probes say about it, and when to probe next.

use std::fmt;
use std::time::Duration;

use evenkeel_config::Health;
use evenkeel_types::Time;

use super::{State, Transition};

/// A pool that looks for a server with a role is checked so many times as often as `interval` says...
const SEARCH_FACTOR: u32 = 10;
/// ...but no more often than this: what an answer within one data centre takes, many times over.
const SEARCH_EVERY: Duration = Duration::from_millis(20);

/// Why a probe failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeFailure {
    /// No process listens there.
    Refused,
    /// No answer within `health.timeout`.
    Timeout,
    /// The connection was closed before the answer was complete.
    Reset,
    /// The server's name could not be resolved.
    Resolve(String),
    /// Any other failure of the network, in the words of the operating system.
    Io(String),
    /// An answer whose status is not among `health.expect`.
    Status(u16),
    /// A response whose body does not contain the text of `health.body`.
    Body {
        /// What was looked for.
        text: String,
        /// The bytes that were searched, if the body is longer.
        searched: Option<usize>,
    },
    /// An answer that is not HTTP, or not gRPC.
    Malformed,
    /// The health service of gRPC says that the server does not serve.
    NotServing,
    /// The health service of gRPC failed with this status.
    Grpc(String),
    /// The database refused the check, for this reason; it never holds the password.
    Database(String),
    /// The database says that it takes no sessions, because it starts, recovers or shuts down.
    NotReady(String),
}

impl fmt::Display for ProbeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("connection refused"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Reset => f.write_str("connection closed without an answer"),
            Self::Resolve(error) => write!(f, "name not resolved: {error}"),
            Self::Io(error) => f.write_str(error),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Body { text, searched: None } => write!(f, "its body does not contain {text:?}"),
            Self::Body { text, searched: Some(bytes) } => {
                write!(f, "its body does not contain {text:?} in the first {} KiB", bytes / 1024)
            }
            Self::Malformed => f.write_str("malformed answer"),
            Self::NotServing => f.write_str("not serving"),
            Self::Grpc(status) => write!(f, "gRPC status {status}"),
            Self::Database(reason) | Self::NotReady(reason) => f.write_str(reason),
        }
    }
}

/// The active checks of one server.
///
/// A server that has never answered is [`State::Starting`]: its first success makes it up at once; failures are
/// ignored within `start_period`, and the first one after it takes it down. From then on `fall` failures in a row
/// take it down, or one in which it says that it is not ready, and `rise` successes in a row bring it back.
#[derive(Debug, Clone)]
pub struct Active {
    settings: Health,
    state: State,
    /// Results in a row that speak against `state`.
    streak: u32,
    started: Time,
    probed: bool,
    reason: String,
}

impl Active {
    /// The first probe may be spread over this much, so that a pool's servers are not all probed in one instant.
    const FIRST_WITHIN: Duration = Duration::from_millis(5);

    /// A server that appears now.
    pub fn new(settings: &Health, now: Time) -> Self {
        Self {
            settings: settings.clone(),
            state: State::Starting,
            streak: 0,
            started: now,
            probed: false,
            reason: "not checked yet".into(),
        }
    }

    /// Takes in the result of a probe that ended `now`.
    pub fn observe(&mut self, result: Result<(), ProbeFailure>, now: Time) -> Option<Transition> {
        self.probed = true;
        match (self.state, result) {
            (State::Starting, Ok(())) => self.enter(State::Up, "first check passed".into(), now),
            (State::Starting, Err(failure)) if now.since(self.started) < self.settings.start_period => {
                self.reason = format!("still starting: {failure}");
                None
            }
            (State::Starting, Err(failure)) => {
                self.enter(State::Down, format!("never passed a check: {failure}"), now)
            }
            // What a server says of itself needs no second time.
            (State::Up, Err(failure @ ProbeFailure::NotReady(_))) => {
                self.enter(State::Down, format!("check failed: {failure}"), now)
            }
            (State::Up, Err(failure)) => self.count(self.settings.fall, now, State::Down, |n| match n {
                1 => format!("check failed: {failure}"),
                n => format!("{n} checks in a row failed, the last: {failure}"),
            }),
            (State::Down, Ok(())) => self.count(self.settings.rise, now, State::Up, |n| match n {
                1 => "check passed".into(),
                n => format!("{n} checks in a row passed"),
            }),
            (State::Down, Err(failure)) => {
                self.streak = 0;
                self.reason = format!("check failed: {failure}");
                None
            }
            _ => {
                self.streak = 0;
                None
            }
        }
    }

    /// When to probe next, the last probe having begun at `began`: `interval` later, give or take a tenth, so that
    /// many balancers and servers do not fall into step. The first probe, and the first after new settings, is due
    /// within 5 ms of the time given.
    /// While the pool `is_searching` for a server with a role, it comes earlier.
    pub fn next_probe(&self, began: Time, is_searching: bool, rng: &mut fastrand::Rng) -> Time {
        if !self.probed {
            return began + Self::FIRST_WITHIN.mul_f64(rng.f64());
        }
        let interval = self.settings.interval;
        let interval =
            if is_searching { interval.min(SEARCH_EVERY.max(interval / SEARCH_FACTOR)) } else { interval };
        began + interval.mul_f64(0.9 + 0.2 * rng.f64())
    }

    /// True if it is up and its last probe failed.
    pub fn is_in_doubt(&self) -> bool {
        self.state == State::Up && self.streak > 0
    }

    /// [`State::Starting`], [`State::Up`] or [`State::Down`].
    pub fn state(&self) -> State {
        self.state
    }

    /// Why it is in this state.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What it was made from.
    pub fn settings(&self) -> &Health {
        &self.settings
    }

    /// Takes over new numbers for the same probe: what is known of the server stays true, and it is probed at once.
    pub fn retune(&mut self, settings: &Health) {
        self.settings = settings.clone();
        self.probed = false;
    }

    /// One more result in a row that speaks for `to`; `needed` of them decide.
    fn count(
        &mut self,
        needed: u32,
        now: Time,
        to: State,
        words: impl Fn(u32) -> String,
    ) -> Option<Transition> {
        self.streak += 1;
        if self.streak < needed { None } else { self.enter(to, words(self.streak), now) }
    }

    fn enter(&mut self, to: State, reason: String, now: Time) -> Option<Transition> {
        let from = std::mem::replace(&mut self.state, to);
        self.streak = 0;
        self.reason.clone_from(&reason);
        Some(Transition { from, to, reason, at: now })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
