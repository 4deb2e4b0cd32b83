//! Times as the log formats write them, computed once a second.

use std::fmt;
use std::io::Write;

const DAY_S: u64 = 86_400;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The last second that was written, in both forms.
#[derive(Debug)]
pub(super) struct Stamp {
    second: u64,
    /// `2026-11-20T16:39:24.`
    rfc3339: Vec<u8>,
    /// `20/Nov/2026:16:39:24 +0000`
    clf: Vec<u8>,
}

impl Stamp {
    pub(super) fn new() -> Self {
        let mut stamp = Self { second: 0, rfc3339: Vec::new(), clf: Vec::new() };
        stamp.render();
        stamp
    }

    /// RFC 3339 in UTC with milliseconds, from nanoseconds since the Unix epoch.
    pub(super) fn rfc3339(&mut self, out: &mut Vec<u8>, unix_ns: u64) {
        self.turn_to(unix_ns);
        let ms = unix_ns % 1_000_000_000 / 1_000_000;
        out.extend_from_slice(&self.rfc3339);
        out.extend_from_slice(&digits(ms));
        out.push(b'Z');
    }

    /// The common log format's time, without its brackets.
    pub(super) fn clf(&mut self, out: &mut Vec<u8>, unix_ns: u64) {
        self.turn_to(unix_ns);
        out.extend_from_slice(&self.clf);
    }

    #[inline]
    fn turn_to(&mut self, unix_ns: u64) {
        let second = unix_ns / 1_000_000_000;
        if second != self.second {
            self.second = second;
            self.render();
        }
    }

    fn render(&mut self) {
        let (year, month, day) = civil(self.second / DAY_S);
        let time = TimeOfDay(self.second);
        self.rfc3339.clear();
        self.clf.clear();
        // Writing to a Vec cannot fail.
        let _ = write!(self.rfc3339, "{year:04}-{month:02}-{day:02}T{time}.");
        let name = MONTHS[month as usize - 1];
        let _ = write!(self.clf, "{day:02}/{name}/{year:04}:{time} +0000");
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

/// Three digits with leading zeros, of a number below 1,000.
pub(super) fn digits(n: u64) -> [u8; 3] {
    [n / 100, n / 10 % 10, n % 10].map(|digit| b'0' + (digit % 10) as u8)
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
    #![allow(clippy::unwrap_used)]
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
            let (mut json, mut combined) = (Vec::new(), Vec::new());
            stamp.rfc3339(&mut json, ns);
            stamp.clf(&mut combined, ns);
            assert_eq!(
                (String::from_utf8(json).unwrap().as_str(), String::from_utf8(combined).unwrap().as_str()),
                (rfc3339, clf)
            );
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
