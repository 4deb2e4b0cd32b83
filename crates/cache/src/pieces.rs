//! A whole body in memory that lies in several pieces, found by their offset.

use std::ops::RangeInclusive;

use bytes::Bytes;
use evenkeel_net::MemoryFile;

use crate::chunks::Chunks;
use crate::sync::Arc;

/// Bodies of these lengths, in bytes, are put into a file in memory, from which the kernel sends them without a copy. For
/// shorter ones another system call costs more than the copy; longer ones would hold up their worker for too long, because
/// they are copied once when they are complete.
pub(crate) const FILE_LENGTHS: RangeInclusive<u64> = 48 << 10..=8 << 20;
/// A piece of such a file, in bytes.
const FILE_PIECE: usize = 128 << 10;
/// What a page of memory holds, in bytes.
const PAGE: u64 = 4 << 10;

/// The pieces of a whole body. They do not change.
#[derive(Debug, Clone)]
pub(crate) struct Pieces {
    list: Box<[Bytes]>,
    /// The offset after each piece.
    ends: Box<[u64]>,
    /// The file that the pieces lie in.
    file: Option<Arc<MemoryFile>>,
}

/// Keeps the mapping of a file as long as there is a slice of it.
struct Mapped(Arc<MemoryFile>);

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

impl Pieces {
    pub fn new(list: Vec<Bytes>) -> Self {
        let length = list.iter().map(|piece| piece.len() as u64).sum();
        // Without a descriptor or memory for a file, they stay as they are.
        let file =
            FILE_LENGTHS.contains(&length).then(|| MemoryFile::of(list.iter().map(|piece| &piece[..])));
        let Some(Ok(file)) = file else { return Self::of(list, None) };
        let file = Arc::new(file);
        let mut whole = Bytes::from_owner(Mapped(Arc::clone(&file)));
        let mut list = Vec::with_capacity(whole.len().div_ceil(FILE_PIECE));
        while !whole.is_empty() {
            list.push(whole.split_to(whole.len().min(FILE_PIECE)));
        }
        Self::of(list, Some(file))
    }

    fn of(list: Vec<Bytes>, file: Option<Arc<MemoryFile>>) -> Self {
        let ends = list.iter().scan(0, |end, piece| {
            *end += piece.len() as u64;
            Some(*end)
        });
        Self { ends: ends.collect(), list: list.into(), file }
    }

    /// The length of the body, in bytes.
    pub fn len(&self) -> u64 {
        self.ends.last().copied().unwrap_or_default()
    }

    /// True if there are several, or a file.
    pub fn are_several(&self) -> bool {
        self.list.len() > 1 || self.file.is_some()
    }

    /// The file that all of them lie in, from its beginning to its end.
    pub fn file(&self) -> Option<&Arc<MemoryFile>> {
        self.file.as_ref()
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
        let bytes = if self.file.is_some() { self.len().next_multiple_of(PAGE) } else { self.len() };
        bytes + self.list.len() as u64 * Chunks::OVERHEAD
    }
}
