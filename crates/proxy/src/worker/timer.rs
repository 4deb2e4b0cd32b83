//! One timer a connection, whatever waits: moving a deadline back costs nothing.
//!
//! A timer that was set for an earlier time is left where it is; when it fires too soon it is set again. So a
//! connection that serves a thousand requests touches the timer wheel a few times, not a few thousand.

use std::future::{Future, poll_fn};
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use evenkeel_net::Io;
use evenkeel_types::{Clock, Time};
use pin_project_lite::pin_project;
use tokio::task::coop;
use tokio::time::Sleep;

/// How long something may take.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// When it began, if the caller has just read the clock; else it begins when there is something to wait for.
    pub since: Option<Time>,
    /// From then on.
    pub after: Duration,
    /// Whatever it waits for: no longer than this point in time.
    pub at_most: Option<Time>,
}

impl From<Duration> for Limit {
    fn from(after: Duration) -> Self {
        Self { since: None, after, at_most: None }
    }
}

/// The time was up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed;

/// Why something could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteError {
    /// The connection failed.
    Failed,
    /// The peer took nothing for too long.
    Stalled,
    /// The peer took less than the minimum rate.
    TooSlow,
}

/// A timer for one wait at a time.
#[derive(Debug)]
pub struct Timer {
    clock: Clock,
    /// In a box, because a timer is moved often and armed seldom.
    armed: Option<Box<Armed>>,
}

pin_project! {
    /// Work that a limit may cut short. No async function, because that would take the room of its work twice.
    #[derive(Debug)]
    #[project = WithinProjection]
    pub struct Within<'t, F> {
        timer: &'t mut Timer,
        limit: Limit,
        deadline: Option<Time>,
        #[pin]
        work: F,
    }
}

/// A timer in the runtime's wheel.
#[derive(Debug)]
struct Armed {
    /// When it fires.
    at: Time,
    sleep: Pin<Box<Sleep>>,
    /// Whom it will wake: to ask it again before it fires is of no use.
    wakes: Option<Waker>,
}

impl Timer {
    /// A timer that is not set.
    pub fn new(clock: Clock) -> Self {
        Self { clock, armed: None }
    }

    /// Waits for `work`, which the limit may cut short. Reads the clock only when there is something to wait for.
    pub fn within<F: Future>(&mut self, limit: Limit, work: F) -> Within<'_, F> {
        Within { timer: self, limit, deadline: None, work }
    }

    /// Writes all of `slices`; only a stretch of time in which nothing at all could be written ends it early.
    ///
    /// # Errors
    /// The connection failed, or took nothing for as long as `limit` allows.
    pub async fn write_all(
        &mut self,
        limit: Limit,
        io: &Io,
        slices: &mut [IoSlice<'_>],
    ) -> Result<(), WriteError> {
        let mut left = slices;
        loop {
            match io.write_some(&mut left) {
                Ok(true) => return Ok(()),
                Ok(false) => match self.within(limit, poll_fn(|cx| io.poll_writable(cx))).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return Err(WriteError::Failed),
                    Err(Elapsed) => return Err(WriteError::Stalled),
                },
                Err(_) => return Err(WriteError::Failed),
            }
        }
    }

    /// True while the timer is set, and the task waits for it that has asked it last.
    pub fn still_waits(&self) -> bool {
        self.armed.as_ref().is_some_and(|armed| armed.wakes.is_some() && !armed.sleep.is_elapsed())
    }

    /// Another task, or another part of one, asks from now on.
    pub fn is_new_waker(&mut self) {
        if let Some(armed) = &mut self.armed {
            armed.wakes = None;
        }
    }

    /// Ready at `deadline`, not before.
    pub fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Time) -> Poll<()> {
        let clock = self.clock;
        let instant = |time| tokio::time::Instant::from_std(clock.instant(time));
        let armed = self.armed.get_or_insert_with(|| {
            let sleep = Box::pin(tokio::time::sleep_until(instant(deadline)));
            Box::new(Armed { at: deadline, sleep, wakes: None })
        });
        if deadline < armed.at {
            armed.set(deadline, instant(deadline));
        }
        while armed.poll(cx).is_ready() {
            if clock.now() >= deadline {
                self.armed = None;
                return Poll::Ready(());
            }
            armed.set(deadline, instant(deadline));
        }
        Poll::Pending
    }
}

impl<F: Future> Future for Within<'_, F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let WithinProjection { timer, limit, deadline, work } = self.project();
        if let Poll::Ready(output) = work.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        let deadline = *deadline.get_or_insert_with(|| {
            let after = limit.since.unwrap_or_else(|| timer.clock.now()) + limit.after;
            limit.at_most.map_or(after, |at_most| after.min(at_most))
        });
        timer.poll_until(cx, deadline).map(|()| Err(Elapsed))
    }
}

impl Armed {
    fn set(&mut self, at: Time, instant: tokio::time::Instant) {
        self.at = at;
        self.wakes = None;
        self.sleep.as_mut().reset(instant);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let waits = self.wakes.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if waits && !self.sleep.is_elapsed() {
            return Poll::Pending;
        }
        // A task that has had its budget is sent on without its timer having been set: it asks again.
        self.wakes = coop::has_budget_remaining().then(|| cx.waker().clone());
        self.sleep.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(test: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(test)
    }

    const SOON: Duration = Duration::from_millis(5);
    const NEVER: Duration = Duration::from_secs(3600);

    #[test]
    fn work_that_is_ready_beats_any_limit() {
        let mut timer = Timer::new(Clock::start());
        assert_eq!(run(timer.within(Duration::ZERO.into(), async { 1 })), Ok(1));
    }

    #[test]
    fn the_earlier_of_both_limits_counts_and_the_timer_serves_again() {
        run(async {
            let clock = Clock::start();
            let mut timer = Timer::new(clock);
            for limit in [
                Limit { at_most: Some(clock.now() + SOON), ..NEVER.into() },
                Limit { at_most: Some(clock.now() + NEVER), ..SOON.into() },
                Limit { since: Some(clock.now()), ..SOON.into() },
                SOON.into(),
            ] {
                let before = clock.now();
                assert_eq!(timer.within(limit, std::future::pending::<()>()).await, Err(Elapsed));
                assert!(clock.now() - before < NEVER);
            }
        });
    }

    #[test]
    fn a_timer_that_is_set_without_budget_fires_all_the_same() {
        run(async {
            let clock = Clock::start();
            let mut timer = Timer::new(clock);
            let mut spent = false;
            let work = poll_fn(|cx| {
                // Once, as reads of a busy connection do.
                while !spent && coop::has_budget_remaining() {
                    std::task::ready!(coop::poll_proceed(cx)).made_progress();
                }
                spent = true;
                Poll::<()>::Pending
            });
            let waited = timer.within(SOON.into(), work);
            assert_eq!(tokio::time::timeout(400 * SOON, waited).await, Ok(Err(Elapsed)));
        });
    }

    #[test]
    fn a_timer_set_for_earlier_does_not_end_a_longer_wait() {
        run(async {
            let clock = Clock::start();
            let mut timer = Timer::new(clock);
            // Arms the timer, and leaves it armed.
            assert!(timer.within(SOON.into(), tokio::task::yield_now()).await.is_ok());
            let before = clock.now();
            let longer = 4 * SOON;
            assert_eq!(timer.within(longer.into(), std::future::pending::<()>()).await, Err(Elapsed));
            assert!(clock.now() - before >= longer);
        });
    }
}
