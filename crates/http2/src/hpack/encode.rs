//! Encoding field blocks (RFC 7541, 6): what repeats is sent as an index, what changes each time as it is.

use evenkeel_types::three_digits;

use super::class::Class;
use super::lines::{self, Key, Lines, lower_case};
use super::static_table::{LEN, Line, find_name, hash};
use super::table::Table;
use super::{huffman, integer};

/// Names that are remembered at a time.
const SLOTS: usize = 64;
/// The longest name that is looked up, in bytes; longer ones are sent as they are.
const NAME_MAX: usize = 64;
/// The longest value that may go into the table, in bytes.
const VALUE_MAX: usize = 256;
/// A cookie shorter than this is never indexed, since its value could be guessed from the length of what is sent (RFC 7541,
/// 7.1.3).
const COOKIE_MIN: usize = 20;

/// The size of the peer's table until another one is agreed on.
const SIZE: u32 = 4096;

const COOKIE: u8 = 32;
const AUTHORIZATION: u8 = 23;
const PROXY_AUTHORIZATION: u8 = 49;
const SET_COOKIE: u8 = 55;

/// Encodes the field blocks of one direction of a connection, in order.
///
/// A field goes into the dynamic table when its name is new, or when it has the value that it had the last time. So what is
/// different in each message costs one entry and drives nothing of use from the table. Credentials are never indexed.
#[derive(Debug)]
pub struct Encoder {
    table: Table,
    /// The largest table that it wants.
    wanted: u32,
    /// The size to announce at the start of the next block.
    resize: Option<u32>,
    /// The size of the peer's table.
    announced: u32,
    learned: Option<Box<Learned>>,
}

/// What the encoder knows of the fields that it has sent.
#[derive(Debug)]
struct Learned {
    names: [Name; SLOTS],
    lines: Lines,
}

/// What was sent last of a name.
#[derive(Debug, Clone, Copy, Default)]
struct Name {
    hash: u32,
    /// The hash of the value that came last.
    value: u32,
    /// The number of its entry in the table, from 1; 0 if it has none.
    entry: u32,
}

impl Encoder {
    /// An encoder whose dynamic table takes at most `wanted` bytes, as RFC 7541 counts them.
    pub fn new(wanted: u32) -> Self {
        // The peer starts with 4,096, and a smaller table here does not disturb it.
        Self { table: Table::new(wanted.min(SIZE)), wanted, resize: None, announced: SIZE, learned: None }
    }

    /// The peer's SETTINGS_HEADER_TABLE_SIZE is `allowed`.
    pub fn limit(&mut self, allowed: u32) {
        let max = allowed.min(self.wanted);
        if max != self.table.max() || allowed < self.announced {
            self.table.resize(max);
            self.resize = Some(max);
        }
    }

    /// Lets go of the memory of its table. Later blocks are larger until it has learned again.
    pub fn forget(&mut self) {
        self.table.clear();
        self.learned = None;
    }

    /// Bytes of memory that it holds on the heap.
    pub fn memory(&self) -> usize {
        self.table.memory() + self.learned.as_ref().map_or(0, |_| size_of::<Learned>())
    }

    /// Begins a field block: must be called before its first field.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some(size) = self.resize.take() {
            // Had it shrunk and grown since the last block, both would have to be said (RFC 7541, 4.2): nothing is the
            // smallest, and empties the peer's table.
            integer::encode(0, 5, 0x20, out);
            integer::encode(size as usize, 5, 0x20, out);
            self.announced = size;
            self.forget();
        }
    }

    /// Appends `:status`.
    pub fn status(&mut self, status: u16, out: &mut Vec<u8>) {
        let index = match status {
            200 => 8,
            204 => 9,
            206 => 10,
            304 => 11,
            400 => 12,
            404 => 13,
            500 => 14,
            _ => return self.field(b":status", &three_digits(u64::from(status)), out),
        };
        out.push(0x80 | index);
    }

    /// Appends a pseudo-header field of a request, or any field whose name is in lower case and in the static table.
    pub(crate) fn part(&mut self, name: &'static [u8], value: &[u8], out: &mut Vec<u8>) {
        let index = match (name, value) {
            (b":method", b"GET") => 2,
            (b":method", b"POST") => 3,
            (b":path", b"/") => 4,
            (b":scheme", b"http") => 6,
            (b":scheme", b"https") => 7,
            _ => return self.field(name, value, out),
        };
        out.push(0x80 | index);
    }

    /// Appends a field. The name may be in any case, and is sent in lower case.
    pub fn field(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        self.put(name, value, out);
    }

    /// Appends fields.
    #[inline]
    pub(crate) fn fields<'f>(
        &mut self,
        fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>,
        out: &mut Vec<u8>,
    ) {
        for (name, value) in fields {
            self.put(name, value, out);
        }
    }

    /// Appends the field lines of a section, `name: value` CRLF each, up to its empty line or its end: all but those whose
    /// names `is_left_out` holds for, which must always be the same ones. Names may be in any case, and are sent in lower
    /// case. Yields the value of `priority`, if that is among them.
    pub fn lines<'s>(
        &mut self,
        section: &'s [u8],
        is_left_out: impl Fn(&[u8]) -> bool,
        out: &mut Vec<u8>,
    ) -> Option<&'s [u8]> {
        let (mut rest, mut priority) = (section, None);
        loop {
            let key = Lines::key(rest);
            if let Some((index, len)) = key.and_then(|key| self.known_line(key, rest)) {
                integer::encode(index, 7, 0x80, out);
                rest = &rest[len..];
                continue;
            }
            let Some((name, value, after)) = lines::split(rest) else { return priority };
            rest = after;
            if is_left_out(name) {
                continue;
            }
            let entry = self.put(name, value, out);
            if name.eq_ignore_ascii_case(b"priority") {
                // Its line is not remembered, and so is seen here each time.
                priority = Some(value);
                continue;
            }
            if let (Some(key), Some(learned)) = (key, &mut self.learned)
                && entry > 0
            {
                learned.lines.learn(key, entry);
            }
        }
    }

    /// The index of the line that `text` begins with, if that is in the table, and its length.
    #[inline]
    fn known_line(&self, key: Key, text: &[u8]) -> Option<(usize, usize)> {
        let entry = self.learned.as_ref()?.lines.entry(key)?;
        let age = self.table.inserted().wrapping_sub(entry) as usize;
        let line = self.table.line(age)?;
        lines::begins_with(text, line).then_some((LEN + 1 + age, line.bytes.len()))
    }

    /// Appends a field; yields the number of its entry in the table, from 1, or 0 if it has none.
    fn put(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) -> u32 {
        let mut lower = [0; NAME_MAX];
        let Some(lower) = lower.get_mut(..name.len()) else {
            out.push(0);
            integer::encode(name.len(), 7, 0, out);
            out.extend(name.iter().map(u8::to_ascii_lowercase));
            raw(value, out);
            return 0;
        };
        lower_case(name, lower);
        let hash = hash(lower);
        let names = &mut self.learned.get_or_insert_with(Learned::nothing).names;
        let (slot, is_new) = find(names, hash);
        let mut found = Found { slot, is_new, index: 0, static_index: 0 };
        let entry = names[slot].entry;
        if entry > 0 {
            let age = self.table.inserted().wrapping_sub(entry) as usize;
            match self.table.line(age) {
                Some(line) if line.name() == lower => {
                    if line.value() == value {
                        integer::encode(LEN + 1 + age, 7, 0x80, out);
                        return entry;
                    }
                    found.static_index = line.index;
                    found.index = if line.index > 0 { usize::from(line.index) } else { LEN + 1 + age };
                }
                _ => names[slot].entry = 0,
            }
        }
        if found.index == 0 {
            found.static_index = find_name(lower, hash);
            found.index = usize::from(found.static_index);
        }
        self.literal(found, lower, value, out)
    }

    /// Appends a field that is in no table; yields the number of its entry from here on, or 0.
    fn literal(&mut self, found: Found, name: &[u8], value: &[u8], out: &mut Vec<u8>) -> u32 {
        let Found { index, static_index, .. } = found;
        let is_secret = matches!(static_index, AUTHORIZATION | PROXY_AUTHORIZATION)
            || static_index == COOKIE && value.len() < COOKIE_MIN;
        if is_secret || !self.is_worth_an_entry(found, value) {
            integer::encode(index, 4, if is_secret { 0x10 } else { 0 }, out);
            name_literal(index, name, out);
            raw(value, out);
            return 0;
        }
        integer::encode(index, 6, 0x40, out);
        name_literal(index, name, out);
        coded(value, out);
        self.insert(found, name, value)
    }

    /// Learns of a value that is in no table; true if it is to be indexed.
    fn is_worth_an_entry(&mut self, found: Found, value: &[u8]) -> bool {
        let Some(learned) = &mut self.learned else { return false };
        let digest = digest(value);
        let is_same = std::mem::replace(&mut learned.names[found.slot].value, digest) == digest;
        let fits = value.len() <= VALUE_MAX && self.table.max() as usize >= 2 * value.len() + 128;
        (found.is_new || is_same) && fits && found.static_index != SET_COOKIE
    }

    fn insert(&mut self, found: Found, name: &[u8], value: &[u8]) -> u32 {
        let mut line = [0; NAME_MAX + VALUE_MAX + 4];
        let value_start = name.len() + 2;
        let len = value_start + value.len() + 2;
        line[..name.len()].copy_from_slice(name);
        line[name.len()..value_start].copy_from_slice(b": ");
        line[value_start..len - 2].copy_from_slice(value);
        line[len - 2..len].copy_from_slice(b"\r\n");
        self.table.insert(Line {
            bytes: &line[..len],
            name_len: name.len(),
            value_len: value.len(),
            class: Class::Plain,
            index: found.static_index,
        });
        let entry = self.table.inserted();
        if let Some(learned) = &mut self.learned {
            learned.names[found.slot].entry = entry;
        }
        entry
    }
}

impl Learned {
    fn nothing() -> Box<Self> {
        Box::new(Self { names: [Name::default(); SLOTS], lines: Lines::default() })
    }
}

/// Where a name is.
#[derive(Debug, Clone, Copy)]
struct Found {
    /// Among the names that are remembered.
    slot: usize,
    /// True if it was not there before.
    is_new: bool,
    /// In the tables; 0 if it is in none.
    index: usize,
    /// In the static table; 0 if it is not there.
    static_index: u8,
}

/// The slot of the name of that hash, and true if it is new there. A name has two slots, of which the older one goes.
#[inline]
fn find(names: &mut [Name; SLOTS], hash: u32) -> (usize, bool) {
    let slot = (hash as usize * 2) % SLOTS;
    if names[slot].hash == hash {
        return (slot, false);
    }
    if names[slot + 1].hash == hash {
        return (slot + 1, false);
    }
    names[slot + 1] = names[slot];
    names[slot] = Name { hash, ..Name::default() };
    (slot, true)
}

fn name_literal(index: usize, name: &[u8], out: &mut Vec<u8>) {
    if index == 0 {
        coded(name, out);
    }
}

/// A string as it is: quicker to write, for what is sent once.
#[inline]
fn raw(text: &[u8], out: &mut Vec<u8>) {
    integer::encode(text.len(), 7, 0, out);
    out.extend_from_slice(text);
}

/// A string in the Huffman code where that is shorter.
fn coded(text: &[u8], out: &mut Vec<u8>) {
    let len = huffman::encoded_len(text);
    if len < text.len() {
        integer::encode(len, 7, 0x80, out);
        huffman::encode(text, out);
    } else {
        raw(text, out);
    }
}

/// A hash of a value, by which it is known again.
fn digest(value: &[u8]) -> u32 {
    let (words, rest) = value.as_chunks::<8>();
    let mut mixed = value.len() as u64;
    for word in words {
        mixed = (mixed.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    for byte in rest {
        mixed = (mixed.rotate_left(5) ^ u64::from(*byte)).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    (mixed >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::{Head, HeadLimits};
    use crate::hpack::Decoder;

    #[test]
    fn what_repeats_shrinks_and_what_changes_takes_no_entries() {
        let mut encoder = Encoder::new(1024);
        let mut sizes = Vec::new();
        for round in 0..50 {
            let mut out = Vec::new();
            encoder.begin(&mut out);
            encoder.status(200, &mut out);
            encoder.field(b"Content-Type", b"text/html; charset=utf-8", &mut out);
            encoder.field(b"x-request-id", format!("{round:032}").as_bytes(), &mut out);
            sizes.push(out.len());
        }
        assert!(sizes[1..].iter().all(|size| *size == sizes[1]), "{sizes:?}");
        assert_eq!(sizes[1], 1 + 1 + 2 + 1 + 32);
        assert_eq!(encoder.table.len(), 2);
    }

    #[test]
    fn credentials_are_never_indexed() {
        let mut encoder = Encoder::new(4096);
        for (name, value) in
            [("authorization", "Basic secret"), ("proxy-authorization", "x"), ("cookie", "short")]
        {
            for _ in 0..3 {
                let mut out = Vec::new();
                encoder.field(name.as_bytes(), value.as_bytes(), &mut out);
                assert_eq!(out[0] & 0xf0, 0x10, "{name}");
            }
        }
    }

    #[test]
    fn the_table_follows_the_settings_of_the_peer() {
        let (mut encoder, mut decoder, mut head) = (Encoder::new(4096), Decoder::new(4096), Head::new());
        for size in [4096, 100, 4096, 0, 300, 300, 4096] {
            encoder.limit(size);
            decoder.limit(size);
            for _ in 0..3 {
                let mut out = Vec::new();
                encoder.begin(&mut out);
                encoder.field(b"x-test", b"some value", &mut out);
                encoder.field(b"x-other", b"another value of some length", &mut out);
                head.clear(HeadLimits::default());
                decoder.decode(&out, &mut head).unwrap();
                assert_eq!(head.field(b"x-other"), Some(b"another value of some length".as_slice()));
            }
        }
    }
}
