//! What people want to know of one server beyond numbers: how it failed lately, and what its last check came to.

use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use evenkeel_types::cut;

/// Failures of one server that are kept.
pub const FAILURES_MAX: usize = 5;
/// Bytes of a reason.
const REASON_BYTES_MAX: usize = 200;

/// Notes on one server. A note of a failure is left out while another thread holds the lock: it says nothing new then.
#[derive(Debug, Default)]
pub struct ServerNotes(Mutex<Notes>);

/// The notes at one moment.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    /// The last check of its health.
    pub check: Option<Check>,
    /// The last failures, the newest first; those of the same kind in a row are one.
    pub failures: VecDeque<FailureNote>,
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// When it ended, in seconds since the Unix epoch.
    pub at: f64,
    /// How long it took.
    pub took: Duration,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

/// A failure, or several of the same kind in a row.
#[derive(Debug, Clone, PartialEq)]
pub struct FailureNote {
    /// When the last of them was, in seconds since the Unix epoch.
    pub at: f64,
    /// What failed, and how.
    pub what: String,
    /// How many they are.
    pub times: u64,
}

impl ServerNotes {
    /// Notes what a check came to, after this time.
    pub fn checked(&self, took: Duration, failure: Option<String>) {
        let failure = failure.map(|failure| cut(&failure, REASON_BYTES_MAX));
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reason) = &failure {
            notes.add(format!("check: {reason}"));
        }
        notes.check = Some(Check { at: now(), took, failure });
    }

    /// Notes that a request or connection failed on it.
    #[cold]
    pub fn failed(&self, reason: &impl Display) {
        let Ok(mut notes) = self.0.try_lock() else { return };
        notes.add(cut(&reason.to_string(), REASON_BYTES_MAX));
    }

    /// The notes now.
    pub fn read(&self) -> Notes {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Notes {
    fn add(&mut self, what: String) {
        match self.failures.front_mut() {
            Some(last) if last.what == what => (last.at, last.times) = (now(), last.times + 1),
            _ => {
                self.failures.truncate(FAILURES_MAX - 1);
                self.failures.push_front(FailureNote { at: now(), what, times: 1 });
            }
        }
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_last_five_kinds_of_failures_are_kept_and_counted() {
        let notes = ServerNotes::default();
        for status in [500, 501, 502, 503, 503, 503, 504, 505] {
            notes.failed(&format!("status {status}"));
        }
        let kept: Vec<_> = notes.read().failures.into_iter().map(|note| (note.what, note.times)).collect();
        let expected = [("505", 1), ("504", 1), ("503", 3), ("502", 1), ("501", 1)];
        assert_eq!(kept, expected.map(|(status, times)| (format!("status {status}"), times)));
        assert_eq!(notes.read().check, None);
    }

    #[test]
    fn the_last_check_is_kept_with_its_time_and_a_failed_one_is_a_failure_too() {
        let notes = ServerNotes::default();
        notes.checked(Duration::from_millis(7), Some("é".repeat(200)));
        let check = notes.read().check.unwrap();
        assert_eq!(check.took, Duration::from_millis(7));
        assert!(check.at > 1.7e9 && check.failure.unwrap().len() <= REASON_BYTES_MAX);
        assert!(notes.read().failures[0].what.starts_with("check: é"));
        notes.checked(Duration::from_millis(8), None);
        assert_eq!((notes.read().check.unwrap().failure, notes.read().failures.len()), (None, 1));
    }
}
