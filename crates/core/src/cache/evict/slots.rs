//! The entries of an order, each under a number that queues refer to.

use super::resident::Resident;

/// Entries and their places. The place of an entry that was taken out stays occupied until no queue refers to it any more.
#[derive(Debug)]
pub struct Slots<T> {
    entries: Vec<Option<T>>,
    /// Places that no queue refers to.
    free: Vec<u32>,
    /// Places without an entry that a queue refers to.
    dead: usize,
    bytes: u64,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new(), dead: 0, bytes: 0 }
    }
}

impl<T: Resident> Slots<T> {
    /// So many dead places are never worth a compaction.
    const DEAD_MIN: usize = 64;

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len() - self.dead
    }

    pub fn insert(&mut self, entry: T) -> u32 {
        self.bytes += entry.bytes();
        if let Some(slot) = self.free.pop() {
            self.entries[slot as usize] = Some(entry);
            return slot;
        }
        let slot = u32::try_from(self.entries.len()).expect("4 billion objects do not fit into memory");
        self.entries.push(Some(entry));
        slot
    }

    /// The size of an entry has changed.
    pub fn resized(&mut self, before: u64, after: u64) {
        self.bytes = self.bytes - before + after;
    }

    pub fn entry(&self, slot: u32) -> Option<&T> {
        self.entries[slot as usize].as_ref()
    }

    /// Takes an entry out to whose place a queue refers.
    pub fn kill(&mut self, slot: u32) -> Option<T> {
        let entry = self.entries.get_mut(slot as usize)?.take()?;
        self.bytes -= entry.bytes();
        self.dead += 1;
        Some(entry)
    }

    /// Takes an entry out to whose place no queue refers any more.
    pub fn take(&mut self, slot: u32) -> Option<T> {
        let entry = self.kill(slot)?;
        self.release(slot);
        Some(entry)
    }

    /// Gives a dead place back to which no queue refers any more.
    pub fn release(&mut self, slot: u32) {
        self.dead -= 1;
        self.free.push(slot);
    }

    /// Whether the entry of this place is there; gives the place back if not. For queues that forget what is gone.
    pub fn keeps(&mut self, slot: u32) -> bool {
        let there = self.entries[slot as usize].is_some();
        if !there {
            self.release(slot);
        }
        there
    }

    /// Whether queues refer to more places without entries than with.
    pub fn mostly_dead(&self) -> bool {
        self.dead > self.len().max(Self::DEAD_MIN)
    }

    pub fn scan(&self, from: usize, count: usize) -> (impl Iterator<Item = &T>, usize) {
        let from = from.min(self.entries.len());
        let to = from.saturating_add(count).min(self.entries.len());
        let next = if to == self.entries.len() { 0 } else { to };
        (self.entries[from..to].iter().flatten(), next)
    }

    pub fn into_entries(self) -> Vec<T> {
        self.entries.into_iter().flatten().collect()
    }
}
