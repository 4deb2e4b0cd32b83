//! How much time a request has, by the route and by the client, and the deadline header, in which a server reads what is left of it.

use std::time::Duration;

use evenkeel_config::DeadlineHeader;
use evenkeel_types::Time;

/// What a client may ask for; more says nothing, as a route's own limit cannot be longer either.
const SAID_MAX: Duration = Duration::from_secs(86_400);

/// When a request that began at `started` must be over: by the route's `limit`, or by what the client says in its
/// deadline field, whichever is sooner. A value that is malformed says nothing.
pub fn deadline(
    started: Time,
    limit: Option<Duration>,
    header: Option<&DeadlineHeader>,
    said: Option<&[u8]>,
) -> Option<Time> {
    let said = header.zip(said).and_then(|(header, value)| match header {
        DeadlineHeader::Grpc => grpc(value),
        DeadlineHeader::Millis(_) => millis(value),
    });
    let said = said.filter(|said| *said <= SAID_MAX);
    let shorter = match (limit, said) {
        (Some(limit), Some(said)) => limit.min(said),
        (limit, said) => limit.or(said)?,
    };
    Some(started + shorter)
}

/// What is left until `deadline`, in the field's format: whole milliseconds, at least one.
pub fn remaining(header: &DeadlineHeader, deadline: Time, now: Time) -> String {
    let ms = (deadline - now).as_millis().max(1);
    match header {
        // Eight digits are all that it may have, which is more than a day.
        DeadlineHeader::Grpc => format!("{}m", ms.min(99_999_999)),
        DeadlineHeader::Millis(_) => ms.to_string(),
    }
}

/// `TimeoutValue TimeoutUnit` of gRPC over HTTP/2: at most eight digits, and one of `HMSmun`.
fn grpc(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    let number = if digits.len() <= 8 { number(digits)? } else { return None };
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

fn millis(value: &[u8]) -> Option<Duration> {
    number(value).map(Duration::from_millis)
}

/// Plain digits, and nothing larger than a deadline can sensibly be.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn said(header: &DeadlineHeader, value: &str) -> Option<Duration> {
        deadline(Time::ZERO, None, Some(header), Some(value.as_bytes())).map(|at| at - Time::ZERO)
    }

    #[test]
    fn the_units_of_grpc() {
        let check = |value, expected| assert_eq!(said(&DeadlineHeader::Grpc, value), expected, "{value}");
        check("1H", Some(MS(3_600_000)));
        check("2M", Some(MS(120_000)));
        check("3S", Some(MS(3_000)));
        check("00000100m", Some(MS(100)));
        check("100m", Some(MS(100)));
        check("5u", Some(Duration::from_micros(5)));
        check("7n", Some(Duration::from_nanos(7)));
        check("24H", Some(SAID_MAX));
        for bad in
            ["25H", "99999999H", "", "m", "100", "100x", "-1m", "1.5S", " 1S", "1S ", "123456789n", "1ms"]
        {
            check(bad, None);
        }
    }

    #[test]
    fn other_fields_are_in_milliseconds() {
        let header = DeadlineHeader::Millis("x-left".into());
        assert_eq!(said(&header, "250"), Some(MS(250)));
        assert_eq!(said(&header, "0"), Some(MS(0)));
        for bad in ["", "-1", "+1", "1s", "1 000", "1e3", "0x10", "9999999999999999"] {
            assert_eq!(said(&header, bad), None, "{bad}");
        }
    }

    #[test]
    fn the_server_gets_the_same_format() {
        let (at, now) = (Time::from_millis(1_500), Time::from_millis(400));
        assert_eq!(remaining(&DeadlineHeader::Grpc, at, now), "1100m");
        assert_eq!(remaining(&DeadlineHeader::Millis("x".into()), at, now), "1100");
        assert_eq!(
            remaining(&DeadlineHeader::Grpc, now, at),
            "1m",
            "never nothing, which would mean no limit"
        );
    }

    proptest! {
        #[test]
        fn a_client_only_ever_shortens(limit in 1_u64..100_000, value in "[0-9]{0,9}[HMSmun]?") {
            for header in [DeadlineHeader::Grpc, DeadlineHeader::Millis("x".into())] {
                let at = deadline(Time::ZERO, Some(MS(limit)), Some(&header), Some(value.as_bytes()));
                prop_assert!(at.unwrap() <= Time::from_millis(limit));
            }
        }

        #[test]
        fn what_is_written_is_understood(ms in 1_u64..86_400_000) {
            for header in [DeadlineHeader::Grpc, DeadlineHeader::Millis("x".into())] {
                let value = remaining(&header, Time::from_millis(ms), Time::ZERO);
                prop_assert_eq!(said(&header, &value), Some(MS(ms)));
            }
        }
    }
}
