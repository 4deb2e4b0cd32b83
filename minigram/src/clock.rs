//! Time as a value, and the clock that engines read it from, so that tests of expiry need not wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time(pub u64);

impl Time {
    /// The time `span` after this one, rounded up to a millisecond.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        let ms = u64::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(ms))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// As RFC 3339 writes it, in UTC with milliseconds.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let (day, ms) = (self.0 / 86_400_000, self.0 % 86_400_000);
        let (year, month, day) = civil(day);
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1000)
    }

    /// As SQL databases keep it.
    #[must_use]
    pub fn to_sql(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// From what [`Time::to_sql`] wrote.
    #[must_use]
    pub fn from_sql(ms: i64) -> Self {
        Self(u64::try_from(ms).unwrap_or(0))
    }
}

/// Year, month and day of the Gregorian calendar, so many days after 1970-01-01. Counts in eras of 400 years that
/// begin in March, so that the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Where an engine reads the time.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that moves only by [`Clock::advance`]; its clones move with it.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// A manual clock that shows `start`.
    #[must_use]
    pub fn manual(start: Time) -> Self {
        Self::Manual(Arc::new(AtomicU64::new(start.0)))
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Time {
        match self {
            Self::System => {
                let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
                Time(u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
            }
            Self::Manual(ms) => Time(ms.load(Ordering::SeqCst)),
        }
    }

    /// Moves a manual clock; the machine's clock moves by itself.
    pub fn advance(&self, span: Duration) {
        if let Self::Manual(ms) = self {
            ms.fetch_add(Time(0).plus(span).0, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_rfc_3339_has_it() {
        let check = |ms, expected: &str| assert_eq!(Time(ms).rfc3339(), expected);
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(951_868_799_999, "2000-02-29T23:59:59.999Z");
        check(1_780_000_000_000, "2026-05-28T20:26:40.000Z");
        check(4_107_542_400_000, "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn a_manual_clock_moves_with_its_clones_and_rounds_up() {
        let clock = Clock::manual(Time(1000));
        let clone = clock.clone();
        clock.advance(Duration::from_micros(1500));
        assert_eq!(clone.now(), Time(1002));
        assert_eq!(clone.now().since(Time(1000)), Duration::from_millis(2));
        assert_eq!(Time(1000).since(clone.now()), Duration::ZERO);
    }
}
