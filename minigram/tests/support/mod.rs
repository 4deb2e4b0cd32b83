//! Servers that tests start: as ordinary users, on free ports, with a directory of their own, ended with the test.

pub mod nats;
#[allow(dead_code)]
pub mod postgres;
pub mod process;
pub mod redis;
pub mod s3;

use std::sync::{Arc, Mutex, PoisonError, Weak};

/// One server for all tests that run at a time: it starts with the first, and ends with the last.
pub struct Shared<T>(Mutex<Weak<T>>);

impl<T> Shared<T> {
    pub const fn new() -> Self {
        Self(Mutex::new(Weak::new()))
    }

    /// The server; `start` starts it if it does not run.
    pub fn get(&self, start: impl FnOnce() -> T) -> Arc<T> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.upgrade().unwrap_or_else(|| {
            let started = Arc::new(start());
            *running = Arc::downgrade(&started);
            started
        })
    }
}
