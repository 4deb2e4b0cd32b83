//! The part of `/status` on the last failures of a server, and on its last check.

use evenkeel_observe::Notes;
use serde::Serialize;
use utoipa::ToSchema;

use crate::rounded::rounded;

/// Of one server.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServerNotes {
    /// The last check of its health. Only of one that was checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<Check>,
    /// Its last failures, the newest first, at most five.
    failures: Vec<Failure>,
}

/// A check of a server's health.
#[derive(Debug, Serialize, ToSchema)]
struct Check {
    /// When it ended, in seconds since the Unix epoch.
    at: f64,
    passed: bool,
    /// `passed`, or why it failed.
    answer: String,
    latency_ms: f64,
}

/// A failure, or several of the same kind in a row.
#[derive(Debug, Serialize, ToSchema)]
struct Failure {
    /// When the last of them was, in seconds since the Unix epoch.
    at: f64,
    what: String,
    times: u64,
}

impl From<Notes> for ServerNotes {
    fn from(notes: Notes) -> Self {
        let check = notes.check.map(|check| Check {
            at: rounded(check.at),
            passed: check.failure.is_none(),
            answer: check.failure.unwrap_or_else(|| "passed".into()),
            latency_ms: rounded(check.took.as_secs_f64() * 1e3),
        });
        let failures = notes.failures.into_iter();
        let failures = failures.map(|failure| Failure {
            at: rounded(failure.at),
            what: failure.what,
            times: failure.times,
        });
        Self { check, failures: failures.collect() }
    }
}
