//! The least that a stream must move: how long it has waited, and how much came of it.

use evenkeel_types::Time;

use crate::config::Pace;

/// How one direction of a stream gets on while it waits for the peer.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    /// Since when it waits; 0 if it does not.
    since_ns: u64,
    bytes: u64,
}

impl Progress {
    /// It waits, from now on unless it did already.
    pub(crate) fn wait(&mut self, now: Time) {
        if self.since_ns == 0 {
            *self = Self { since_ns: now.as_nanos().max(1), bytes: 0 };
        }
    }

    /// It does not wait any more.
    pub(crate) fn go(&mut self) {
        self.since_ns = 0;
    }

    /// Bytes have moved.
    #[inline]
    pub(crate) fn moved(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// True if it is too slow.
    pub(crate) fn is_too_slow(&self, pace: Pace, now: Time) -> bool {
        if self.since_ns == 0 {
            return false;
        }
        let waited = now.since(Time::from_nanos(self.since_ns));
        waited >= pace.grace && self.bytes < u64::from(pace.rate_min).saturating_mul(waited.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_byte_every_ten_seconds_is_too_slow() {
        let pace = Pace { rate_min: 100, grace: Duration::from_secs(20) };
        let mut progress = Progress::default();
        let start = Time::from_millis(1);
        assert!(!progress.is_too_slow(pace, start + Duration::from_secs(100)));
        progress.wait(start);
        progress.moved(2);
        progress.wait(start + Duration::from_secs(10));
        assert!(!progress.is_too_slow(pace, start + Duration::from_secs(19)));
        assert!(progress.is_too_slow(pace, start + Duration::from_secs(20)));
        progress.moved(3000);
        assert!(!progress.is_too_slow(pace, start + Duration::from_secs(20)));
        progress.go();
        assert!(!progress.is_too_slow(pace, start + Duration::from_secs(1000)));
    }
}
