//! A body as it arrives: pieces of it, found by their offset.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// The pieces of a body from some offset on. Small ones are made into larger ones as they come.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    list: VecDeque<Chunk>,
    /// The offset at which the first piece begins.
    begin: u64,
    /// The offset after the last piece.
    end: u64,
    /// How many pieces at the end are small, and what they hold.
    small: usize,
    small_bytes: usize,
}

#[derive(Debug)]
struct Chunk {
    end: u64,
    bytes: Bytes,
}

impl Chunks {
    /// Smaller pieces are put together until they have this size. It keeps the number of pieces low, and copies each byte
    /// at most once.
    pub const CHUNK: usize = 64 << 10;

    /// What a piece occupies beside its bytes.
    pub const OVERHEAD: u64 = 64;

    /// The offset after the last piece.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// What the pieces occupy, in bytes.
    pub fn memory(&self) -> u64 {
        self.end - self.begin + self.list.len() as u64 * Self::OVERHEAD
    }

    /// Appends a piece. `merge`: puts small ones together.
    pub fn push(&mut self, bytes: Bytes, merge: bool) {
        if bytes.is_empty() {
            return;
        }
        self.end += bytes.len() as u64;
        if bytes.len() < Self::CHUNK / 2 {
            self.small += 1;
            self.small_bytes += bytes.len();
        } else {
            self.merge(merge);
        }
        let large = bytes.len() >= Self::CHUNK / 2;
        self.list.push_back(Chunk { end: self.end, bytes });
        if !large && self.small_bytes >= Self::CHUNK {
            self.merge(merge);
        }
    }

    /// Makes one piece of the small ones at the end.
    fn merge(&mut self, merge: bool) {
        let (count, size) = (std::mem::take(&mut self.small), std::mem::take(&mut self.small_bytes));
        // While pieces are dropped as they are read, there may be fewer than were counted.
        if !merge || count < 2 || count > self.list.len() {
            return;
        }
        let mut whole = BytesMut::with_capacity(size);
        let from = self.list.len() - count;
        let mut end = 0;
        for chunk in self.list.drain(from..) {
            whole.extend_from_slice(&chunk.bytes);
            end = chunk.end;
        }
        self.list.push_back(Chunk { end, bytes: whole.freeze() });
    }

    /// What there is from `offset` to the end of its piece; `None` beyond the end.
    pub fn at(&self, offset: u64) -> Option<Bytes> {
        let index = self.list.partition_point(|chunk| chunk.end <= offset);
        let chunk = self.list.get(index)?;
        let begin = chunk.end - chunk.bytes.len() as u64;
        // What was dropped is not asked for.
        let skip = usize::try_from(offset.checked_sub(begin)?).ok()?;
        Some(chunk.bytes.slice(skip..))
    }

    /// Drops the pieces that end at `offset` or before.
    pub fn drop_before(&mut self, offset: u64) {
        while let Some(first) = self.list.front().filter(|chunk| chunk.end <= offset) {
            self.begin = first.end;
            self.list.pop_front();
        }
    }

    /// Drops all pieces.
    pub fn clear(&mut self) {
        self.list.clear();
        self.begin = self.end;
        (self.small, self.small_bytes) = (0, 0);
    }

    /// All pieces, the last small ones as one.
    pub fn finish(&mut self) -> Vec<Bytes> {
        self.merge(true);
        self.list.iter().map(|chunk| chunk.bytes.clone()).collect()
    }
}
