//! Numbers as answers have them: three decimals, because more are noise.

use std::time::Duration;

/// In seconds.
pub(crate) fn seconds(time: Duration) -> f64 {
    rounded(time.as_secs_f64())
}

/// To three decimals.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
