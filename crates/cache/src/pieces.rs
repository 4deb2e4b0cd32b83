//! A whole body in memory that lies in several pieces, found by their offset.

use bytes::Bytes;

use crate::chunks::Chunks;

/// The pieces of a whole body. They do not change.
#[derive(Debug, Clone)]
pub(crate) struct Pieces {
    list: Box<[Bytes]>,
    /// The offset after each piece.
    ends: Box<[u64]>,
}

impl Pieces {
    pub fn new(list: Vec<Bytes>) -> Self {
        let ends = list.iter().scan(0, |end, piece| {
            *end += piece.len() as u64;
            Some(*end)
        });
        Self { ends: ends.collect(), list: list.into() }
    }

    /// The length of the body, in bytes.
    pub fn len(&self) -> u64 {
        self.ends.last().copied().unwrap_or_default()
    }

    /// True if there are several.
    pub fn are_several(&self) -> bool {
        self.list.len() > 1
    }

    /// The body from `offset` on, as far as it lies in one piece; `None` at the end and beyond it. Nothing is copied.
    pub fn chunk_at(&self, offset: u64) -> Option<Bytes> {
        let index = self.ends.partition_point(|&end| end <= offset);
        let piece = self.list.get(index)?;
        let begin = self.ends[index] - piece.len() as u64;
        Some(piece.slice(usize::try_from(offset - begin).ok()?..))
    }

    /// What the pieces occupy, in bytes.
    pub fn memory(&self) -> u64 {
        self.len() + self.list.len() as u64 * Chunks::OVERHEAD
    }
}
