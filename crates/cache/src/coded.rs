//! The compressed forms of a stored body: each is made once, counts as memory of its object, and leaves with it.

use arc_swap::{ArcSwapOption, Guard};
use bytes::Bytes;
use evenkeel_core::encoding::Encoding;
use evenkeel_net::MemoryFile;

use crate::pieces::Pieces;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicU8, Ordering};

/// The body of a stored response in one content coding.
#[derive(Debug)]
pub struct Coded {
    pieces: Pieces,
    level: u32,
}

impl Coded {
    /// What a compressed form occupies beside its pieces: itself, its part of [`CodedBodies`], and what the allocator
    /// rounds up.
    const OVERHEAD: u64 = 160;

    pub(crate) fn new(pieces: Vec<Bytes>, level: u32) -> Self {
        Self { pieces: Pieces::new(pieces), level }
    }

    /// The level that it was made at.
    pub fn level(&self) -> u32 {
        self.level
    }

    /// Its length, in bytes.
    pub fn body_len(&self) -> u64 {
        self.pieces.len()
    }

    /// True if it lies in memory in several pieces.
    pub fn is_in_pieces(&self) -> bool {
        self.pieces.are_several()
    }

    /// The file in memory that has all of it, if there is one.
    pub fn memory_file(&self) -> Option<&Arc<MemoryFile>> {
        self.pieces.file()
    }

    /// The compressed body from `offset` on, as far as it lies in one piece; `None` at the end. Nothing is copied.
    pub fn chunk_at(&self, offset: u64) -> Option<Bytes> {
        self.pieces.chunk_at(offset)
    }

    /// What it occupies, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.pieces.memory() + Self::OVERHEAD
    }
}

/// The compressed forms of one object. Only an object that has one has this.
#[derive(Debug, Default)]
pub(crate) struct CodedBodies {
    /// By [`Encoding`]. Set under the lock of the order of eviction, because the size of the object changes.
    made: [ArcSwapOption<Coded>; Encoding::ALL.len()],
    /// Which are being recorded, a bit for each.
    recording: AtomicU8,
}

impl CodedBodies {
    pub fn of(&self, encoding: Encoding) -> Option<Arc<Coded>> {
        self.made[encoding as usize].load_full()
    }

    /// The same for another object with the same body.
    pub fn shared(&self) -> Self {
        let made = self.made.each_ref().map(|coded| ArcSwapOption::new(coded.load_full()));
        Self { made, recording: AtomicU8::new(0) }
    }

    /// What they occupy, in bytes.
    pub fn memory(&self) -> u64 {
        let loaded = self.made.iter().map(ArcSwapOption::load);
        loaded.filter_map(|coded: Guard<_>| coded.as_ref().map(|coded| coded.memory())).sum()
    }

    /// Puts one in the place of the one in the same coding, and returns that.
    pub fn replace(&self, encoding: Encoding, coded: Coded) -> Option<Arc<Coded>> {
        self.made[encoding as usize].swap(Some(Arc::new(coded)))
    }

    /// True if none in this coding was made at this level or a higher one.
    pub fn wants(&self, encoding: Encoding, level: u32) -> bool {
        self.of(encoding).is_none_or(|coded| coded.level < level)
    }

    /// Lets one recorder at a time record a coding. Returns whether this one may.
    pub fn claim(&self, encoding: Encoding) -> bool {
        let bit = 1 << encoding as u8;
        self.recording.fetch_or(bit, Ordering::AcqRel) & bit == 0
    }

    /// Lets another one record it.
    pub fn release(&self, encoding: Encoding) {
        self.recording.fetch_and(!(1 << encoding as u8), Ordering::AcqRel);
    }
}
