//! A length of time as settings write it: `250ms`, `10s`, `5m`, `12h`, `30d`.

use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use crate::text::Malformed;

/// The longest that a setting can say.
const DAYS_MAX: u64 = 3650;

/// A length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => 0,
        };
        match number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_ms)) {
            Some(ms @ 1..) if ms <= DAYS_MAX * 86_400_000 => Ok(Self(Duration::from_millis(ms))),
            _ => Err(Malformed {
                what: format!(
                    "`{text}` is no length of time from 1ms to {DAYS_MAX}d, such as 250ms, 10s, 5m, 12h, 30d"
                ),
            }),
        }
    }
}

impl TryFrom<String> for Span {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_number_and_a_unit() {
        let check =
            |text: &str, ms| assert_eq!(text.parse::<Span>().unwrap().0, Duration::from_millis(ms), "{text}");
        check("250ms", 250);
        check("10s", 10_000);
        check("5m", 300_000);
        check("12h", 43_200_000);
        check("30d", 2_592_000_000);
        for wrong in ["", "10", "s", "0s", "-1s", "1.5s", "10 s", "3651d", "99999999999999999999d"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }
}
