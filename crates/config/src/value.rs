//! Values with a unit, as people write them: durations (`5s`, `1m30s`), sizes (`32KiB`, `10MiB`) and rates (`10/s`).

use std::fmt;
use std::time::Duration;

const DURATION_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

const RATE_UNITS: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 3_600)];

const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// So many in a stretch of time: `"10/s"`, `"600/m"` or `"1000/h"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// 1 to 1,000,000.
    pub count: u32,
    /// A second, a minute or an hour.
    pub period: Duration,
}

impl Rate {
    /// What it comes to in a second, rounded up: at least 1.
    pub fn per_second(&self) -> u32 {
        u32::try_from(u64::from(self.count).div_ceil(self.period.as_secs().max(1))).unwrap_or(u32::MAX)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show_rate(*self))
    }
}

/// Reads a duration as the configuration writes it, such as `5s`, `100ms` or `1m30s`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    duration_ms(text).map(Duration::from_millis)
}

/// Reads `5s`, `100ms`, `1m30s`, `1h` or `2d`: whole numbers, each with its unit, in milliseconds.
pub(crate) fn duration_ms(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0u64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (_, unit) = DURATION_UNITS.iter().find(|(name, _)| *name == &rest[..letters])?;
        total = total.checked_add(number.checked_mul(*unit)?)?;
        rest = &rest[letters..];
    }
    (!text.is_empty()).then_some(total)
}

/// Writes a duration such that [`duration_ms`] reads the same back; what is below a millisecond is cut off.
pub fn show_duration(duration: Duration) -> String {
    show_ms(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// Writes milliseconds such that [`duration_ms`] reads the same back.
pub(crate) fn show_ms(mut ms: u64) -> String {
    if ms == 0 {
        return "0s".into();
    }
    // Days only where nothing is left over: `25h` reads better than `1d1h`.
    if ms.is_multiple_of(86_400_000) && ms > 86_400_000 {
        return format!("{}d", ms / 86_400_000);
    }
    let mut out = String::new();
    for (name, unit) in &DURATION_UNITS[1..] {
        if ms >= *unit {
            out.push_str(&format!("{}{name}", ms / unit));
            ms %= unit;
        }
    }
    out
}

/// Reads `10/s`, `600/m` or `1000/h`.
pub(crate) fn rate(text: &str) -> Option<Rate> {
    let (count, unit) = text.split_once('/')?;
    let (_, seconds) = RATE_UNITS.iter().find(|(name, _)| *name == unit)?;
    let count = count.bytes().all(|b| b.is_ascii_digit()).then(|| count.parse().ok())??;
    Some(Rate { count, period: Duration::from_secs(*seconds) })
}

/// Writes a rate such that [`rate`] reads the same back.
pub(crate) fn show_rate(Rate { count, period }: Rate) -> String {
    let unit = RATE_UNITS.iter().find(|(_, seconds)| *seconds == period.as_secs());
    format!("{count}/{}", unit.map_or("s", |(name, _)| name))
}

/// Reads `32KiB`, `10MiB`, `1GB` or a plain number of bytes.
pub(crate) fn size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let unit = text[digits..].trim_start_matches(' ');
    if unit.is_empty() {
        return (digits == text.len()).then_some(number);
    }
    let (_, factor) = SIZE_UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

/// Writes a size such that [`size`] reads the same back.
pub(crate) fn show_size(bytes: u64) -> String {
    let whole = SIZE_UNITS.iter().find(|(_, factor)| bytes > 0 && bytes.is_multiple_of(*factor));
    match whole {
        Some((name, factor)) => format!("{}{name}", bytes / factor),
        None => format!("{bytes}B"),
    }
}

/// Reads `50%`: a whole number of hundredths.
pub(crate) fn percent(text: &str) -> Option<u64> {
    let digits = text.strip_suffix('%')?;
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        let check = |text: &str, ms| assert_eq!(duration_ms(text), ms, "{text}");
        check("5s", Some(5_000));
        check("100ms", Some(100));
        check("1m30s", Some(90_000));
        check("1h", Some(3_600_000));
        check("400d", Some(34_560_000_000));
        check("0s", Some(0));
        for bad in
            ["", "5", "s", "5 s", "1.5s", "5sec", "-1s", "99999999999999999999s", "9999999999999999d", "5é"]
        {
            check(bad, None);
        }
    }

    #[test]
    fn sizes_are_read() {
        let check = |text: &str, bytes| assert_eq!(size(text), bytes, "{text}");
        check("32KiB", Some(32_768));
        check("10 MiB", Some(10 << 20));
        check("1GB", Some(1_000_000_000));
        check("512", Some(512));
        for bad in ["", "KiB", "1kib", "1.5MiB", "-1B", "10MB/s", "99999999999TiB", "5 "] {
            check(bad, None);
        }
    }

    #[test]
    fn percentages_are_read() {
        let check = |text: &str, hundredths| assert_eq!(percent(text), hundredths, "{text}");
        check("0%", Some(0));
        check("50%", Some(50));
        check("100%", Some(100));
        for bad in ["", "%", "50", "50 %", "+5%", "-1%", "0.5%", "99999999999999999999%"] {
            check(bad, None);
        }
    }

    #[test]
    fn rates_are_read_and_shown() {
        for (text, count, seconds) in [("10/s", 10, 1), ("600/m", 600, 60), ("1/h", 1, 3_600)] {
            let read = rate(text);
            assert_eq!(read, Some(Rate { count, period: Duration::from_secs(seconds) }), "{text}");
            assert_eq!(read.map(show_rate).as_deref(), Some(text));
        }
        for bad in
            ["", "10", "/s", "10/", "10/d", "-1/s", "+1/s", "1.5/s", "10 / s", "99999999999/s", "1/s/s"]
        {
            assert_eq!(rate(bad), None, "{bad}");
        }
        let per_second = |text| rate(text).map(|rate| rate.per_second());
        assert_eq!(["10/s", "61/m", "1/h"].map(per_second), [Some(10), Some(2), Some(1)]);
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for ms in [0, 1, 999, 1_000, 61_001, 86_400_000, 172_800_000, 90_061_001] {
            assert_eq!(duration_ms(&show_ms(ms)), Some(ms), "{}", show_ms(ms));
        }
        for bytes in [0, 1, 240, 1_000, 1_024, 1_500_000, 16 << 20, u64::MAX] {
            assert_eq!(size(&show_size(bytes)), Some(bytes), "{}", show_size(bytes));
        }
    }
}
