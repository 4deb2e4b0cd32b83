//! Fields that are lines already, `name: value` CRLF: how one is taken apart, and how one that is in the encoder's table is
//! known by what it begins with.

use super::static_table::Line;

/// Lines that are remembered at a time.
const SLOTS: usize = 32;
/// Bytes that a line is known by.
const START: usize = 16;

const ONES: u64 = u64::MAX / 255;
const TOPS: u64 = ONES << 7;

/// Where lines are in the table, by what they begin with.
#[derive(Debug, Default)]
pub(super) struct Lines([Known; SLOTS]);

/// A line that is in the table.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    start: Key,
    /// The number of its entry, from 1; 0 for none.
    entry: u32,
}

/// A hash of what a line begins with. A server writes its names in one case: another one has its own key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Key(u32);

impl Lines {
    /// That of the line that `text` begins with; `None` if it is too short to be remembered.
    #[inline]
    pub(super) fn key(text: &[u8]) -> Option<Key> {
        let start: &[u8; START] = text.first_chunk()?;
        let (words, _) = start.as_chunks::<8>();
        let [one, two] = [words[0], words[1]].map(u64::from_le_bytes);
        let mixed = (one ^ two.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Some(Key((mixed >> 32) as u32))
    }

    /// The number of the entry that a line of that key may be.
    #[inline]
    pub(super) fn entry(&self, key: Key) -> Option<u32> {
        let known = self.0[key.0 as usize % SLOTS];
        (known.start == key && known.entry > 0).then_some(known.entry)
    }

    /// A line of that key is in the table.
    pub(super) fn learn(&mut self, key: Key, entry: u32) {
        self.0[key.0 as usize % SLOTS] = Known { start: key, entry };
    }
}

/// True if `text` begins with this line, whose name it may have in any case.
#[inline]
pub(super) fn begins_with(text: &[u8], line: Line<'_>) -> bool {
    if text.starts_with(line.bytes) {
        return true;
    }
    let Some((name, rest)) = text.split_at_checked(line.name_len) else { return false };
    rest.starts_with(&line.bytes[line.name_len..]) && name.eq_ignore_ascii_case(line.name())
}

/// The name and the value of the line that `text` begins with, and what is behind it; `None` at an empty line or the end.
#[inline]
pub(super) fn split(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let end = position(text, b'\r').filter(|end| *end > 0)?;
    let (line, after) = text.split_at(end);
    let after = after.strip_prefix(b"\r\n")?;
    let colon = position(line, b':')?;
    Some((&line[..colon], line[colon + 1..].trim_ascii(), after))
}

/// Where `byte` stands first, looked for eight bytes at a time.
#[inline]
fn position(text: &[u8], byte: u8) -> Option<usize> {
    let (words, rest) = text.as_chunks::<8>();
    let pattern = ONES * u64::from(byte);
    for (at, word) in words.iter().enumerate() {
        let differs = u64::from_le_bytes(*word) ^ pattern;
        // The lowest bit that is set is right, those above it may not be.
        let same = differs.wrapping_sub(ONES) & !differs & TOPS;
        if same != 0 {
            return Some(8 * at + (same.trailing_zeros() / 8) as usize);
        }
    }
    Some(8 * words.len() + rest.iter().position(|other| *other == byte)?)
}

/// Copies `name` in lower case, eight bytes at a time.
#[inline]
pub(super) fn lower_case(name: &[u8], lower: &mut [u8]) {
    let (words, rest) = name.as_chunks::<8>();
    let (lower_words, lower_rest) = lower.as_chunks_mut::<8>();
    for (word, lower) in words.iter().zip(lower_words) {
        *lower = lower_word(u64::from_ne_bytes(*word)).to_ne_bytes();
    }
    for (byte, lower) in rest.iter().zip(lower_rest) {
        *lower = byte.to_ascii_lowercase();
    }
}

#[inline]
fn lower_word(word: u64) -> u64 {
    let ascii = word & (ONES * 0x7f);
    let from_a = ascii + ONES * (0x80 - b'A' as u64);
    let beyond_z = ascii + ONES * (0x80 - b'Z' as u64 - 1);
    let is_upper = (from_a & !beyond_z & !word) & (ONES * 0x80);
    word | is_upper >> 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_in_lower_case() {
        for byte in 0..=255u8 {
            let mut lower = [0; 9];
            lower_case(&[byte; 9], &mut lower);
            assert_eq!(lower, [byte.to_ascii_lowercase(); 9]);
        }
    }

    #[test]
    fn a_byte_is_found_wherever_it_stands() {
        for len in 0..40 {
            assert_eq!(position(&vec![b'x'; len], b':'), None);
            for at in 0..len {
                let mut text = vec![b';'; len];
                text[at..].fill(b':');
                assert_eq!(position(&text, b':'), Some(at), "{at} of {len}");
            }
        }
    }

    #[test]
    fn lines_are_taken_apart() {
        let text = b"a: b\r\nName:  c: d \r\nempty:\r\n\r\nbody: x\r\n";
        let mut rest = &text[..];
        let mut seen = Vec::new();
        while let Some((name, value, after)) = split(rest) {
            seen.push((name, value));
            rest = after;
        }
        let expected: [(&[u8], &[u8]); 3] = [(b"a", b"b"), (b"Name", b"c: d"), (b"empty", b"")];
        assert_eq!(seen, expected);
        for cut in [&b""[..], b"a: b", b"a: b\r", b"a\r\n"] {
            assert_eq!(split(cut), None, "{cut:?}");
        }
    }
}
