//! Integers as HPACK writes them (RFC 7541, 5.1): in the low bits of a byte, and in as many more as it takes.

/// Bytes behind the first that an integer may have: enough for 2^28, more than any length or index here.
const MORE_MAX: usize = 4;

/// Reads an integer whose first byte is `first`, of which `prefix` bits are its own; the rest follows in `input`, from
/// which it is taken.
///
/// # Errors
/// It is cut off, or larger than anything that it could stand for.
#[inline]
pub(crate) fn decode(first: u8, prefix: u32, input: &mut &[u8]) -> Result<usize, &'static str> {
    let mask = (1u8 << prefix) - 1;
    let value = first & mask;
    if value < mask { Ok(usize::from(value)) } else { decode_rest(usize::from(mask), input) }
}

fn decode_rest(mut value: usize, input: &mut &[u8]) -> Result<usize, &'static str> {
    for at in 0..MORE_MAX {
        let (byte, rest) = input.split_first().ok_or("a field block that ends within an integer")?;
        *input = rest;
        value += usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("an integer that is too large")
}

/// Appends `value` behind the bits of `pattern`, whose lowest `prefix` bits are zero.
#[inline]
pub(crate) fn encode(value: usize, prefix: u32, pattern: u8, out: &mut Vec<u8>) {
    let mask = (1usize << prefix) - 1;
    if value < mask {
        out.push(pattern | value as u8);
        return;
    }
    out.push(pattern | mask as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: usize, prefix: u32, expected: &[u8]) {
        let mut out = Vec::new();
        encode(value, prefix, 0, &mut out);
        assert_eq!(out, expected);
        let (first, mut rest) = (out[0], &out[1..]);
        assert_eq!(decode(first, prefix, &mut rest), Ok(value));
        assert!(rest.is_empty());
    }

    #[test]
    fn examples_of_the_rfc() {
        check(10, 5, &[10]);
        check(1337, 5, &[31, 154, 10]);
        check(42, 8 - 1, &[42]);
    }

    #[test]
    fn all_lengths_come_back() {
        for prefix in 1..=7 {
            for value in (0..300).chain([16_383, 16_384, 65_535, 1 << 20, (1 << 28) - 1]) {
                let mut out = Vec::new();
                encode(value, prefix, 0, &mut out);
                let mut rest = &out[1..];
                assert_eq!(decode(out[0], prefix, &mut rest), Ok(value));
            }
        }
    }

    #[test]
    fn what_is_cut_or_endless_is_refused() {
        assert!(decode(0x1f, 5, &mut &[0x9a][..]).is_err());
        assert!(decode(0x1f, 5, &mut &[0xff, 0xff, 0xff, 0xff, 0x01][..]).is_err());
        assert!(decode(0x1f, 5, &mut &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00][..]).is_err());
    }
}
