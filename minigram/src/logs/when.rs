//! Times as logs write them, all of UTC.

use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::clock::Time;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// How far into a line its time may begin, in bytes.
const BEGIN_MAX: usize = 40;

/// The first time in a text, in milliseconds since the Unix epoch: `2026-11-29T22:02:26.445Z`, `2026-11-29 22:02:26,445`,
/// `2026/11/29 22:02:26.445123` or `29 Nov 2026 22:02:26.445`.
pub fn time_in(text: &str) -> Option<u64> {
    let starts = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= BEGIN_MAX);
    // A time begins where a number does.
    let begins = |at: &usize| {
        let before = text[..*at].chars().next_back();
        text[*at..].starts_with(|c: char| c.is_ascii_digit()) && !before.is_some_and(|c| c.is_ascii_digit())
    };
    starts.filter(begins).find_map(|at| time_at(&text[at..]))
}

fn time_at(text: &str) -> Option<u64> {
    let (date, rest) = numeric_date(text).or_else(|| named_date(text))?;
    let mut fields = rest.splitn(3, ':');
    let (hour, minute) = (number(fields.next()?)?, number(fields.next()?)?);
    let seconds = fields.next()?;
    let (second, after) = (number(seconds.get(..2)?)?, seconds.get(2..)?);
    let fraction = after.strip_prefix(['.', ',']).unwrap_or_default();
    let digits: String = fraction.chars().take_while(char::is_ascii_digit).take(3).collect();
    let ms: u64 = format!("{digits:0<3}").parse().ok()?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let [year, month, day] = date;
    let seconds = (days(year, month, day)? * 24 + hour) * 3600 + minute * 60 + second;
    Some(seconds * 1000 + ms)
}

/// `2026-11-29T` or `2026/11/29 `; the rest of the text.
fn numeric_date(text: &str) -> Option<([u64; 3], &str)> {
    let (date, rest) = (text.get(..10)?, text.get(10..)?);
    let mut fields = date.split(['-', '/']);
    let date = [number(fields.next()?)?, number(fields.next()?)?, number(fields.next()?)?];
    Some((date, rest.strip_prefix(['T', ' '])?))
}

/// `29 Nov 2026 `; the rest of the text.
fn named_date(text: &str) -> Option<([u64; 3], &str)> {
    let mut words = text.splitn(4, ' ');
    let (day, month, year, rest) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    Some(([number(year)?, u64::try_from(month).ok()?, number(day)?], rest))
}

fn number(text: &str) -> Option<u64> {
    let is_short = text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_short { text.parse().ok() } else { None }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // The year begins in March, so that a leap day is its last.
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let all = year * 365 + year / 4 - year / 100 + year / 400 + of_year;
    // From 0000-03-01 to 1970-01-01.
    all.checked_sub(719_468)
}

/// A time as RFC 3339 writes it, in UTC.
pub fn text_of(ms: u64) -> String {
    Time(ms).rfc3339()
}

/// The earliest time of a search: a length of time before now (`90s`, `10m`, `2h`, `1d`), or a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since(pub u64);

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(ms) = time_in(text) {
            return Ok(Self(ms));
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit_ms = match unit {
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => 0,
        };
        let span =
            number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_ms)).filter(|ms| *ms > 0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let since = span.map(|span| u64::try_from(now).unwrap_or(u64::MAX).saturating_sub(span));
        since.map(Self).ok_or_else(|| {
            format!("`{text}` is neither a time nor a length of time such as 90s, 10m, 2h, 1d")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_writes_its_times_in_its_own_way() {
        let expected = Some(1_795_989_746_445);
        let check = |text: &str| assert_eq!(time_in(text), expected, "{text}");
        check("2026-11-29T22:02:26.445Z");
        check("2026-11-29 22:02:26.445 UTC");
        check("2026-11-29 22:02:26,445 INFO: no action");
        check("[19420] 2026/11/29 22:02:26.445501 [INF] Route connection created");
        check("19371:M 29 Nov 2026 22:02:26.445 * Synchronization succeeded");
        assert_eq!(time_in("2024-02-29T00:00:00Z"), Some(1_709_164_800_000));
        assert_eq!(time_in("no time at 12:30 or 1.2.3"), None);
        assert_eq!(time_in("2026-13-29T22:02:26.445Z"), None);
        assert_eq!(time_in("é 2026-11-29T22:02:26.445Z"), expected);
    }

    #[test]
    fn a_time_is_written_as_it_is_read() {
        for text in [
            "1970-01-01T00:00:00.000Z",
            "2024-02-29T23:59:59.999Z",
            "2026-11-29T22:02:26.445Z",
            "2100-03-01T00:00:00.001Z",
        ] {
            assert_eq!(text_of(time_in(text).unwrap()), text);
        }
    }

    #[test]
    fn a_search_begins_at_a_time_or_a_span_ago() {
        assert_eq!("2024-02-29T00:00:00Z".parse(), Ok(Since(1_709_164_800_000)));
        let (Since(hour), Since(minute)) = ("1h".parse().unwrap(), "1m".parse().unwrap());
        assert!((3_530_000..3_550_000).contains(&(minute - hour)), "{}", minute - hour);
        for wrong in ["", "10", "0s", "soon", "-1h"] {
            assert!(wrong.parse::<Since>().is_err(), "{wrong}");
        }
    }
}
