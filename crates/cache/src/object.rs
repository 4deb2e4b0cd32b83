//! A stored response: its head, its whole body, and what eviction and purges note at it.

use bytes::Bytes;
use evenkeel_core::cache::Wall;
use evenkeel_core::cache::evict::{Mark, Resident};

use crate::chunks::Chunks;
use crate::head::Head;
use crate::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

/// A stored response. It does not change; a newer one replaces it, and it lives on while it is being sent.
#[derive(Debug)]
pub struct Object<M> {
    head: Head<M>,
    body: Body,
    mark: Mark,
    /// Its place in the order of eviction.
    slot: AtomicU32,
    fingerprint: u32,
    /// The number of the newest purge that it was held against.
    checked: AtomicU64,
    flags: AtomicU8,
    /// Since when it is stale because it was purged softly, in milliseconds since the Unix epoch; 0 if it was not.
    purged: AtomicU64,
}

#[derive(Debug, Clone)]
enum Body {
    Empty,
    One(Bytes),
    Many(Box<Pieces>),
}

#[derive(Debug, Clone)]
struct Pieces {
    list: Box<[Bytes]>,
    /// The offset after each piece.
    ends: Box<[u64]>,
    trailers: Bytes,
}

impl Body {
    fn new(mut pieces: Vec<Bytes>, trailers: Bytes) -> Self {
        if pieces.len() <= 1 && trailers.is_empty() {
            return pieces.pop().map_or(Self::Empty, Self::One);
        }
        let ends = pieces.iter().scan(0, |end, piece| {
            *end += piece.len() as u64;
            Some(*end)
        });
        Self::Many(Box::new(Pieces { ends: ends.collect(), list: pieces.into(), trailers }))
    }
}

/// It has left the order of eviction.
const GONE: u8 = 1;

impl<M> Object<M> {
    /// What an object occupies beside itself: the counts of its `Arc`, its place in the table and in the order of
    /// eviction, a fingerprint after its eviction, and what the allocator rounds up. A test measures the sum.
    const OVERHEAD: usize = 120;

    pub(crate) fn new(
        head: Head<M>,
        pieces: Vec<Bytes>,
        trailers: Bytes,
        fingerprint: u32,
        checked: u64,
    ) -> Self {
        Self::with_body(head, Body::new(pieces, trailers), fingerprint, checked)
    }

    fn with_body(head: Head<M>, body: Body, fingerprint: u32, checked: u64) -> Self {
        Self {
            head,
            body,
            mark: Mark::default(),
            slot: AtomicU32::new(u32::MAX),
            fingerprint,
            checked: AtomicU64::new(checked),
            flags: AtomicU8::new(0),
            purged: AtomicU64::new(0),
        }
    }

    /// The same body under another head.
    pub(crate) fn under(&self, head: Head<M>, checked: u64) -> Self {
        Self::with_body(head, self.body.clone(), self.fingerprint, checked)
    }

    /// All but the body.
    pub fn head(&self) -> &Head<M> {
        &self.head
    }

    /// The length of the body, in bytes.
    pub fn body_len(&self) -> u64 {
        match &self.body {
            Body::Empty => 0,
            Body::One(bytes) => bytes.len() as u64,
            Body::Many(pieces) => pieces.ends.last().copied().unwrap_or_default(),
        }
    }

    /// The body from `offset` on, as far as it lies in one piece; `None` at the end and beyond it. Nothing is copied.
    pub fn chunk_at(&self, offset: u64) -> Option<Bytes> {
        let (piece, begin) = match &self.body {
            Body::Empty => return None,
            Body::One(bytes) => (bytes, 0),
            Body::Many(pieces) => {
                let index = pieces.ends.partition_point(|&end| end <= offset);
                let piece = pieces.list.get(index)?;
                (piece, pieces.ends[index] - piece.len() as u64)
            }
        };
        let skip = usize::try_from(offset - begin).ok().filter(|&skip| skip < piece.len())?;
        Some(piece.slice(skip..))
    }

    /// The trailer section as it was given, empty if there was none.
    pub fn trailers(&self) -> &[u8] {
        match &self.body {
            Body::Many(pieces) => &pieces.trailers,
            Body::Empty | Body::One(_) => &[],
        }
    }

    /// The number of the newest purge that it was held against.
    pub(crate) fn checked(&self) -> u64 {
        self.checked.load(Ordering::Acquire)
    }

    pub(crate) fn set_checked(&self, sequence: u64) {
        // Of two that check at the same time, the one with the older rules must not have the last word.
        self.checked.fetch_max(sequence, Ordering::AcqRel);
    }

    /// Since when it is stale because it was purged softly.
    pub(crate) fn purged(&self) -> Option<Wall> {
        Some(self.purged.load(Ordering::Acquire)).filter(|since| *since > 0).map(Wall::from_millis)
    }

    pub(crate) fn set_purged(&self, since: Wall) {
        self.purged.store(since.as_millis().max(1), Ordering::Release);
    }

    /// Whether it has left the order of eviction. Written under the lock of that order.
    pub(crate) fn is_gone(&self) -> bool {
        self.flags.load(Ordering::Acquire) & GONE != 0
    }

    pub(crate) fn set_gone(&self) {
        self.flags.fetch_or(GONE, Ordering::AcqRel);
    }

    pub(crate) fn slot(&self) -> u32 {
        self.slot.load(Ordering::Relaxed)
    }

    pub(crate) fn set_slot(&self, slot: u32) {
        self.slot.store(slot, Ordering::Relaxed);
    }
}

impl<M> Resident for Object<M> {
    fn mark(&self) -> &Mark {
        &self.mark
    }

    fn bytes(&self) -> u64 {
        let body = match &self.body {
            Body::Empty => 0,
            Body::One(bytes) => bytes.len() as u64,
            Body::Many(pieces) => {
                self.body_len() + pieces.list.len() as u64 * Chunks::OVERHEAD + pieces.trailers.len() as u64
            }
        };
        (size_of::<Self>() + Self::OVERHEAD + self.head.texts_bytes()) as u64 + body
    }

    fn fingerprint(&self) -> u32 {
        self.fingerprint
    }
}
