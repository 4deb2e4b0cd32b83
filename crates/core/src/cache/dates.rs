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

/// Reads an HTTP date in any of its three forms; `None` if it is malformed or lies before 1970.
pub fn http_date(text: &[u8]) -> Option<Wall> {
    let text = std::str::from_utf8(text).ok()?;
    httpdate::parse_http_date(text).ok().map(Wall::from)
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
        for text in
            ["0", "", "-1", "now", "Thu, 18 Aug 2050 02:01:18 UTC", "Thu, 18 Aug 50 02:01:18 GMT", "\u{fc}"]
        {
            assert_eq!(http_date(text.as_bytes()), None, "{text}");
        }
    }
}
