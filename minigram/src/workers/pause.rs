//! The pause after a failed call to an engine: longer with each failure, and over when the process should leave.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::timeout;

use crate::leave::Leave;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// How long the next pause is.
#[derive(Debug)]
pub struct Pause {
    next: Duration,
}

impl Pause {
    /// No call has failed yet.
    pub fn new() -> Self {
        Self { next: FIRST }
    }

    /// A call succeeded.
    pub fn over(&mut self) {
        self.next = FIRST;
    }

    /// Logs the error, and waits: between half and all of a time that doubles with each failure in a row.
    pub async fn after(&mut self, error: &impl Display, what: &str, topic: &str, leave: &mut Leave) {
        tracing::warn!(%error, topic, pause_ms = self.next.as_millis(), "{what}");
        let pause = self.next.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.next = (self.next * 2).min(LONGEST);
        drop(timeout(pause, leave.requested()).await);
    }
}
