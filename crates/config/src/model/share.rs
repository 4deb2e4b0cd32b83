//! Shares of requests: how many are traced or logged, in percent with up to three decimals.

use crate::declare::Setting;
use crate::keys::Kind;
use crate::keys::syntax::SHARE;
use crate::read::text::{Read, Refused};
use crate::read::{Value, clip};
use crate::settings::{Text, text_settings};
use crate::show::quote;

/// What a key is that takes a share, `true` for all or `false` for none.
pub(super) const SHARE_OR_NOT: Kind = Kind::Either(&Kind::Boolean, &Kind::Text(&SHARE));

/// A share of requests, in thousandths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(u32);

impl Share {
    /// All of them.
    pub const ALL: Self = Self(100_000);
    /// None of them.
    pub const NONE: Self = Self(0);

    /// True if a request is among them that has drawn this number, which any `u64` is as likely as another.
    pub fn holds(self, drawn: u64) -> bool {
        // The upper half, so that the product fits; the error is below one in a billion.
        (drawn >> 32) * u64::from(Self::ALL.0) < u64::from(self.0) << 32
    }
}

text_settings!(Share);

impl Text for Share {
    fn form(text: &str) -> Read<Self> {
        let refuse = |why: &str| {
            let help = "write a percentage such as \"10%\" or \"0.1%\"";
            Err(Refused(format!("`{}` {why}", clip(text)), help.into()))
        };
        let Some(number) = text.strip_suffix('%') else { return refuse("has no `%`") };
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(decimals) {
            return refuse("is not a percentage");
        }
        if decimals.len() > 3 {
            return refuse("has more than three decimals");
        }
        let thousandths = format!("{decimals:0<3}").parse().unwrap_or(0_u32);
        match whole.parse::<u32>().ok().and_then(|whole| whole.checked_mul(1_000)?.checked_add(thousandths)) {
            Some(share) if share <= Self::ALL.0 => Ok(Self(share)),
            _ => refuse("is above 100%"),
        }
    }

    fn written(&self) -> String {
        let decimals = format!("{:03}", self.0 % 1_000);
        match decimals.trim_end_matches('0') {
            "" => format!("{}%", self.0 / 1_000),
            decimals => format!("{}.{decimals}%", self.0 / 1_000),
        }
    }
}

/// `log` of a route: which of its requests are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogShare(pub Share);

/// `trace` of a route: which of its requests are traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteTrace {
    /// `false`: none, and the trace context passes through as it came.
    Off,
    /// So many of those that begin a trace here.
    Share(Share),
}

impl Setting for LogShare {
    fn read(value: &Value<'_>) -> Option<Self> {
        read(value).map(|share| Self(share.unwrap_or(Share::NONE)))
    }

    fn declared(_: &'static Kind, default: Option<&'static str>) -> Option<Self> {
        Some(Self(if default == Some("true") { Share::ALL } else { Share::NONE }))
    }

    fn show(&self, _: &'static Kind) -> String {
        match self.0 {
            Share::ALL => "true".into(),
            Share::NONE => "false".into(),
            share => quote(&share.written()),
        }
    }
}

impl Setting for RouteTrace {
    fn read(value: &Value<'_>) -> Option<Self> {
        read(value).map(|share| share.map_or(Self::Off, Self::Share))
    }

    fn declared(_: &'static Kind, _: Option<&'static str>) -> Option<Self> {
        None
    }

    fn show(&self, _: &'static Kind) -> String {
        match self {
            Self::Off => "false".into(),
            Self::Share(Share::ALL) => "true".into(),
            Self::Share(share) => quote(&share.written()),
        }
    }
}

/// A share, all for `true`; `None` within for `false`.
fn read(value: &Value<'_>) -> Option<Option<Share>> {
    if value.is_boolean() {
        return Some(value.boolean()?.then_some(Share::ALL));
    }
    let Kind::Either(_, share) = value.kind else { return None };
    if !value.is_string() {
        return value.refuse_type("");
    }
    value.as_kind(share).read(Share::form).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_and_written_to_three_decimals() {
        for (text, thousandths, written) in [
            ("10%", 10_000, "10%"),
            ("0.1%", 100, "0.1%"),
            ("0.001%", 1, "0.001%"),
            ("12.50%", 12_500, "12.5%"),
            ("100%", 100_000, "100%"),
        ] {
            let share = Share::form(text).ok().expect("a share");
            assert_eq!((share.0, share.written().as_str()), (thousandths, written));
        }
        for text in ["10", "%", "1.%", ".5%", "-1%", "100.001%", "1.2345%", "99999999999%"] {
            assert!(Share::form(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_holds_as_many_numbers_as_it_says() {
        let drawn = |n: u64| n * (u64::MAX / 10_000);
        for (share, expected) in
            [(Share::ALL, 10_000), (Share(10_000), 1_000), (Share(100), 10), (Share::NONE, 0)]
        {
            let held = (0..10_000).filter(|n| share.holds(drawn(*n))).count();
            assert!(held.abs_diff(expected) <= 1, "{held} {expected}");
        }
        assert!(Share::ALL.holds(u64::MAX) && !Share::NONE.holds(0));
    }
}
