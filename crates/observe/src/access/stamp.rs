//! Times as the log formats write them, computed once a second.

use std::fmt;
use std::io::Write;

use evenkeel_types::three_digits;

const DAY_S: u64 = 86_400;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The last second that was written, in both forms.
#[derive(Debug)]
pub(super) struct Stamp {
    second: u64,
    /// `2026-11-20T16:39:24.000Z`
    rfc3339: [u8; 24],
    /// `20/Nov/2026:16:39:24 +0000`
    clf: [u8; 26],
}

impl Stamp {
    pub(super) fn new() -> Self {
        let mut stamp = Self { second: 0, rfc3339: [0; 24], clf: [0; 26] };
        stamp.render();
        stamp
    }

    /// RFC 3339 in UTC with milliseconds, from nanoseconds since the Unix epoch.
    #[inline]
    pub(super) fn rfc3339(&mut self, unix_ns: u64) -> [u8; 24] {
        self.turn_to(unix_ns);
        let mut text = self.rfc3339;
        text[20..23].copy_from_slice(&three_digits(unix_ns % 1_000_000_000 / 1_000_000));
        text
    }

    /// The common log format's time, without its brackets.
    pub(super) fn clf(&mut self, unix_ns: u64) -> [u8; 26] {
        self.turn_to(unix_ns);
        self.clf
    }

    #[inline]
    fn turn_to(&mut self, unix_ns: u64) {
        let second = unix_ns / 1_000_000_000;
        if second != self.second {
            self.second = second;
            self.render();
        }
    }

    #[cold]
    fn render(&mut self) {
        let (year, month, day) = civil(self.second / DAY_S);
        let time = TimeOfDay(self.second);
        let name = MONTHS[month as usize - 1];
        // Both fit: 64 bits of nanoseconds end in the year 2554.
        let _ = write!(&mut self.rfc3339[..], "{year:04}-{month:02}-{day:02}T{time}.000Z");
        let _ = write!(&mut self.clf[..], "{day:02}/{name}/{year:04}:{time} +0000");
    }
}

/// RFC 3339 in UTC, from seconds since the Unix epoch.
pub fn rfc3339(unix_s: u64) -> String {
    let (year, month, day) = civil(unix_s / DAY_S);
    format!("{year:04}-{month:02}-{day:02}T{}Z", TimeOfDay(unix_s))
}

/// `16:39:24`, of seconds since the Unix epoch.
struct TimeOfDay(u64);

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, minute, second) = (self.0 / 3_600 % 24, self.0 / 60 % 60, self.0 % 60);
        write!(f, "{hour:02}:{minute:02}:{second:02}")
    }
}

/// Year, month (1 to 12) and day of the proleptic Gregorian calendar from days since 1970-01-01: the algorithm
/// `civil_from_days` of Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms".
fn civil(days: u64) -> (u64, u64, u64) {
    let from_march_0000 = days + 719_468;
    let (era, day_of_era) = (from_march_0000 / 146_097, from_march_0000 % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference values from `date -u -d @SECONDS`.
    #[test]
    fn known_moments_are_written_as_date_writes_them() {
        let mut stamp = Stamp::new();
        for (second, rfc3339, clf) in [
            (0, "1970-01-01T00:00:00.007Z", "01/Jan/1970:00:00:00 +0000"),
            (951_782_399, "2000-02-28T23:59:59.007Z", "28/Feb/2000:23:59:59 +0000"),
            (951_782_400, "2000-02-29T00:00:00.007Z", "29/Feb/2000:00:00:00 +0000"),
            (1_795_192_764, "2026-11-20T16:39:24.007Z", "20/Nov/2026:16:39:24 +0000"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z", "01/Mar/2100:00:00:00 +0000"),
            (1_735_689_599, "2024-12-31T23:59:59.007Z", "31/Dec/2024:23:59:59 +0000"),
        ] {
            let ns = second * 1_000_000_000 + 7_999_999;
            assert_eq!(&stamp.rfc3339(ns), rfc3339.as_bytes());
            assert_eq!(&stamp.clf(ns), clf.as_bytes());
        }
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let (mut year, mut month, mut day) = civil(0);
        for days in 1..=146_097 {
            let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
            let in_month = match month {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > in_month {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
            assert_eq!(civil(days), (year, month, day));
        }
    }
}
