//! The state of a server, and what is said of its changes.

use std::fmt;

use evenkeel_types::Time;

use super::outlier::EjectionCause;

/// What a server is in, as logs, metrics, API and dashboard name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Usable.
    Up,
    /// Checked, but not yet seen to answer.
    Starting,
    /// Its active checks fail.
    Down,
    /// Its active checks pass, but it does not have the role that the pool demands, or lags too far behind.
    Unfit,
    /// Out for a while because live traffic failed on it.
    Ejected,
    /// Out by the operator's word; what it has begun it may finish.
    Draining,
    /// Out by the operator's word, and not checked; what was relayed to it has been ended.
    Disabled,
}

impl State {
    /// `up`, `starting`, `down`, `unfit`, `ejected`, `draining` or `disabled`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Starting => "starting",
            Self::Down => "down",
            Self::Unfit => "unfit",
            Self::Ejected => "ejected",
            Self::Draining => "draining",
            Self::Disabled => "disabled",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A change of a server's state. Each change is reported exactly once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// Before.
    pub from: State,
    /// After; never equal to `from`.
    pub to: State,
    /// Why, for people.
    pub reason: String,
    /// When.
    pub at: Time,
}

/// Why a server is not ejected though it deserves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// No other server of the pool is up.
    LastUp,
    /// As many servers are ejected as `max_ejected` allows.
    MaxEjected,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LastUp => "no other is up",
            Self::MaxEjected => "as many are out as max_ejected allows",
        })
    }
}

/// What happened to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Its state changed.
    Transition(Transition),
    /// It would have been ejected, but must not be. Said once for a spell of failures.
    Kept {
        /// Why it would have been ejected.
        reason: String,
        /// By what it stood out.
        cause: EjectionCause,
        /// Why it was not ejected.
        hold: Hold,
        /// When.
        at: Time,
    },
}
