//! The Huffman code of RFC 7541, appendix B: decoding by a table of 12 bits, encoding by one of codes.

/// How many bits of input one step of the decoder looks at.
const PEEK: u32 = 12;
/// The symbol that stands for the end of the string, which must not occur in one.
const EOS: u16 = 256;
/// Bits of the longest code.
const LONGEST: usize = 30;

/// The length of each symbol's code in bits. The code is canonical: codes of one length follow each other in the order of
/// their symbols, so the lengths say it all.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// The code laid out for both directions.
struct Code {
    /// Each symbol's code, right-aligned.
    codes: [u32; 257],
    /// The symbols by length of code, then by value.
    symbols: [u16; 257],
    /// For each length the first code that is longer, left-aligned in 32 bits.
    limits: [u64; LONGEST + 1],
    /// For each length the first code of that length, right-aligned, and where it stands in `symbols`.
    firsts: [(u32, u16); LONGEST + 1],
}

static CODE: Code = lay_out();
static PAIRS: [Pair; 1 << PEEK] = pairs(&lay_out());

/// What 12 bits begin with: up to two symbols.
#[derive(Clone, Copy)]
struct Pair {
    symbols: [u8; 2],
    /// Bits of the first; 0 if its code is longer than 12 bits.
    first: u8,
    /// Bits of both; the same as `first` if the second does not fit.
    both: u8,
}

const fn lay_out() -> Code {
    let mut code =
        Code { codes: [0; 257], symbols: [0; 257], limits: [0; LONGEST + 1], firsts: [(0, 0); LONGEST + 1] };
    let (mut length, mut next, mut at) = (1, 0u32, 0usize);
    while length <= LONGEST {
        code.firsts[length] = (next, at as u16);
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                code.codes[symbol] = next;
                code.symbols[at] = symbol as u16;
                next += 1;
                at += 1;
            }
            symbol += 1;
        }
        code.limits[length] = (next as u64) << (32 - length);
        next <<= 1;
        length += 1;
    }
    code
}

const fn pairs(code: &Code) -> [Pair; 1 << PEEK] {
    let mut pairs = [Pair { symbols: [0; 2], first: 0, both: 0 }; 1 << PEEK];
    let mut bits = 0;
    while bits < pairs.len() {
        let (first, one) = short(code, bits as u64, PEEK);
        let mut pair = Pair { symbols: [first, 0], first: one, both: one };
        if one > 0 {
            let (second, two) = short(code, bits as u64, PEEK - one as u32);
            pair.symbols[1] = second;
            pair.both = one + two;
        }
        pairs[bits] = pair;
        bits += 1;
    }
    pairs
}

/// The symbol whose code the lowest `count` bits begin with, and its length; a length of 0 if it is longer.
const fn short(code: &Code, bits: u64, count: u32) -> (u8, u8) {
    let window = (bits << (32 - count)) & 0xffff_ffff;
    let mut length = 1;
    while length <= count as usize {
        if window < code.limits[length] {
            let (first, at) = code.firsts[length];
            let symbol = code.symbols[at as usize + ((window >> (32 - length)) as u32 - first) as usize];
            return (symbol as u8, length as u8);
        }
        length += 1;
    }
    (0, 0)
}

/// Appends what `input` stands for to `out`; at most 8/5 of its length.
///
/// # Errors
/// It holds the end symbol, or its padding is not the at most seven ones that RFC 7541, 5.2 asks for.
pub(crate) fn decode(input: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    out.reserve(input.len() * 8 / 5 + 1);
    let (mut window, mut bits) = (0u64, 0u32);
    let mut rest = input;
    loop {
        // Some 32 bits at a time; the window never holds more than 61.
        if bits < LONGEST as u32 {
            if let Some((word, after)) = rest.split_first_chunk::<4>() {
                window = window << 32 | u64::from(u32::from_be_bytes(*word));
                bits += 32;
                rest = after;
            } else if let Some((byte, after)) = rest.split_first() {
                window = window << 8 | u64::from(*byte);
                bits += 8;
                rest = after;
                continue;
            } else {
                return finish(window, bits, out);
            }
        }
        let pair = PAIRS[(window >> (bits - PEEK)) as usize & (PAIRS.len() - 1)];
        if pair.both > pair.first {
            out.extend_from_slice(&pair.symbols);
            bits -= u32::from(pair.both);
        } else if pair.first > 0 {
            out.push(pair.symbols[0]);
            bits -= u32::from(pair.first);
        } else {
            bits -= long(window << (64 - bits) >> 32, out)?;
        }
    }
}

/// Decodes a code of more than 12 bits, with which the 32 bits of `window` begin; yields its length.
#[cold]
fn long(window: u64, out: &mut Vec<u8>) -> Result<u32, &'static str> {
    for length in PEEK as usize + 1..=LONGEST {
        if window < CODE.limits[length] {
            let (first, at) = CODE.firsts[length];
            let offset = (window >> (32 - length)) as u32 - first;
            let symbol = CODE.symbols[usize::from(at) + offset as usize];
            if symbol == EOS {
                break;
            }
            out.push(symbol as u8);
            return Ok(length as u32);
        }
    }
    Err("the end symbol in a Huffman string")
}

/// Decodes the last `bits` bits of a string, fewer than the longest code has.
fn finish(window: u64, mut bits: u32, out: &mut Vec<u8>) -> Result<(), &'static str> {
    const PADDING: &str = "invalid padding of a Huffman string";
    while bits > 0 {
        // Ones behind the end, as in padding: no code consists of ones alone but the end symbol.
        let ahead = (window << (64 - bits) >> 32) | (0xffff_ffffu64 >> bits);
        let (symbol, length) = short(&CODE, ahead >> (32 - PEEK), PEEK);
        if length > 0 && u32::from(length) <= bits {
            out.push(symbol);
            bits -= u32::from(length);
            continue;
        }
        if bits < 8 && ahead == 0xffff_ffff {
            return Ok(());
        }
        if length > 0 {
            return Err(PADDING);
        }
        let before = out.len();
        let length = long(ahead, out).map_err(|_| PADDING)?;
        if length > bits {
            out.truncate(before);
            return Err(PADDING);
        }
        bits -= length;
    }
    Ok(())
}

/// How many bytes `text` takes when it is encoded.
pub(crate) fn encoded_len(text: &[u8]) -> usize {
    let bits: usize = text.iter().map(|byte| usize::from(LENGTHS[usize::from(*byte)])).sum();
    bits.div_ceil(8)
}

/// Appends `text`, encoded, to `out`.
pub(crate) fn encode(text: &[u8], out: &mut Vec<u8>) {
    let (mut window, mut bits) = (0u64, 0u32);
    for byte in text {
        let length = u32::from(LENGTHS[usize::from(*byte)]);
        window = window << length | u64::from(CODE.codes[usize::from(*byte)]);
        bits += length;
        if bits >= 32 {
            bits -= 32;
            out.extend_from_slice(&((window >> bits) as u32).to_be_bytes());
        }
    }
    while bits >= 8 {
        bits -= 8;
        out.push((window >> bits) as u8);
    }
    if bits > 0 {
        out.push((window << (8 - bits)) as u8 | 0xff >> bits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(text: &[u8]) -> Vec<u8> {
        let mut coded = Vec::new();
        encode(text, &mut coded);
        assert_eq!(coded.len(), encoded_len(text));
        let mut back = Vec::new();
        decode(&coded, &mut back).unwrap();
        assert_eq!(back, text);
        coded
    }

    #[test]
    fn examples_of_the_rfc() {
        assert_eq!(round(b"www.example.com"), b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff");
        assert_eq!(round(b"no-cache"), b"\xa8\xeb\x10\x64\x9c\xbf");
        assert_eq!(round(b"custom-key"), b"\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f");
        assert_eq!(round(b""), b"");
    }

    #[test]
    fn every_byte_and_every_pair_of_bytes_comes_back() {
        for a in 0..=255 {
            round(&[a]);
            for b in 0..=255 {
                round(&[a, b]);
                round(&[b'a', a, b'0', b, b'/']);
            }
        }
        round(&(0..=255).collect::<Vec<u8>>());
    }

    #[test]
    fn what_is_no_huffman_string_is_refused() {
        let mut out = Vec::new();
        for wrong in [
            b"\x49\x50\x9f\xff".as_slice(),  // More than 7 bits of padding.
            b"\x49\x50\x90",                 // Zeros as padding.
            b"\x49\x51\xff\xff\xff\xfa\x7f", // The end symbol within.
            b"\xff",
            b"\xff\xff\xff\xff",
            b"\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x00\x00\x00\x00\x00\xff\xff\xff\xfc",
        ] {
            assert!(decode(wrong, &mut out).is_err(), "{wrong:x?}");
        }
    }
}
