//! How times are written on the command line: as in the configuration, or as a number of seconds.

use std::ops::RangeInclusive;
use std::time::Duration;

use evenkeel_config::{parse_duration, show_duration};

/// The longest time that is taken: a year.
pub(super) const TIME_MAX: Duration = Duration::from_secs(365 * 86_400);

/// Reads `30s`, `2m`, or `30`, which is 30 seconds.
///
/// # Errors
/// It is no time, or none of these.
pub(super) fn time(text: &str, allowed: RangeInclusive<Duration>) -> Result<Duration, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let time = if is_number { parse_duration(&format!("{text}s")) } else { parse_duration(text) };
    let time = time.ok_or("write a time as in `30s`, `5m` or `30`, which is 30 seconds")?;
    if !allowed.contains(&time) {
        let (min, max) = (show_duration(*allowed.start()), show_duration(*allowed.end()));
        return Err(format!("write a time from {min} to {max}"));
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_number_is_seconds() {
        let seconds = |text| time(text, Duration::from_secs(1)..=TIME_MAX).map(|time| time.as_secs());
        for (text, expected) in [("30", 30), ("30s", 30), ("1m30s", 90), ("2m", 120), ("8760h", 31_536_000)] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "-1", "5x", "s", "1.5", "99999999999999999999", "0", "366d"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
