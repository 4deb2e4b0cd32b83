//! A line while it is written: pieces behind one another, in room that is there already.

use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use evenkeel_types::three_digits;

/// The room that is left. It goes from piece to piece by value, so that it stays in registers.
#[derive(Debug)]
#[must_use]
pub(super) struct Line<'a>(pub(super) &'a mut [u8]);

impl Line<'_> {
    /// How many bytes there is room for.
    pub(super) fn left(&self) -> usize {
        self.0.len()
    }

    /// Bytes as they are. There is room for the longest line; of one longer than that, the end would be missing.
    #[inline(always)]
    pub(super) fn put(self, piece: &[u8]) -> Self {
        let Some((here, rest)) = self.0.split_at_mut_checked(piece.len()) else { return Self(&mut []) };
        here.copy_from_slice(piece);
        Self(rest)
    }

    /// Bytes as they are, and a quote behind them.
    #[inline(always)]
    pub(super) fn put_quoted(self, piece: &[u8]) -> Self {
        match self.0.split_at_mut_checked(piece.len() + 1) {
            Some((&mut [ref mut here @ .., ref mut quote], rest)) => {
                here.copy_from_slice(piece);
                *quote = b'"';
                Self(rest)
            }
            _ => Self(&mut []),
        }
    }

    /// A number in decimal.
    #[inline]
    pub(super) fn number(self, n: u64) -> Self {
        match n {
            // Most numbers of a line are a zero or a one, and one is a status.
            0..10 => self.put(&[b'0' + n as u8]),
            100..1_000 => self.put(&three_digits(n)),
            _ => self.put(itoa::Buffer::new().format(n).as_bytes()),
        }
    }

    /// Milliseconds with three decimals, cut to whole microseconds.
    #[inline]
    pub(super) fn milliseconds(self, duration: Duration) -> Self {
        let ms = duration.as_secs().saturating_mul(1_000).saturating_add(u64::from(duration.subsec_millis()));
        let [a, b, c] = three_digits(u64::from(duration.subsec_micros() % 1_000));
        match ms {
            // Most take no longer.
            0..10 => self.put(&[b'0' + ms as u8, b'.', a, b, c]),
            _ => self.number(ms).put(&[b'.', a, b, c]),
        }
    }

    /// An address without its port; one of IPv4 that came over an IPv6 socket as what it is.
    pub(super) fn address(self, ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                let line = self.number(u64::from(a));
                [b, c, d].into_iter().fold(line, |line, octet| line.put(b".").number(u64::from(octet)))
            }
            IpAddr::V6(v6) => {
                let mut line = self;
                // There is room.
                let _ = write!(line.0, "{v6}");
                line
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_they_are_displayed() {
        let borders = (0..20).flat_map(|power| {
            let ten = 10_u64.saturating_pow(power);
            [ten - 1, ten, ten + 1]
        });
        for n in (0..2_000).chain(borders).chain([u64::MAX]) {
            let mut room = [0; 20];
            let left = Line(&mut room).number(n).left();
            assert_eq!(&room[..20 - left], n.to_string().as_bytes());
        }
    }

    #[test]
    fn what_has_no_room_is_left_out() {
        let mut room = *b"....";
        assert_eq!(Line(&mut room).put(b"abc").put(b"de").left(), 0);
        assert_eq!(&room, b"abc.");
        assert_eq!(Line(&mut room).put_quoted(b"abcd").left(), 0);
        assert_eq!(Line(&mut room).put_quoted(b"xyz").left(), 0);
        assert_eq!(&room, b"xyz\"");
    }
}
