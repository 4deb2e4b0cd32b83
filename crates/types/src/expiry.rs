//! When a certificate expires, and the one way to say how long that is from now.

const DAY_S: i64 = 86_400;

/// A day counts as whole if no more than this is missing. So a certificate that was issued for 20 days has 20 days left in
/// whatever is asked within the hour, and not 20 in one command and 19 in the next.
const MISSING_MAX_S: i64 = 3_600;

/// A certificate that expires sooner than this is worth a warning, because one that is renewed in time has been renewed by then.
const WARNED_DAYS: i64 = 30;

/// When a certificate expires, in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Expiry(pub i64);

impl Expiry {
    /// Seconds until then; negative once it has passed.
    pub const fn seconds_left(self, now_s: i64) -> i64 {
        self.0.saturating_sub(now_s)
    }

    /// Whole days until then, or as a negative number since then. 0 is less than a day, on either side.
    pub const fn days_left(self, now_s: i64) -> i64 {
        let left_s = self.seconds_left(now_s);
        if left_s < 0 { left_s / DAY_S } else { left_s.saturating_add(MISSING_MAX_S) / DAY_S }
    }

    /// What to say about a certificate that is valid for fewer than 30 days more. Of one that has expired this says
    /// nothing.
    pub fn warning(self, now_s: i64) -> Option<String> {
        if self.seconds_left(now_s) < 0 {
            return None;
        }
        let days = self.days_left(now_s);
        (days < WARNED_DAYS).then(|| format!("the certificate expires in {}", in_words(days)))
    }
}

/// A number of whole days, of which 0 is less than one.
pub fn in_words(days: i64) -> String {
    match days.abs() {
        0 => "less than a day".into(),
        1 => "1 day".into(),
        days => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_days_are_counted_and_the_last_thirty_are_warned_of() {
        let expiry = Expiry(1_795_192_764);
        let check = |left_s: i64, days: i64, warning: Option<&str>| {
            let now_s = expiry.0 - left_s;
            assert_eq!(expiry.days_left(now_s), days, "{left_s}");
            let warning = warning.map(|rest| format!("the certificate expires in {rest}"));
            assert_eq!(expiry.warning(now_s), warning, "{left_s}");
        };
        check(90 * DAY_S, 90, None);
        check(30 * DAY_S - MISSING_MAX_S, 30, None);
        check(30 * DAY_S - MISSING_MAX_S - 1, 29, Some("29 days"));
        // What was issued for 20 days a moment ago.
        for left_s in [20 * DAY_S, 20 * DAY_S - 1, 20 * DAY_S - MISSING_MAX_S, 21 * DAY_S - 2 * MISSING_MAX_S]
        {
            check(left_s, 20, Some("20 days"));
        }
        check(2 * DAY_S - MISSING_MAX_S - 1, 1, Some("1 day"));
        check(DAY_S - MISSING_MAX_S - 1, 0, Some("less than a day"));
        check(0, 0, Some("less than a day"));
        check(-1, 0, None);
        check(1 - DAY_S, 0, None);
        check(-DAY_S - 660, -1, None);
        check(-2 * DAY_S, -2, None);
        check(i64::MAX, i64::MAX / DAY_S, None);
    }
}
