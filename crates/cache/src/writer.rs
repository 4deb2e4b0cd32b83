//! The one request that fetches while others read along, from the head to the end of the body.

use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use evenkeel_core::cache::PurgeVerdict;
use evenkeel_types::Time;

use crate::chunks::Chunks;
use crate::fill::{Fill, Phase, Progress};
use crate::head::Head;
use crate::key::Id;
use crate::object::Object;
use crate::store::Store;
use crate::sync::Arc;
use crate::sync::atomic::Ordering;

/// Writes the body of a fetch. Dropping it before the end lets all readers know that the body broke off.
#[derive(Debug)]
pub struct Writer<M: Clone + Send + Sync + 'static> {
    store: Arc<Store<M>>,
    fill: Arc<Fill<M>>,
    id: Id,
    head: Arc<Head<M>>,
    /// A longer body is not stored.
    max: u64,
    passing: bool,
    /// The disk reads along, to store what memory has no room for.
    spooling: bool,
    ended: bool,
}

/// No request reads what is fetched, and it will not be stored: there is no use in fetching on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abandoned;

impl<M: Clone + Send + Sync + 'static> Writer<M> {
    /// The part of the capacity that fetches may take for readers that are slower than others.
    const AHEAD_PART: u64 = 4;
    /// For how long requests for a key do not wait for each other when its body was too long to be stored.
    const MARKED_FOR: Duration = Duration::from_secs(30);

    pub(crate) fn new(
        store: Arc<Store<M>>,
        fill: Arc<Fill<M>>,
        id: Id,
        head: Arc<Head<M>>,
        max: u64,
    ) -> Self {
        Self { store, fill, id, head, max, passing: false, spooling: false, ended: false }
    }

    /// Waits until the next piece may be pushed. Only a body that is too long to be stored ever waits, for its slowest
    /// reader, unless others want more and there is memory for what that one has not read.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Abandoned>> {
        let Self { store, fill, .. } = self;
        fill.poll_ready(cx, || store.in_transit() <= store.capacity() / Self::AHEAD_PART).map(going)
    }

    /// Appends a piece, which must not be a part of a larger buffer: it would keep that in memory.
    ///
    /// # Errors
    /// No request needs it any more.
    pub fn push(&mut self, bytes: Bytes, now: Time) -> Result<(), Abandoned> {
        let counted = bytes.len() as u64 + Chunks::OVERHEAD;
        let len = self.fill.body_len() + bytes.len() as u64;
        if !self.passing && (len > self.max.min(self.store.largest()) || !self.store.reserve(counted)) {
            self.pass(len, now);
        } else if self.spooling && len > self.max {
            self.leave_disk();
        }
        if self.passing {
            self.store.filling.fetch_add(counted, Ordering::AcqRel);
        }
        going(self.fill.push(bytes, counted))
    }

    /// Whether the body goes to the disk while it arrives.
    pub fn is_spooling(&self) -> bool {
        self.spooling
    }

    /// Goes on without the disk, if that is what the writer waits for: the body is not stored then.
    pub fn leave_slow_disk(&mut self) {
        self.spooling &= !self.fill.drop_spool(true);
    }

    fn leave_disk(&mut self) {
        self.fill.drop_spool(false);
        self.spooling = false;
    }

    /// Gives up storing it in memory: requests that come now cannot read along, because what was read is dropped.
    fn pass(&mut self, len: u64, now: Time) {
        self.passing = true;
        self.spooling = len <= self.max && self.store.spool(self.id, &self.fill, &self.head, now);
        let mut shard = self.store.shard(self.id);
        shard.remove_fill(self.id, &self.fill);
        shard.mark(self.id, now, Self::MARKED_FOR);
        drop(shard);
        self.fill.pass(Fill::<M>::WINDOW);
    }

    /// The body is complete. Returns the object if it was stored.
    pub fn finish(mut self, trailers: Bytes, now: Time) -> Option<Arc<Object<M>>> {
        self.ended = true;
        let stored = self.store_whole(trailers.clone(), now);
        if stored.is_none() {
            self.store.shard(self.id).remove_fill(self.id, &self.fill);
        }
        self.fill.complete(Arc::clone(&self.head), trailers, stored.clone());
        stored
    }

    fn store_whole(&self, trailers: Bytes, now: Time) -> Option<Arc<Object<M>>> {
        let pieces = self.fill.body()?;
        let checked = self.store.purges.newest();
        let verdict = self.store.purges.judge_new(&self.head);
        if verdict == PurgeVerdict::Gone {
            return None;
        }
        let object = Object::new(&self.head, pieces, trailers, self.id.fingerprint(), checked);
        let object = Arc::new(object);
        if let PurgeVerdict::Stale(since) = verdict {
            object.set_purged(since);
        }
        let stored = self.store.insert(self.id, &object, &self.fill, now);
        if stored {
            self.store.save(self.id, &object, now);
        }
        stored.then_some(object)
    }

    /// The body broke off. The same as dropping it.
    pub fn fail(self) {
        drop(self);
    }
}

impl<M: Clone + Send + Sync + 'static> Drop for Writer<M> {
    fn drop(&mut self) {
        if !self.ended {
            self.store.shard(self.id).remove_fill(self.id, &self.fill);
            self.fill.set_phase(Phase::Broken);
        }
    }
}

fn going(progress: Progress) -> Result<(), Abandoned> {
    match progress {
        Progress::Going => Ok(()),
        Progress::Abandoned => Err(Abandoned),
    }
}
