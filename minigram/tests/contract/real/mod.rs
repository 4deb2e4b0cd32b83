//! The engines that are processes of their own pass the contracts, and go on after a crash.

use std::sync::atomic::{AtomicU32, Ordering};

mod nats;
mod postgres;
mod redis;
mod s3;

/// Separates what tests keep in one server.
fn prefix() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("test-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}
