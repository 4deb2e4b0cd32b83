//! Time as a value: the pure core is handed a [`Time`] and never reads a clock.

use std::ops::{Add, Sub};
use std::time::{Duration, Instant};

/// A point in time, in nanoseconds since the process (or the simulation) began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

impl Time {
    /// The beginning of time.
    pub const ZERO: Time = Time(0);

    /// The point `ns` nanoseconds after the beginning.
    pub const fn from_nanos(ns: u64) -> Self {
        Self(ns)
    }

    /// The point `ms` milliseconds after the beginning.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms * 1_000_000)
    }

    /// Nanoseconds since the beginning.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it lies in the future.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, rhs: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Time {
    type Output = Duration;

    fn sub(self, rhs: Time) -> Duration {
        self.since(rhs)
    }
}

/// The real clock: turns [`Instant`]s into [`Time`]s. One per process, copied to the parts that do IO.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    base: Instant,
    /// The same moment by the system's monotonic clock, in nanoseconds.
    base_ns: u64,
}

impl Clock {
    /// A clock whose time begins now.
    pub fn start() -> Self {
        Self { base: Instant::now(), base_ns: monotonic_ns() }
    }

    /// The current time. Read straight from the system: twice as fast as the difference of two [`Instant`]s.
    #[inline]
    pub fn now(self) -> Time {
        Time(monotonic_ns().saturating_sub(self.base_ns))
    }

    /// The time of `instant`; the beginning if it lies before that.
    pub fn at(self, instant: Instant) -> Time {
        let since = instant.saturating_duration_since(self.base);
        Time(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    /// The instant of `time`, for timers.
    pub fn instant(self, time: Time) -> Instant {
        self.base + Duration::from_nanos(time.0)
    }
}

/// What the system's monotonic clock says; it begins at boot and does not run backwards.
#[inline]
fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
