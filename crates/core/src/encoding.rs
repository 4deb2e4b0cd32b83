//! Which content coding a client gets: what its `Accept-Encoding` allows, and in which order (RFC 9110, 12.5.3).

pub use evenkeel_config::Encoding;

/// Weights are in thousandths: this is `q=1`.
const FULL: u16 = 1_000;

/// What a client accepts, by its `Accept-Encoding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accepted {
    /// By [`Encoding`], in thousandths; `None` where the client names it not.
    named: [Option<u16>; Encoding::ALL.len()],
    /// `identity`, if the client names it.
    identity: Option<u16>,
    /// `*`: all that it does not name.
    any: Option<u16>,
}

impl Accepted {
    /// What a client says with these field values, one for each line; without any it gets no coding. A member that is
    /// malformed allows nothing, and of two members for one coding the lesser counts.
    pub fn of<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Self {
        let mut accepted = Self::default();
        let members = values.into_iter().flat_map(|value| value.split(|b| *b == b','));
        for member in members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty()) {
            let (coding, weight) = weighted(member);
            if let Some(slot) = accepted.slot(coding) {
                *slot = Some(slot.map_or(weight, |before| before.min(weight)));
            }
        }
        accepted
    }

    fn slot(&mut self, coding: &[u8]) -> Option<&mut Option<u16>> {
        let is = |name: &str| coding.eq_ignore_ascii_case(name.as_bytes());
        if is("*") {
            return Some(&mut self.any);
        }
        if is("identity") {
            return Some(&mut self.identity);
        }
        // An old name of gzip (RFC 9110, 8.4.1.3).
        let encoding =
            if is("x-gzip") { Encoding::Gzip } else { *Encoding::ALL.iter().find(|e| is(e.word()))? };
        Some(&mut self.named[encoding as usize])
    }

    /// The weight of a coding in thousandths; 0 if the client does not take it.
    pub fn weight(&self, encoding: Encoding) -> u16 {
        self.named[encoding as usize].or(self.any).unwrap_or(0)
    }

    /// True if the client takes this coding.
    pub fn takes(&self, encoding: Encoding) -> bool {
        self.weight(encoding) > 0
    }

    /// The coding of `offered` that the client likes best; among those that it likes alike, the first. `None` is no
    /// coding: because the client takes none of them, or prefers `identity`. A client that refuses that as well gets it all
    /// the same, as the RFC recommends.
    pub fn choose(&self, offered: impl IntoIterator<Item = Encoding>) -> Option<Encoding> {
        let floor = self.identity.unwrap_or(0).max(1);
        let mut best = None;
        for encoding in offered {
            let weight = self.weight(encoding);
            if weight >= floor && best.is_none_or(|(most, _)| weight > most) {
                best = Some((weight, encoding));
            }
        }
        best.map(|(_, encoding)| encoding)
    }
}

/// A member's coding, and its weight in thousandths: 0 if that is malformed.
fn weighted(member: &[u8]) -> (&[u8], u16) {
    let Some(at) = member.iter().position(|b| *b == b';') else { return (member, FULL) };
    let (coding, parameter) = (member[..at].trim_ascii_end(), member[at + 1..].trim_ascii());
    match parameter {
        [b'q' | b'Q', b'=', value @ ..] => (coding, weight(value).unwrap_or(0)),
        _ => (coding, 0),
    }
}

/// `0`, `0.25`, `1.000` (RFC 9110, 12.4.2).
fn weight(value: &[u8]) -> Option<u16> {
    let (whole, decimals) = match value {
        [whole] => (whole, &[][..]),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    let whole = match whole {
        b'0' => 0,
        b'1' => FULL,
        _ => return None,
    };
    let mut unit = FULL;
    let mut sum = whole;
    for digit in decimals {
        unit /= 10;
        sum += unit * u16::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    (sum <= FULL).then_some(sum)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Encoding; 3] = Encoding::ALL;

    #[track_caller]
    fn check(field: &str, expected: Option<Encoding>) {
        assert_eq!(Accepted::of([field.as_bytes()]).choose(ALL), expected, "{field}");
    }

    #[test]
    fn the_order_of_the_offer_decides_between_equals() {
        check("gzip, deflate, br, zstd", Some(Encoding::Zstd));
        check("gzip, deflate, br", Some(Encoding::Br));
        check("gzip", Some(Encoding::Gzip));
        let accepted = Accepted::of([&b"gzip, br, zstd"[..]]);
        assert_eq!(accepted.choose([Encoding::Gzip, Encoding::Br]), Some(Encoding::Gzip));
        assert_eq!(accepted.choose([]), None);
    }

    #[test]
    fn the_greater_weight_wins() {
        check("zstd;q=0.1, br;q=0.9, gzip;q=0.5", Some(Encoding::Br));
        check("zstd;q=0.998, gzip;q=0.999", Some(Encoding::Gzip));
        check("br;q=0, gzip;q=0.001", Some(Encoding::Gzip));
        check("gzip ; q=1.000 , br ;q=0.5", Some(Encoding::Gzip));
        check("GZIP;Q=0.3", Some(Encoding::Gzip));
        check("x-gzip", Some(Encoding::Gzip));
    }

    #[test]
    fn a_star_stands_for_what_is_not_named() {
        check("*", Some(Encoding::Zstd));
        check("zstd;q=0, *", Some(Encoding::Br));
        check("gzip, *;q=0", Some(Encoding::Gzip));
        check("gzip;q=0.5, *;q=0.6", Some(Encoding::Zstd));
        check("*;q=0", None);
    }

    #[test]
    fn identity_wins_where_the_client_prefers_it() {
        check("identity", None);
        check("identity, gzip;q=0.5", None);
        check("identity;q=0.5, gzip;q=0.5", Some(Encoding::Gzip));
        check("identity;q=0", None);
        check("identity;q=0, gzip;q=0.1", Some(Encoding::Gzip));
        check("identity;q=0, gzip;q=0", None);
    }

    #[test]
    fn nothing_said_is_nothing_asked_for() {
        assert_eq!(Accepted::of([]).choose(ALL), None);
        check("", None);
        check(" , ,", None);
    }

    #[test]
    fn several_lines_are_one_list() {
        let accepted = Accepted::of([&b"gzip;q=0.5"[..], b"br"]);
        assert_eq!(accepted.choose(ALL), Some(Encoding::Br));
    }

    #[test]
    fn malformed_members_allow_nothing_and_spare_the_rest() {
        for field in
            ["gzip;q=2", "gzip;q=1.001", "gzip;q=0.1234", "gzip;q=", "gzip;q=.5", "gzip;q=-1", "gzip;q=abc"]
        {
            check(field, None);
            check(&format!("{field}, br"), Some(Encoding::Br));
            check(&format!("{field}, *;q=0.1"), Some(Encoding::Zstd));
        }
        for field in
            ["gzip;", "gzip;level=9", "gzip q=1", "gzip;q=1;q=1", "gzi", ";q=1", "\"gzip\"", "\u{ff}"]
        {
            check(field, None);
        }
        check("gzip;q=0, gzip", None);
        check("gzip, gzip;q=0", None);
    }

    proptest! {
        /// Whatever a client sends: nothing that it did not ask for, and never less liked than another offer.
        #[test]
        fn what_is_chosen_is_among_what_was_asked_for(
            field in "((gzip|br|zstd|identity|\\*|x)(;q=[01](\\.[0-9]{0,3})?)? ?,? ?){0,6}",
        ) {
            let accepted = Accepted::of([field.as_bytes()]);
            match accepted.choose(ALL) {
                Some(chosen) => {
                    prop_assert!(field.contains(chosen.word()) || field.contains('*'));
                    prop_assert!(ALL.iter().all(|other| accepted.weight(*other) <= accepted.weight(chosen)));
                }
                None => prop_assert!(
                    accepted.identity.is_some() || ALL.iter().all(|other| !accepted.takes(*other))
                ),
            }
        }
    }
}
