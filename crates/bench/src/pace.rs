//! Who may send next, and when: connections take turns, each at the intended start of its request.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;
use tokio::sync::Mutex;

use crate::schedule::Schedule;

/// The turns of one thread.
pub struct Pace {
    begun: Instant,
    /// Absent in a closed loop.
    schedule: Option<Schedule>,
    /// When no more requests start, since the begin.
    end: Option<Duration>,
    /// Requests of the whole run at most.
    limit: Option<u64>,
    /// The number of the next request; the threads share the numbers out among themselves.
    next: Cell<u64>,
    step: u64,
    timer: Mutex<Timer>,
}

/// Leave to send one request. Times are since the begin of the run.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// When the request should start. In a closed loop, when it does.
    pub intended: Duration,
    /// When it does.
    pub sent: Duration,
    /// How much later it starts than the connection was free for it: the generator's own delay.
    pub lateness: Duration,
    /// No connection was free at the intended start.
    pub waited: bool,
}

impl Pace {
    /// The turns of thread `thread` of `threads`.
    ///
    /// # Errors
    /// The system has no timer.
    pub fn new(
        begun: Instant,
        schedule: Option<Schedule>,
        end: Option<Duration>,
        limit: Option<u64>,
        (thread, threads): (u64, u64),
    ) -> io::Result<Self> {
        let timer = Mutex::new(Timer::new()?);
        Ok(Self { begun, schedule, end, limit, next: Cell::new(thread), step: threads, timer })
    }

    /// The time since the begin.
    pub fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Waits for the next turn; `None` when the run is over.
    ///
    /// # Errors
    /// The timer broke.
    pub async fn turn(&self) -> io::Result<Option<Turn>> {
        let free = self.now();
        let number = self.next.get();
        if self.limit.is_some_and(|limit| number >= limit) {
            return Ok(None);
        }
        let Some(schedule) = &self.schedule else {
            if self.end.is_some_and(|end| free >= end) {
                return Ok(None);
            }
            self.next.set(number + self.step);
            return Ok(Some(Turn { intended: free, sent: free, lateness: Duration::ZERO, waited: false }));
        };
        // Fair: the connection that was free first sends first.
        let timer = self.timer.lock().await;
        let number = self.next.get();
        let Some(intended) = schedule.start_of(number) else { return Ok(None) };
        let over = |at| self.end.is_some_and(|end| at >= end);
        if over(intended) || over(self.now()) || self.limit.is_some_and(|limit| number >= limit) {
            return Ok(None);
        }
        self.next.set(number + self.step);
        timer.until(intended.saturating_sub(self.now())).await?;
        drop(timer);
        let sent = self.now().max(intended);
        Ok(Some(Turn { intended, sent, lateness: sent - intended.max(free), waited: free > intended }))
    }

    /// How many requests should have started before `end` and never did, because no connection was free.
    pub fn never_started(&self, end: Duration) -> u64 {
        let Some(schedule) = &self.schedule else { return 0 };
        let next = self.next.get();
        let due = schedule.due(self.end.map_or(end, |planned| planned.min(end)), next, self.step);
        match self.limit {
            Some(limit) => due.min(limit.saturating_sub(next).div_ceil(self.step)),
            None => due,
        }
    }
}

/// A timer of the kernel: that of tokio counts in whole milliseconds, which is longer than many a response takes.
struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    // What replaces it is unsafe, and asks for what an owned descriptor keeps: it stays open while it is registered.
    #[expect(deprecated)]
    fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        AsyncFd::new(timerfd_create(TimerfdClockId::Monotonic, flags)?).map(Self)
    }

    async fn until(&self, left: Duration) -> io::Result<()> {
        if left.is_zero() {
            return Ok(());
        }
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
        let it_value = Timespec { tv_sec: seconds, tv_nsec: left.subsec_nanos().into() };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: zero, it_value })?;
        loop {
            let mut ready = self.0.readable().await?;
            let read = ready.try_io(|timer| Ok(rustix::io::read(timer, &mut [0_u8; 8])?));
            if let Ok(read) = read {
                return read.map(|_| ());
            }
        }
    }
}
