//! How long the task of a connection is at work before others have their turn: one that has thousands of streams must not hold up
//! one that has a single one.

use std::pin::pin;
use std::task::Context;
use std::time::Duration;

use evenkeel_types::{Clock, Time};

/// How long a turn takes at most, but for what is begun by then.
const LENGTH: Duration = Duration::from_micros(200);

/// One turn of a task.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    clock: Clock,
    until: Time,
}

impl Turn {
    /// One that begins now.
    pub fn begin(clock: Clock) -> Self {
        Self { clock, until: clock.now() + LENGTH }
    }

    /// True if others are to have their turn. Reads the clock.
    pub fn is_over(&self) -> bool {
        self.clock.now() >= self.until
    }

    /// Has the task be polled again after all others that wait, and after those for which something has come meanwhile.
    pub fn pass(cx: &mut Context<'_>) {
        // A task that wakes itself would be polled again before the runtime looks for what has come, for some 60 polls.
        let passing = pin!(tokio::task::yield_now());
        let _ = passing.poll(cx);
    }
}
