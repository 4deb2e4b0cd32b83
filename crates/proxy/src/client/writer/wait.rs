//! Waiting for a client to take more of a response, and no longer than it may make us wait.

use std::future::Future;
use std::io::IoSlice;
use std::time::Duration;

use evenkeel_net::Io;

use crate::body::RATE_GRACE;
use crate::worker::Worker;
use crate::worker::timer::{Elapsed, Limit, Timer, WriteError};

/// The waits for one client within one response.
#[derive(Debug)]
pub struct ClientWait {
    /// For one wait at a time, whatever it is for.
    pub timer: Timer,
    /// How long the client may take nothing at all.
    stall: Duration,
    /// How long we have waited for it while there was something to send.
    waited: Duration,
    /// False for a tunnel, which has no minimum rate.
    has_rate: bool,
}

/// Where a response stands while it waits.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'w> {
    /// Whose clock and configuration count.
    pub worker: &'w Worker,
    /// Bytes of the body that the client takes, or has before it when they are sent.
    pub bytes: u64,
}

impl ClientWait {
    /// No wait yet. The client may take nothing for as long as `stall`.
    pub fn new(timer: Timer, stall: Duration) -> Self {
        Self { timer, stall, waited: Duration::ZERO, has_rate: true }
    }

    /// Asks for no minimum rate from here on: the connection or stream becomes a tunnel.
    pub fn lift_rate(&mut self) {
        self.has_rate = false;
    }

    /// Waits for `room` while `left` of the bytes in `progress` are not sent. Only these waits count for the average rate,
    /// so a slow server is not taken for a slow client.
    ///
    /// # Errors
    /// The client took nothing for too long, or has taken less than `limits.body_rate` on average.
    pub async fn wait<F: Future>(
        &mut self,
        Progress { worker, bytes }: Progress<'_>,
        left: usize,
        room: F,
    ) -> Result<F::Output, WriteError> {
        let _held = worker.unsent.hold(left);
        let rate_min = if self.has_rate { worker.view().snapshot.config.limits.body_rate } else { 0 };
        let allowed = longest_wait(bytes.saturating_sub(left as u64), rate_min);
        let since = worker.clock.now();
        let at_most = allowed.map(|allowed| since + allowed.saturating_sub(self.waited));
        let limit = Limit { since: Some(since), after: self.stall, at_most };
        let ended = self.timer.within(limit, room).await;
        self.waited += worker.clock.now() - since;
        ended.map_err(|Elapsed| match allowed {
            Some(allowed) if self.waited >= allowed => WriteError::TooSlow,
            _ => WriteError::Stalled,
        })
    }

    /// Writes all of `slices`.
    ///
    /// # Errors
    /// Those of [`wait`](Self::wait), or the connection failed.
    pub async fn write_all(
        &mut self,
        progress: Progress<'_>,
        io: &Io,
        slices: &mut [IoSlice<'_>],
    ) -> Result<(), WriteError> {
        let mut left = slices;
        while !io.write_some(&mut left).map_err(|_| WriteError::Failed)? {
            let bytes = left.iter().map(|slice| slice.len()).sum();
            let room = std::future::poll_fn(|cx| io.poll_writable(cx));
            // In a box, because the kernel takes most responses at once.
            Box::pin(self.wait(progress, bytes, room)).await?.map_err(|_| WriteError::Failed)?;
        }
        Ok(())
    }
}

/// How long we may wait in all for a client that has taken `taken` bytes, and must take `rate_min` a second; `None` if
/// there is no minimum.
fn longest_wait(taken: u64, rate_min: u64) -> Option<Duration> {
    let seconds = taken.checked_div(rate_min)?.saturating_add(1);
    Some(RATE_GRACE.max(Duration::from_secs(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_may_make_us_wait_as_long_as_its_average_is_kept() {
        let seconds = |taken, rate| longest_wait(taken, rate).map(|wait| wait.as_secs());
        assert_eq!(seconds(u64::MAX, 0), None);
        assert_eq!(seconds(0, 100), Some(RATE_GRACE.as_secs()));
        assert_eq!(seconds(999, 100), Some(RATE_GRACE.as_secs()));
        assert_eq!(seconds(6_000, 100), Some(61));
        assert!(seconds(u64::MAX, 1).is_some());
    }
}
