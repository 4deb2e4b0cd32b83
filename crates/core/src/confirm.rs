//! When a configuration that awaits its confirmation goes back: its time is over, or errors jump.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use evenkeel_types::Time;

/// Over what time errors are counted before a change; also the most recent errors after it are counted over this time.
const WINDOW: Duration = Duration::from_secs(60);
/// Requests after a change that say enough about it.
const REQUESTS_MIN: u64 = 20;
/// Errors after a change that are more than an accident.
const ERRORS_MIN: u64 = 10;
/// By how much the share of errors must grow: 5 in 100 requests.
const RISE_MIN: f64 = 0.05;
/// How many standard deviations the share of errors must be away from what it was.
const DEVIATIONS_MIN: f64 = 3.0;

/// How many requests there were, and how many of them failed: 5xx, and those that no route took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that have ended.
    pub requests: u64,
    /// Those of them that failed.
    pub errors: u64,
}

impl Counts {
    /// What has come since `before`. What was forgotten meanwhile counts as nothing.
    pub fn since(self, before: Self) -> Self {
        let requests = self.requests.saturating_sub(before.requests);
        Self { requests, errors: self.errors.saturating_sub(before.errors).min(requests) }
    }

    /// The share of errors, from 0 to 1; 0 without a request.
    fn ratio(self) -> f64 {
        if self.requests == 0 { 0.0 } else { self.errors as f64 / self.requests as f64 }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} requests ({:.1} %)", self.errors, self.requests, self.ratio() * 100.0)
    }
}

/// True if errors are so much more frequent `after` a change than `before` it that chance does not explain it.
fn jumps(before: Counts, after: Counts) -> bool {
    if after.requests < REQUESTS_MIN || after.errors < ERRORS_MIN {
        return false;
    }
    let (usual, now) = (before.ratio(), after.ratio());
    let deviation = (usual * (1.0 - usual) / after.requests as f64).sqrt();
    now - usual >= RISE_MIN.max(DEVIATIONS_MIN * deviation)
}

/// Counts of the last minute, so that what comes after a change can be compared with what came before it.
#[derive(Debug, Clone, Default)]
pub struct History(VecDeque<(Time, Counts)>);

impl History {
    /// Takes in the counts of this moment.
    pub fn note(&mut self, now: Time, counts: Counts) {
        while self.0.get(1).is_some_and(|(at, _)| now.since(*at) >= WINDOW) {
            self.0.pop_front();
        }
        self.0.push_back((now, counts));
    }

    /// What has come within about the last minute.
    fn recent(&self, now: Counts) -> Counts {
        self.0.front().map_or(Counts::default(), |(_, before)| now.since(*before))
    }

    /// What came within the minute before the last [`note`](Self::note).
    pub fn latest(&self) -> Counts {
        self.0.back().map_or(Counts::default(), |(_, latest)| self.recent(*latest))
    }
}

/// That a change awaits its confirmation, for others to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Awaiting {
    /// When it goes back by itself.
    pub until: Time,
    /// The generation that it would go back to; that has a new number then.
    pub before: u64,
}

/// A change that goes back unless it is confirmed.
#[derive(Debug, Clone)]
pub struct Trial {
    /// When it goes back by itself.
    pub until: Time,
    within: Duration,
    before: Counts,
    since: Counts,
    history: History,
}

/// Why a change goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoBack {
    /// It was not confirmed within this time.
    Late(Duration),
    /// Errors jumped: so many before, so many after.
    Errors {
        /// Within the minute before the change.
        before: Counts,
        /// After the change.
        after: Counts,
    },
    /// The operator wants it.
    Operator,
}

impl GoBack {
    /// True if errors are the reason.
    pub fn is_for_errors(self) -> bool {
        matches!(self, Self::Errors { .. })
    }
}

impl fmt::Display for GoBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late(within) => write!(f, "it was not confirmed within {} s", within.as_secs()),
            Self::Errors { before, after } => write!(
                f,
                "errors jumped: {after} failed after the reload, {before} within the minute before it"
            ),
            Self::Operator => f.write_str("the operator wants it"),
        }
    }
}

impl Trial {
    /// A change that was made `now` and is to be confirmed `within` this time. `before` came in the minute before it; the
    /// counts are at `since`.
    pub fn new(now: Time, within: Duration, before: Counts, since: Counts) -> Self {
        let mut history = History::default();
        history.note(now, since);
        Self { until: now + within, within, before, since, history }
    }

    /// Whether the change is to go back now that the counts are at `counts`.
    pub fn poll(&mut self, now: Time, counts: Counts) -> Option<GoBack> {
        self.history.note(now, counts);
        let Self { before, .. } = *self;
        // Later the recent ones show what the whole hides.
        for after in [counts.since(self.since), self.history.recent(counts)] {
            if jumps(before, after) {
                return Some(GoBack::Errors { before, after });
            }
        }
        (now >= self.until).then_some(GoBack::Late(self.within))
    }
}

#[cfg(test)]
#[path = "confirm_tests.rs"]
mod tests;
