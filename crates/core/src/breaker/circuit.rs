//! The circuit breaker's states as one thread would see them: closed, open for a while, half open for a few trials.

use std::fmt;
use std::time::Duration;

use evenkeel_config::Trip as Settings;
use evenkeel_types::Time;

use super::window::Tally;
use crate::health::LiveTraffic;

/// The longest time open, in multiples of `open_for`.
const OPEN_TIMES_MAX: u32 = 10;
/// What a client should wait, by `Retry-After`, while trials are under way.
const TRIAL_WAIT: Duration = Duration::from_secs(1);

/// Whether requests go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CircuitState {
    /// All do.
    #[default]
    Closed,
    /// None does.
    Open,
    /// A few do, as trials.
    HalfOpen,
}

impl CircuitState {
    /// As it stands in logs and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// What lets a request through, and is given back when it is known how it fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// How often the circuit had opened before.
    pub(super) round: u32,
    pub(super) is_trial: bool,
}

/// How a request fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// An answer, or none, after this time.
    Ended {
        /// What it was.
        of: LiveTraffic,
        /// No connection, no answer, a broken one, or 502 to 504.
        failed: bool,
        /// From its start to the head of the answer, or to its failure.
        took: Duration,
    },
    /// Not known: its client left, or it was never sent.
    Unknown,
}

/// A change of state, to be logged once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CircuitChange {
    /// What it was.
    pub from: CircuitState,
    /// What it is now.
    pub to: CircuitState,
    /// Why.
    pub reason: String,
}

/// Refused: the circuit is open, or its trials are all under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// When it is worth asking again.
    pub after: Duration,
}

/// The states. What ended while it was closed is the caller's to count; it comes in as a [`Tally`].
#[derive(Debug, Default)]
pub struct Circuit {
    state: CircuitState,
    round: u32,
    /// How often it has opened since it was closed last.
    repeats: u32,
    /// When it came to be in its state.
    since: Time,
    until: Time,
    trials: u32,
    succeeded: u32,
    reason: String,
}

impl Circuit {
    /// Whether requests go through.
    pub fn state(&self) -> CircuitState {
        self.state
    }

    /// How often it has opened.
    pub fn round(&self) -> u32 {
        self.round
    }

    /// Why it is in its state; empty if it never opened.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Since when, why and for how long still it refuses requests; `None` if it is closed.
    pub fn description(&self, now: Time) -> Option<String> {
        let since = now.since(self.since);
        match self.state {
            CircuitState::Closed => None,
            CircuitState::Open => {
                let left = self.until.since(now);
                Some(format!("opened {since:.1?} ago, for {left:.1?} more: {}", self.reason))
            }
            CircuitState::HalfOpen => {
                Some(format!("half open for {since:.1?}, and its trials are under way"))
            }
        }
    }

    /// Asks for a pass. An open circuit whose time is up becomes half open by it.
    ///
    /// # Errors
    /// It is open, or has as many trials under way as it may.
    pub fn admit(
        &mut self,
        settings: &Settings,
        now: Time,
    ) -> (Result<Pass, Refused>, Option<CircuitChange>) {
        let mut change = None;
        match self.state {
            CircuitState::Closed => return (Ok(Pass { round: self.round, is_trial: false }), None),
            CircuitState::Open if now < self.until => {
                return (Err(Refused { after: self.until.since(now) }), None);
            }
            CircuitState::Open => {
                (self.trials, self.succeeded) = (0, 0);
                change = Some(self.turn(CircuitState::HalfOpen, "its time open is over".into(), now));
            }
            CircuitState::HalfOpen => {}
        }
        if self.trials >= settings.trials {
            return (Err(Refused { after: TRIAL_WAIT }), change);
        }
        self.trials += 1;
        (Ok(Pass { round: self.round, is_trial: true }), change)
    }

    /// True if no request would get a pass at `now`.
    pub fn refuses(&self, settings: &Settings, now: Time) -> bool {
        match self.state {
            CircuitState::Closed => false,
            CircuitState::Open => now < self.until,
            CircuitState::HalfOpen => self.trials >= settings.trials,
        }
    }

    /// Takes back a pass that was a trial's.
    pub fn tried(
        &mut self,
        pass: Pass,
        outcome: Outcome,
        settings: &Settings,
        now: Time,
    ) -> Option<CircuitChange> {
        if !pass.is_trial || pass.round != self.round || self.state != CircuitState::HalfOpen {
            return None;
        }
        self.trials = self.trials.saturating_sub(1);
        let Outcome::Ended { failed, took, .. } = outcome else { return None };
        if failed && settings.failures.is_some() {
            return Some(self.open("a trial failed".into(), settings, now));
        }
        if is_slow(settings, took) {
            return Some(self.open(format!("a trial took {took:.1?}"), settings, now));
        }
        self.succeeded += 1;
        if self.succeeded < settings.trials {
            return None;
        }
        self.repeats = 0;
        Some(self.turn(CircuitState::Closed, format!("{} trials succeeded", self.succeeded), now))
    }

    /// Opens a closed circuit if what has ended within the window, such as requests, says so.
    pub fn judge(
        &mut self,
        (tally, of): (Tally, LiveTraffic),
        settings: &Settings,
        now: Time,
    ) -> Option<CircuitChange> {
        if self.state != CircuitState::Closed {
            return None;
        }
        let reason = verdict(tally, of, settings)?;
        Some(self.open(reason, settings, now))
    }

    fn open(&mut self, reason: String, settings: &Settings, now: Time) -> CircuitChange {
        let times = 1_u32.checked_shl(self.repeats).map_or(OPEN_TIMES_MAX, |n| n.min(OPEN_TIMES_MAX));
        self.repeats = (self.repeats + 1).min(OPEN_TIMES_MAX);
        self.round = self.round.wrapping_add(1);
        let open_for = settings.open_for.saturating_mul(times);
        self.until = now + open_for;
        self.turn(CircuitState::Open, format!("{reason}; open for {open_for:?}"), now)
    }

    fn turn(&mut self, to: CircuitState, reason: String, now: Time) -> CircuitChange {
        self.since = now;
        let from = std::mem::replace(&mut self.state, to);
        self.reason.clone_from(&reason);
        CircuitChange { from, to, reason }
    }
}

/// True if a request of this duration counts as slow.
pub(super) fn is_slow(settings: &Settings, took: Duration) -> bool {
    settings.slow.is_some() && took >= settings.slow_after
}

/// Why a circuit is to open; `None` if it is not.
pub(super) fn verdict(tally: Tally, of: LiveTraffic, settings: &Settings) -> Option<String> {
    let Tally { ended, failed, slow } = tally;
    if ended < settings.requests_min {
        return None;
    }
    let reaches = |count: u32, share: Option<u32>| {
        share.is_some_and(|share| u64::from(count) * 100 >= u64::from(share) * u64::from(ended))
    };
    let Settings { failures, slow: slow_share, slow_after, window, .. } = settings;
    let of = of.several();
    if reaches(failed, *failures) {
        return Some(format!("{failed} of {ended} {of} failed within {window:?}"));
    }
    reaches(slow, *slow_share)
        .then(|| format!("{slow} of {ended} {of} took {slow_after:?} or longer within {window:?}"))
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("circuit breaker is open")
    }
}
