//! The certificates that clients get: for which names they are, and how long they are still valid.

use std::time::{SystemTime, UNIX_EPOCH};

use evenkeel_types::{Expiry, ListenerName, PoolName};

use crate::access::rfc3339;

/// A certificate in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The listener whose clients are shown it.
    pub listener: ListenerName,
    /// The file that it was read from.
    pub cert: String,
    /// What it is for: names, wildcards, addresses.
    pub names: Vec<String>,
    /// When it runs out, in Unix seconds.
    pub not_after_s: i64,
}

/// Files of certificates, keys or authorities that are broken on disk, while what was read before serves on.
#[derive(Debug, Clone, PartialEq)]
pub struct StaleFiles {
    /// The listener that they belong to, if any.
    pub listener: Option<ListenerName>,
    /// The pool that they belong to, if any.
    pub pool: Option<PoolName>,
    /// A sentence: which file, what is wrong with it, and what to do.
    pub what: String,
    /// When it was noticed, in seconds since the Unix epoch.
    pub since: f64,
}

impl Certificate {
    /// When it runs out, as in RFC 3339, in UTC.
    pub fn expires(&self) -> String {
        rfc3339(u64::try_from(self.not_after_s).unwrap_or_default())
    }

    /// Whole days until it runs out, or as a negative number since it has; see [`Expiry::days_left`].
    pub fn days_left(&self, now: SystemTime) -> i64 {
        self.expiry().days_left(unix(now))
    }

    /// What is to be said about it when it runs out within 30 days, or has already.
    pub fn warning(&self, now: SystemTime) -> Option<String> {
        if self.expiry().seconds_left(unix(now)) < 0 {
            return Some(format!("the certificate has expired at {}", self.expires()));
        }
        self.expiry().warning(unix(now))
    }

    fn expiry(&self) -> Expiry {
        Expiry(self.not_after_s)
    }
}

fn unix(now: SystemTime) -> i64 {
    let now_s = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(now_s).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    fn until(not_after_s: i64) -> Certificate {
        Certificate { listener: "secure".into(), cert: "a.pem".into(), names: Vec::new(), not_after_s }
    }

    const DAY_S: i64 = 86_400;

    #[test]
    fn one_near_its_end_and_one_beyond_it_are_warned_of() {
        let certificate = until(1_795_192_764);
        assert_eq!(certificate.expires(), "2026-11-20T16:39:24Z");
        let check = |left_s: i64, days: i64, warning: Option<&str>| {
            let now_s = u64::try_from(certificate.not_after_s - left_s).unwrap();
            let now = UNIX_EPOCH + Duration::from_secs(now_s);
            assert_eq!(certificate.days_left(now), days, "{left_s}");
            let warning = warning.map(|rest| format!("the certificate {rest}"));
            assert_eq!(certificate.warning(now), warning, "{left_s}");
        };
        check(30 * DAY_S, 30, None);
        check(20 * DAY_S - 1, 20, Some("expires in 20 days"));
        check(0, 0, Some("expires in less than a day"));
        let expired = Some("has expired at 2026-11-20T16:39:24Z");
        check(-1, 0, expired);
        check(-DAY_S - 660, -1, expired);
    }

    #[test]
    fn one_that_never_runs_out_is_no_special_case() {
        // RFC 5280, 4.1.2.5: 99991231235959Z is for certificates without an end.
        let certificate = until(253_402_300_799);
        assert_eq!(certificate.expires(), "9999-12-31T23:59:59Z");
        assert_eq!(certificate.warning(SystemTime::now()), None);
    }
}
