//! What is counted of how a pool discovers its servers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::counter::{Gauge, SharedCounter};

/// The figures of one pool that discovers servers. The control thread alone writes them.
#[derive(Debug, Default)]
pub struct DiscoveryFigures {
    /// Servers of the last good answer.
    pub servers: Gauge,
    /// 1 when the last question was answered, else 0.
    pub up: Gauge,
    /// Questions that were not answered, or not in full.
    pub failures: SharedCounter,
    /// When all was answered for the last time, in milliseconds since the Unix epoch; 0 if never.
    succeeded_ms: Gauge,
}

impl DiscoveryFigures {
    /// Counts a question, and how many servers are known after it.
    pub fn asked(&self, is_success: bool, servers: usize) {
        self.servers.set(i64::try_from(servers).unwrap_or(i64::MAX));
        self.up.set(i64::from(is_success));
        if !is_success {
            return self.failures.increment();
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        self.succeeded_ms.set(i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
    }

    /// When all was answered for the last time, in seconds since the Unix epoch; 0 if never.
    pub fn succeeded_s(&self) -> f64 {
        self.succeeded_ms.value() as f64 / 1e3
    }
}
