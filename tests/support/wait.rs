//! Waiting for conditions with a deadline, so that no test sleeps for a fixed time.

use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long any single wait may take before the test fails: generous, since test machines are busy.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// `n` milliseconds.
pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Polls `condition` until it holds; fails the test with `what` when it does not within [`DEADLINE`].
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        thread::sleep(ms(5));
    }
}

/// Something that threads wait for until a test opens it.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Lets all through, now and later.
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Waits for [`Gate::open`]; longer than any test waits, so that none passes because a gate gave up.
    pub fn wait(&self) {
        let shut = self.0.0.lock().unwrap();
        drop(self.0.1.wait_timeout_while(shut, 2 * DEADLINE, |open| !*open).unwrap());
    }

    /// True if it is opened within [`DEADLINE`].
    pub fn opens(&self) -> bool {
        let shut = self.0.0.lock().unwrap();
        *self.0.1.wait_timeout_while(shut, DEADLINE, |open| !*open).unwrap().0
    }
}
