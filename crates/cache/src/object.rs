//! A stored response: its head, its whole body as it came and compressed, and what eviction and purges note at it.

use bytes::Bytes;
use evenkeel_core::cache::Wall;
use evenkeel_core::cache::evict::{Mark, Resident};
use evenkeel_core::encoding::Encoding;
use evenkeel_net::MemoryFile;
use once_cell::race::OnceBox;

use crate::coded::{Coded, CodedBodies};
use crate::disk::format::Prefix;
use crate::disk::index::Entry;
use crate::head::Head;
use crate::pieces::{FILE_LENGTHS, Pieces};
use crate::sync::Arc;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A stored response. It does not change, but for compressed forms of its body; a newer one replaces it, and it lives on
/// while it is being sent.
#[derive(Debug)]
pub struct Object<M> {
    head: Head<M>,
    mark: Mark,
    /// Its place in the order of eviction, [`OUTSIDE`] before it has one, [`GONE`] afterwards.
    slot: AtomicU32,
    fingerprint: u32,
    /// The number of the newest purge that it was held against.
    checked: AtomicU64,
    /// Since when it is stale because it was purged softly, in seconds since the Unix epoch; 0 if it was not.
    purged: AtomicU32,
    /// A body that does not lie behind the texts of the head.
    long: Option<Box<Long>>,
    /// What was made of the body for clients that accept it compressed.
    coded: OnceBox<CodedBodies>,
}

/// A body that does not lie behind the texts of the head.
#[derive(Debug, Clone)]
enum Long {
    /// In memory.
    Memory { pieces: Pieces, trailers: Bytes },
    /// On the disk.
    File(OnDisk),
}

/// Where on the disk a body is.
#[derive(Debug, Clone)]
pub(crate) struct OnDisk {
    pub entry: Arc<Entry>,
    pub prefix: Prefix,
    pub trailers: Bytes,
}

/// It is not in the order of eviction yet.
const OUTSIDE: u32 = u32::MAX;
/// It has left the order of eviction.
const GONE: u32 = u32::MAX - 1;

impl<M: Clone> Object<M> {
    /// A body that is short lies behind the texts of the head: it is copied once more, and takes no memory of its own.
    pub(crate) fn new(
        head: &Head<M>,
        pieces: Vec<Bytes>,
        trailers: Bytes,
        fingerprint: u32,
        checked: u64,
    ) -> Self {
        let short = pieces.len() <= 1 && trailers.is_empty();
        let only = pieces.first().map_or(&[][..], |piece| piece);
        if short && (only.len() as u64) < *FILE_LENGTHS.start() {
            return Self::of(head.with_body(only), None, fingerprint, checked);
        }
        let long = Long::Memory { pieces: Pieces::new(pieces), trailers };
        Self::of(head.clone(), Some(Box::new(long)), fingerprint, checked)
    }

    /// One whose body stays on the disk.
    pub(crate) fn on_disk(head: &Head<M>, file: OnDisk, fingerprint: u32, checked: u64) -> Self {
        Self::of(head.clone(), Some(Box::new(Long::File(file))), fingerprint, checked)
    }

    fn of(head: Head<M>, long: Option<Box<Long>>, fingerprint: u32, checked: u64) -> Self {
        Self {
            head,
            mark: Mark::default(),
            slot: AtomicU32::new(OUTSIDE),
            fingerprint,
            checked: AtomicU64::new(checked),
            purged: AtomicU32::new(0),
            long,
            coded: OnceBox::new(),
        }
    }

    /// The same body under another head, with what was made of it.
    pub(crate) fn under(&self, head: &Head<M>, checked: u64) -> Self {
        let head = if self.long.is_some() { head.clone() } else { head.with_body(&self.head.body(0)) };
        let mut object = Self::of(head, self.long.clone(), self.fingerprint, checked);
        if let Some(bodies) = self.coded.get() {
            object.coded = OnceBox::with_value(Box::new(bodies.shared()));
        }
        object
    }
}

impl<M> Object<M> {
    /// What an object occupies beside itself: the counts of its two `Arc`s, its place in the table and in the order of
    /// eviction, a fingerprint after its eviction, and what the allocator rounds up. A test measures the sum.
    const OVERHEAD: usize = 120;

    /// All but the body.
    pub fn head(&self) -> &Head<M> {
        &self.head
    }

    /// True if the body shares the memory of the pieces that it arrived in. A shorter one was copied.
    pub(crate) fn is_long(&self) -> bool {
        self.long.is_some()
    }

    /// The length of the body, in bytes.
    pub fn body_len(&self) -> u64 {
        match self.long.as_deref() {
            None => self.head.body_len() as u64,
            Some(Long::Memory { pieces, .. }) => pieces.len(),
            Some(Long::File(file)) => file.prefix.body_len,
        }
    }

    /// The body from `offset` on, as far as it lies in one piece; `None` at the end and beyond it, and if the body is on the
    /// disk. Nothing is copied.
    pub fn chunk_at(&self, offset: u64) -> Option<Bytes> {
        if offset >= self.body_len() {
            return None;
        }
        match self.long.as_deref() {
            None => Some(self.head.body(usize::try_from(offset).ok()?)),
            Some(Long::Memory { pieces, .. }) => pieces.chunk_at(offset),
            Some(Long::File(_)) => None,
        }
    }

    /// True if the body lies in memory in pieces, rather than in one with the head.
    pub fn is_in_pieces(&self) -> bool {
        matches!(self.long.as_deref(), Some(Long::Memory { .. }))
    }

    /// The body, if it lies in memory in one piece with the head; nothing of any other.
    pub fn short_body(&self) -> &[u8] {
        self.head.short_body()
    }

    /// The file in memory that has the whole body, if there is one.
    pub fn memory_file(&self) -> Option<&Arc<MemoryFile>> {
        match self.long.as_deref() {
            Some(Long::Memory { pieces, .. }) => pieces.file(),
            _ => None,
        }
    }

    /// The trailer section as it was given, empty if there was none.
    pub fn trailers(&self) -> &[u8] {
        match self.long.as_deref() {
            None => &[],
            Some(Long::Memory { trailers, .. } | Long::File(OnDisk { trailers, .. })) => trailers,
        }
    }

    /// Whether the body is on the disk and must be read by `Store::read`.
    pub fn is_on_disk(&self) -> bool {
        self.file().is_some()
    }

    /// Where on the disk the body is.
    pub(crate) fn file(&self) -> Option<&OnDisk> {
        match self.long.as_deref() {
            Some(Long::File(file)) => Some(file),
            _ => None,
        }
    }

    /// The body in this coding, if it was compressed before and that was kept.
    pub fn coded(&self, encoding: Encoding) -> Option<Arc<Coded>> {
        self.coded.get()?.of(encoding)
    }

    pub(crate) fn coded_bodies(&self) -> &CodedBodies {
        self.coded.get_or_init(Box::default)
    }

    /// What compressed forms of the body occupy, in bytes.
    pub(crate) fn coded_memory(&self) -> u64 {
        self.coded.get().map_or(0, CodedBodies::memory)
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
        let since = self.purged.load(Ordering::Acquire);
        (since > 0).then(|| Wall::from_secs(since.into()))
    }

    pub(crate) fn set_purged(&self, since: Wall) {
        // Until 2106.
        let since = u32::try_from(since.as_secs()).unwrap_or(u32::MAX);
        self.purged.store(since.max(1), Ordering::Release);
    }

    /// Whether it has left the order of eviction. Written under the lock of that order.
    pub(crate) fn is_gone(&self) -> bool {
        self.slot() == GONE
    }

    pub(crate) fn set_gone(&self) {
        self.set_slot(GONE);
    }

    /// Whether it has a place in the order of eviction. To be asked under the lock of that order.
    pub(crate) fn is_in_order(&self) -> bool {
        !matches!(self.slot(), OUTSIDE | GONE)
    }

    pub(crate) fn slot(&self) -> u32 {
        self.slot.load(Ordering::Acquire)
    }

    pub(crate) fn set_slot(&self, slot: u32) {
        self.slot.store(slot, Ordering::Release);
    }
}

impl<M> Resident for Object<M> {
    fn mark(&self) -> &Mark {
        &self.mark
    }

    fn bytes(&self) -> u64 {
        let long = match self.long.as_deref() {
            None => 0,
            Some(Long::Memory { pieces, trailers }) => pieces.memory() + trailers.len() as u64,
            Some(Long::File(file)) => (size_of::<Long>() + size_of::<Entry>() + file.trailers.len()) as u64,
        };
        (size_of::<Self>() + Self::OVERHEAD + self.head.block_bytes()) as u64 + long + self.coded_memory()
    }

    fn fingerprint(&self) -> u32 {
        self.fingerprint
    }
}
