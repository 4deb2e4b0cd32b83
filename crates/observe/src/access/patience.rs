//! How long a destination of the access log that takes nothing is waited for.

use std::thread;
use std::time::Duration;

/// How often a destination in non-blocking mode (a pipe shared with a program that set it so) is asked again before
/// lines are given up; once if it has failed before.
const WOULD_BLOCK_RETRIES_MAX: u32 = 100;
const WOULD_BLOCK_PAUSE: Duration = Duration::from_millis(10);

/// How often a destination in non-blocking mode is asked again.
#[derive(Debug)]
pub(super) struct Patience {
    retries: u32,
    max: u32,
}

impl Patience {
    /// With a destination that has failed just now, or has not.
    pub(super) fn new(is_failing: bool) -> Self {
        Self { retries: 0, max: if is_failing { 1 } else { WOULD_BLOCK_RETRIES_MAX } }
    }

    /// Waits a little, if the destination is to be asked once more.
    pub(super) fn wait(&mut self) -> bool {
        self.retries += 1;
        let goes_on = self.retries <= self.max;
        if goes_on {
            thread::sleep(WOULD_BLOCK_PAUSE);
        }
        goes_on
    }

    /// The destination has taken something.
    pub(super) fn begin_anew(&mut self) {
        self.retries = 0;
    }
}
