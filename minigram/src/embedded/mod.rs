//! Every port inside the process: what `up` starts with nothing else installed, and what tests run on.
//!
//! Users, photos and jobs are in SQLite files and survive the process. Sessions, cache and bus live in memory and end
//! with it. Blobs are files.

pub mod blobs;
pub mod bus;
pub mod cache;
pub mod queue;
pub mod sessions;
mod sqlite;
pub mod store;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The data behind a lock. No holder of these locks panics half-way through a change, so a poisoned one is as good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
