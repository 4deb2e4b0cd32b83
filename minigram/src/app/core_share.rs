//! A share of a core for a server that has a thread of its own: it answers as one on a smaller machine would. So several servers
//! can be compared on one machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tokio::sync::Mutex;
use tokio::time::sleep;

/// How much of its share a server that was idle may use at once.
const BURST: Duration = Duration::from_millis(20);

/// The share of a core that the thread of a server may use.
#[derive(Debug)]
pub(crate) struct CoreShare {
    /// Requests have their turn in the order in which they came.
    budget: Mutex<Budget>,
}

/// CPU time that may still be used; less than nothing if more was used than that.
#[derive(Debug)]
struct Budget {
    share: f64,
    left: f64,
    /// When `left` was reckoned, and what the thread had used then.
    at: Instant,
    used: Duration,
}

impl CoreShare {
    /// `share` of a core, more than 0 and at most 1. Must be called on the server's thread.
    pub(crate) fn new(share: f64) -> Self {
        let budget = Budget { share, left: BURST.as_secs_f64(), at: Instant::now(), used: used() };
        Self { budget: Mutex::new(budget) }
    }
}

/// A request begins when there is CPU time for it.
pub(crate) async fn within_share(
    State(core): State<Arc<CoreShare>>,
    request: Request,
    next: Next,
) -> Response {
    let mut budget = core.budget.lock().await;
    while let Some(wait) = budget.wait(Instant::now(), used()) {
        sleep(wait).await;
    }
    drop(budget);
    next.run(request).await
}

impl Budget {
    /// How long there is nothing left, if so, when the thread has used so much until now.
    fn wait(&mut self, now: Instant, used: Duration) -> Option<Duration> {
        let gained = self.share * now.saturating_duration_since(self.at).as_secs_f64();
        let spent = used.saturating_sub(self.used).as_secs_f64();
        self.left = (self.left + gained).min(BURST.as_secs_f64()) - spent;
        (self.at, self.used) = (now, used);
        (self.left < 0.0).then(|| Duration::from_secs_f64(-self.left / self.share))
    }
}

/// CPU time of this thread so far.
fn used() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_beyond_the_share_is_waited_for() {
        let (begun, ms) = (Instant::now(), Duration::from_millis);
        let mut budget = Budget { share: 0.1, left: 0.02, at: begun, used: ms(0) };
        assert_eq!(budget.wait(begun, ms(20)), None);
        let wait = budget.wait(begun, ms(25)).expect("5 ms more than there were");
        assert!(wait.abs_diff(ms(50)) < ms(1), "{wait:?}");
        assert!(budget.wait(begun + ms(49), ms(25)).is_some());
        assert_eq!(budget.wait(begun + ms(51), ms(25)), None);
        // A rest does not add up beyond the burst.
        assert_eq!(budget.wait(begun + ms(100_000), ms(25)), None);
        let wait = budget.wait(begun + ms(100_000), ms(55)).expect("10 ms more than the burst");
        assert!(wait.abs_diff(ms(100)) < ms(1), "{wait:?}");
    }
}
