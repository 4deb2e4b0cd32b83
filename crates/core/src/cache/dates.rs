//! Wall-clock times of the cache, and the dates of HTTP (RFC 9110, 5.6.7).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in time that means the same after a restart: milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Wall(u64);

impl Wall {
    /// The point so many milliseconds after the epoch.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// The point so many seconds after the epoch.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000
    }

    /// Milliseconds since `earlier`; zero if it lies in the future.
    pub const fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// So many milliseconds later.
    pub const fn plus_millis(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// So many milliseconds earlier, the epoch at most.
    pub const fn minus_millis(self, ms: u64) -> Self {
        Self(self.0.saturating_sub(ms))
    }

    /// As the `Date` field has it.
    pub fn http_date(self) -> String {
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(self.as_secs()))
    }
}

impl From<SystemTime> for Wall {
    /// Times before the epoch become the epoch.
    fn from(at: SystemTime) -> Self {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Reads an HTTP date in any of its three forms, in any case; `None` if it is malformed or lies before 1970. The weekday must
/// be one, and is not held against the date.
pub fn http_date(text: &[u8]) -> Option<Wall> {
    let (weekday, rest) = text.split_at_checked(3)?;
    index_of(weekday, b"montuewedthufrisatsun")?;
    let (day, month, year, time) = match rest {
        // Sun, 06 Nov 1994 08:49:37 GMT
        [b',', b' ', d1, d2, b' ', month @ .., b' ', b'G' | b'g', b'M' | b'm', b'T' | b't']
            if rest.len() == 26 =>
        {
            let [m1, m2, m3, b' ', y1, y2, y3, y4, b' ', time @ ..] = month else { return None };
            (number(&[*d1, *d2])?, [*m1, *m2, *m3], number(&[*y1, *y2, *y3, *y4])?, time)
        }
        // Sun Nov  6 08:49:37 1994
        [b' ', m1, m2, m3, b' ', d1, d2, b' ', middle @ .., b' ', y1, y2, y3, y4] if rest.len() == 21 => {
            let d1 = if *d1 == b' ' { b'0' } else { *d1 };
            (number(&[d1, *d2])?, [*m1, *m2, *m3], number(&[*y1, *y2, *y3, *y4])?, middle)
        }
        // Sunday, 06-Nov-94 08:49:37 GMT
        _ => {
            let (name, rest) = rest.split_at_checked(rest.iter().position(|&byte| byte == b',')?)?;
            let is_name = [&b"day"[..], b"sday", b"nesday", b"rsday", b"urday"];
            is_name.iter().find(|other| name.eq_ignore_ascii_case(other))?;
            let [b',', b' ', d1, d2, b'-', m1, m2, m3, b'-', y1, y2, b' ', time @ .., b' ', z1, z2, z3] =
                rest
            else {
                return None;
            };
            [*z1, *z2, *z3].eq_ignore_ascii_case(b"gmt").then_some(())?;
            let year = number(&[*y1, *y2])?;
            (number(&[*d1, *d2])?, [*m1, *m2, *m3], year + if year < 70 { 2_000 } else { 1_900 }, time)
        }
    };
    let &[h1, h2, b':', n1, n2, b':', s1, s2] = time else { return None };
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[n1, n2])?, number(&[s1, s2])?);
    let month = index_of(&month, b"janfebmaraprmayjunjulaugsepoctnovdec")?;
    // A leap second is the next one.
    (hour < 24 && minute < 60 && second <= 60).then_some(())?;
    Some(Wall::from_secs(days(year, month, day)? * 86_400 + hour * 3_600 + minute * 60 + second))
}

/// Which of the names of three letters it is.
fn index_of(name: &[u8], names: &[u8]) -> Option<usize> {
    names.chunks(3).position(|other| other.eq_ignore_ascii_case(name))
}

fn number(digits: &[u8]) -> Option<u64> {
    let are_digits = digits.iter().all(u8::is_ascii_digit);
    are_digits.then(|| digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

/// Days from the epoch to a date of the Gregorian calendar; `month` counts from 0.
fn days(year: u64, month: usize, day: u64) -> Option<u64> {
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let lengths = [31, if is_leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    (year >= 1970 && (1..=*lengths.get(month)?).contains(&day)).then_some(())?;
    let before: u64 = lengths.iter().take(month).sum();
    Some((year - 1970) * 365 + leaps(year - 1) - leaps(1969) + before + day - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_forms_are_read() {
        let expected = Some(Wall::from_secs(784_111_777));
        for text in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(http_date(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(expected.map(Wall::http_date).as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert!(
            http_date(b"Thursday, 18-Aug-50 02:01:18 GMT")
                .is_some_and(|at| at > Wall::from_secs(2_500_000_000))
        );
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "0",
            "",
            "-1",
            "now",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "\u{fc}",
        ] {
            assert_eq!(http_date(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn every_date_that_is_written_is_read() {
        let mut rng = fastrand::Rng::with_seed(9);
        for _ in 0..20_000 {
            let at = Wall::from_secs(rng.u64(0..253_402_300_800));
            let text = at.http_date();
            assert_eq!(http_date(text.as_bytes()), Some(at), "{text}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut rng = fastrand::Rng::with_seed(10);
        let seeds: [&[u8]; 3] = [
            b"Sun, 06 Nov 1994 08:49:37 GMT",
            b"Sunday, 06-Nov-94 08:49:37 GMT",
            b"Sun Nov  6 08:49:37 1994",
        ];
        for _ in 0..50_000 {
            let mut text = seeds[rng.usize(..3)].to_vec();
            for _ in 0..rng.usize(..3) {
                let at = rng.usize(..text.len());
                text[at] = rng.u8(..);
            }
            text.truncate(rng.usize(..=text.len()));
            http_date(&text);
        }
    }
}
