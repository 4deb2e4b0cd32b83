//! What the store counts.

use evenkeel_core::cache::evict::Policy;

use crate::sync::atomic::{AtomicU64, Ordering};

/// The store at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Stored objects.
    pub objects: u64,
    /// What they occupy, content and overhead, in bytes.
    pub bytes: u64,
    /// What fetches in progress occupy, and objects that have left the store and are still being sent, in bytes.
    pub filling: u64,
    /// The most that both may occupy, in bytes.
    pub capacity: u64,
    /// Objects that made room for others since the start, by [`Policy::ALL`].
    pub evictions: [u64; Policy::ALL.len()],
    /// Requests that waited for the fetch of another since the start.
    pub coalesced: u64,
    /// Objects that purges removed since the start. They are removed when they are found, so this lags behind.
    pub purged: u64,
    /// The disk behind the memory, if there is one.
    pub disk: Option<DiskFigures>,
}

/// The disk cache at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskFigures {
    /// Files.
    pub objects: u64,
    /// What they occupy, in bytes.
    pub bytes: u64,
    /// The most that they may occupy, in bytes.
    pub capacity: u64,
    /// Objects that were written since the start.
    pub written: u64,
    /// Objects that were read since the start: whole, or their heads.
    pub read: u64,
    /// Objects and purges that could not be written since the start.
    pub failures: u64,
}

/// What only grows.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub evictions: [AtomicU64; Policy::ALL.len()],
    pub coalesced: AtomicU64,
    pub purged: AtomicU64,
}

/// Adds to a count.
pub(crate) fn add(count: &AtomicU64, n: u64) {
    count.fetch_add(n, Ordering::Relaxed);
}
