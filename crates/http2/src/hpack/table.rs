//! The dynamic table of HPACK (RFC 7541, 2.3.2 and 4): fields as lines in one buffer, the newest found first.

use std::collections::VecDeque;

use super::class::Class;
use super::static_table::Line;

/// What an entry counts for beyond its name and value (RFC 7541, 4.1).
const OVERHEAD: usize = 32;
/// Bytes that an entry's line has beyond its name and value: colon, space, CR, LF.
const PUNCTUATION: usize = 4;
/// The largest table that is possible, in bytes as RFC 7541 counts them, so that lengths fit 16 bits.
pub(crate) const SIZE_MAX: u32 = 65_535;

/// Entries and their bytes. An empty table holds no memory.
#[derive(Debug, Default)]
pub(crate) struct Table {
    entries: VecDeque<Entry>,
    bytes: Vec<u8>,
    /// The offset of the first of `bytes`, counted from the first ever.
    base: u32,
    /// As RFC 7541 counts it.
    size: u32,
    max: u32,
    /// Entries ever inserted.
    inserted: u32,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Its offset, counted from the first byte ever.
    start: u32,
    name_len: u16,
    value_len: u16,
    class: Class,
    index: u8,
}

impl Entry {
    fn len(self) -> usize {
        usize::from(self.name_len) + usize::from(self.value_len) + PUNCTUATION
    }

    fn size(self) -> u32 {
        u32::from(self.name_len) + u32::from(self.value_len) + OVERHEAD as u32
    }
}

impl Table {
    /// An empty one that may grow to `max` bytes.
    pub(crate) fn new(max: u32) -> Self {
        Self { max: max.min(SIZE_MAX), ..Self::default() }
    }

    pub(crate) fn max(&self) -> u32 {
        self.max
    }

    /// How many entries were ever inserted: the number of the next one.
    pub(crate) fn inserted(&self) -> u32 {
        self.inserted
    }

    /// How many there are now.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entry `at`, the newest being 0.
    #[inline]
    pub(crate) fn line(&self, at: usize) -> Option<Line<'_>> {
        let entry = *self.entries.get(self.entries.len().checked_sub(at + 1)?)?;
        let start = entry.start.wrapping_sub(self.base) as usize;
        Some(Line {
            bytes: &self.bytes[start..start + entry.len()],
            name_len: usize::from(entry.name_len),
            value_len: usize::from(entry.value_len),
            class: entry.class,
            index: entry.index,
        })
    }

    /// Sets how large it may be, and evicts what is too much.
    pub(crate) fn resize(&mut self, max: u32) {
        self.max = max.min(SIZE_MAX);
        self.evict(self.max);
    }

    /// Inserts a field, for which old ones go; one that is larger than the table empties it.
    pub(crate) fn insert(&mut self, line: Line<'_>) {
        let size = line.name_len + line.value_len + OVERHEAD;
        if size > self.max as usize {
            self.clear();
            return;
        }
        self.evict(self.max - size as u32);
        self.make_room(line.bytes.len());
        self.entries.push_back(Entry {
            start: self.base.wrapping_add(self.bytes.len() as u32),
            name_len: line.name_len as u16,
            value_len: line.value_len as u16,
            class: line.class,
            index: line.index,
        });
        self.bytes.extend_from_slice(line.bytes);
        self.size += size as u32;
        self.inserted = self.inserted.wrapping_add(1);
    }

    /// Lets go of all entries and their memory.
    pub(crate) fn clear(&mut self) {
        (self.entries, self.bytes, self.size) = (VecDeque::new(), Vec::new(), 0);
    }

    fn evict(&mut self, size: u32) {
        while self.size > size {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.size -= oldest.size();
        }
        if self.entries.is_empty() {
            self.base = self.base.wrapping_add(self.bytes.len() as u32);
            self.bytes.clear();
        }
    }

    /// Moves the bytes of live entries to the front rather than have the buffer grow, where a quarter of it is dead.
    fn make_room(&mut self, len: usize) {
        if self.bytes.len() + len <= self.bytes.capacity() {
            return;
        }
        let live = self.entries.front().map_or(self.base, |entry| entry.start);
        let dead = live.wrapping_sub(self.base) as usize;
        if dead >= len && dead * 4 >= self.bytes.len() {
            self.bytes.drain(..dead);
            self.base = live;
        }
    }

    /// Bytes of memory that it holds on the heap.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }
}
