//! Whether a response goes out compressed, with what, and how hard the worker tries. Facts in, a decision and its reason out.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use evenkeel_config::{Compress, Encoding};

use crate::encoding::Accepted;
use crate::overload::OverloadStep;

/// A worker that is this late takes half of the configured level, because compressing delays everything on it.
const LATE: Duration = Duration::from_millis(20);
/// And this late, the lowest.
const VERY_LATE: Duration = Duration::from_millis(50);
/// And this late, none: responses go out as they are.
const TOO_LATE: Duration = Duration::from_millis(150);
/// Brotli goes no lower, because below it each piece is compressed by itself, however small; and no higher, because beyond
/// it an encoder takes 8 MiB and more.
const BR_LEVELS: RangeInclusive<u32> = 2..=6;

/// What a response says of itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// Its status.
    pub status: u16,
    /// Its `Content-Type`.
    pub content_type: Option<&'a [u8]>,
    /// True if it has a `Content-Encoding` other than `identity`.
    pub is_encoded: bool,
    /// True if its `Cache-Control` has `no-transform`.
    pub no_transform: bool,
    /// Bytes of its body, if that is known.
    pub length: Option<u64>,
}

/// Why a response goes out as it is, whatever its client accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// Its status: it has no body, or only a part of one, or is an answer that is small.
    Status,
    /// `Cache-Control: no-transform`
    NoTransform,
    /// It has a `Content-Encoding`.
    Encoded,
    /// Its `Content-Type` is not among `types`, or it has none.
    Type,
    /// It is smaller than `min_size`.
    Small,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Status => "its status is none that is compressed",
            Self::NoTransform => "it has Cache-Control: no-transform",
            Self::Encoded => "it has a Content-Encoding",
            Self::Type => "its Content-Type is not among `types`",
            Self::Small => "it is smaller than `min_size`",
        })
    }
}

/// Whether a response may go out compressed to a client that accepts it.
///
/// # Errors
/// Why not.
pub fn fits(settings: &Compress, facts: &Facts<'_>) -> Result<(), Unfit> {
    if !has_status(facts.status) {
        return Err(Unfit::Status);
    }
    // What is known to be empty is no smaller for being compressed.
    if facts.length.is_some_and(|length| length < settings.min_size.max(1)) {
        return Err(Unfit::Small);
    }
    if facts.is_encoded {
        return Err(Unfit::Encoded);
    }
    if facts.no_transform {
        return Err(Unfit::NoTransform);
    }
    if !facts.content_type.is_some_and(|value| has_type(settings, value)) {
        return Err(Unfit::Type);
    }
    Ok(())
}

/// A whole representation, or an error with a body. Not a part of one (206, RFC 9110, 14.4): ranges count its bytes as the
/// server has them.
fn has_status(status: u16) -> bool {
    matches!(status, 200..=203 | 207 | 400..=415 | 417..=599)
}

/// True if the media type is among `types`. gRPC compresses its messages by itself, and its clients take no coding.
fn has_type(settings: &Compress, content_type: &[u8]) -> bool {
    let end = content_type.iter().position(|b| *b == b';').unwrap_or(content_type.len());
    let Ok(media_type) = std::str::from_utf8(content_type[..end].trim_ascii()) else { return false };
    let media_type = media_type.to_ascii_lowercase();
    let is_grpc = media_type
        .strip_prefix("application/grpc")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', '-']));
    !is_grpc && settings.types.iter().any(|range| range.holds(&media_type))
}

/// What a client gets a response in that fits; `None` is as it is.
pub fn choose(settings: &Compress, accepted: &Accepted) -> Option<Encoding> {
    accepted.choose(settings.encodings.iter().copied())
}

/// The level of an encoder on a worker that is so late, in a process that withdraws so far; `None`: there is no time for it.
pub fn level(settings: &Compress, encoding: Encoding, late: Duration, step: OverloadStep) -> Option<u32> {
    if late >= TOO_LATE || step >= OverloadStep::ShedLow {
        return None;
    }
    let level = if late >= VERY_LATE || step > OverloadStep::None {
        1
    } else if late >= LATE {
        settings.level.div_ceil(2)
    } else {
        settings.level
    };
    Some(if encoding == Encoding::Br { level.clamp(*BR_LEVELS.start(), *BR_LEVELS.end()) } else { level })
}

/// Whether and with what a response goes out compressed, in words; `facts` are known of a fixed response alone.
pub fn describe(settings: &Compress, accepted: &Accepted, facts: Option<&Facts<'_>>) -> String {
    let unfit = facts.and_then(|facts| fits(settings, facts).err());
    if let Some(why) = unfit {
        return format!("no: {why}");
    }
    let Some(encoding) = choose(settings, accepted) else {
        let offered: Vec<&str> = settings.encodings.iter().map(Encoding::word).collect();
        return format!("no: the client prefers none of {}", offered.join(", "));
    };
    let level = level(settings, encoding, Duration::ZERO, OverloadStep::None).unwrap_or_default();
    let chosen = format!("{}, level {level}", encoding.word());
    if facts.is_some() {
        return chosen;
    }
    let size = settings.min_size;
    format!(
        "{chosen}, if the response has a Content-Type among `types`, {size} bytes or more, no Content-Encoding and no \
         Cache-Control: no-transform"
    )
}

/// How late a worker counts as, after it was `late` in this look and counted as `before` until then: one good look does not
/// undo a bad one, eight do.
pub fn lateness(before: Duration, late: Duration) -> Duration {
    late.max(before / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HTML: Facts<'static> = Facts {
        status: 200,
        content_type: Some(b"text/html"),
        is_encoded: false,
        no_transform: false,
        length: Some(10_000),
    };

    #[track_caller]
    fn check(facts: Facts<'_>, expected: Result<(), Unfit>) {
        assert_eq!(fits(&Compress::default(), &facts), expected, "{facts:?}");
    }

    #[test]
    fn whole_responses_and_errors_fit() {
        for status in [200, 201, 203, 207, 400, 404, 415, 417, 500, 503, 599] {
            check(Facts { status, ..HTML }, Ok(()));
        }
        for status in [100, 101, 103, 204, 205, 206, 301, 304, 308, 416] {
            check(Facts { status, ..HTML }, Err(Unfit::Status));
        }
    }

    #[test]
    fn the_type_decides_whatever_its_case_and_parameters() {
        let typed = |value: &'static str| Facts { content_type: Some(value.as_bytes()), ..HTML };
        check(typed("Text/HTML; charset=utf-8"), Ok(()));
        check(typed("application/json;x=1"), Ok(()));
        check(typed("text/event-stream"), Ok(()));
        for other in ["image/png", "application/octet-stream", "text", "", ";", "text/html, image/png"] {
            let expected = if other.starts_with("text/html") { Ok(()) } else { Err(Unfit::Type) };
            check(typed(other), expected);
        }
        check(Facts { content_type: Some(b"text/\xff"), ..HTML }, Err(Unfit::Type));
        check(Facts { content_type: None, ..HTML }, Err(Unfit::Type));
        let all = evenkeel_config::Compress { types: vec![], ..Compress::default() };
        assert_eq!(fits(&all, &HTML), Err(Unfit::Type));
    }

    #[test]
    fn what_must_stay_as_it_is_stays() {
        check(Facts { is_encoded: true, ..HTML }, Err(Unfit::Encoded));
        check(Facts { no_transform: true, ..HTML }, Err(Unfit::NoTransform));
        check(Facts { length: Some(1_023), ..HTML }, Err(Unfit::Small));
        check(Facts { length: Some(1_024), ..HTML }, Ok(()));
        check(Facts { length: None, ..HTML }, Ok(()));
        let any_size = Compress { min_size: 0, ..Compress::default() };
        assert_eq!(fits(&any_size, &Facts { length: Some(0), ..HTML }), Err(Unfit::Small));
        assert_eq!(fits(&any_size, &Facts { length: Some(1), ..HTML }), Ok(()));
    }

    #[test]
    fn levels_fall_when_the_worker_is_late() {
        let settings = Compress { level: 9, ..Compress::default() };
        let gzip = |ms| level(&settings, Encoding::Gzip, Duration::from_millis(ms), OverloadStep::None);
        assert_eq!(
            [0, 19, 20, 49, 50, 149, 150].map(gzip).map(|level| level.unwrap_or(0)),
            [9, 9, 5, 5, 1, 1, 0]
        );
        let br = |ms| level(&settings, Encoding::Br, Duration::from_millis(ms), OverloadStep::None);
        assert_eq!([br(0), br(20), br(50), br(150)], [Some(6), Some(5), Some(2), None]);
        let lowest = Compress { level: 1, ..Compress::default() };
        assert_eq!(level(&lowest, Encoding::Zstd, LATE, OverloadStep::None), Some(1));
    }

    #[test]
    fn an_overloaded_process_compresses_less_and_then_not_at_all() {
        let of = |step| level(&Compress::default(), Encoding::Gzip, Duration::ZERO, step);
        assert_eq!(of(OverloadStep::None), Some(4));
        assert_eq!(of(OverloadStep::Close), Some(1));
        assert_eq!(of(OverloadStep::ShedLow), None);
        assert_eq!(of(OverloadStep::Refuse), None);
    }

    #[test]
    fn what_is_known_beforehand_is_said() {
        let (settings, gzip) = (Compress::default(), Accepted::of([&b"gzip"[..]]));
        let described = |accepted: &Accepted, facts| describe(&settings, accepted, facts);
        assert_eq!(described(&gzip, Some(&HTML)), "gzip, level 4");
        assert!(described(&gzip, None).starts_with("gzip, level 4, if "));
        let picture = Facts { content_type: Some(b"image/png"), ..HTML };
        assert_eq!(described(&gzip, Some(&picture)), "no: its Content-Type is not among `types`");
        let nothing = "no: the client prefers none of zstd, br, gzip";
        assert_eq!(described(&Accepted::default(), None), nothing);
    }

    #[test]
    fn one_good_look_does_not_undo_a_bad_one() {
        let ms = Duration::from_millis;
        assert_eq!(lateness(ms(0), ms(200)), ms(200));
        assert_eq!(lateness(ms(200), ms(0)), ms(100));
        assert_eq!((0..8).fold(ms(200), |before, _| lateness(before, ms(0))), ms(200) / 256);
    }
}
