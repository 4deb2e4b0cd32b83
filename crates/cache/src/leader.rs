//! The one request that fetches while others wait for it, until the head is there.

use std::time::Duration;

use evenkeel_core::cache::PurgeVerdict;
use evenkeel_types::Time;

use crate::fill::{Fill, Phase};
use crate::head::{Head, NewHead};
use crate::key::Id;
use crate::object::Object;
use crate::reader::{Reader, Why};
use crate::store::Store;
use crate::sync::Arc;
use crate::writer::Writer;

/// The duty to fetch. Dropping it releases the requests that wait: they go on alone.
#[derive(Debug)]
pub struct Leader<M: Clone + Send + Sync + 'static> {
    store: Arc<Store<M>>,
    fill: Arc<Fill<M>>,
    id: Id,
    /// Whether others can find the fetch.
    listed: bool,
    /// Whether it is known what becomes of the fetch.
    settled: bool,
}

/// Why a response cannot be stored though it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Its key, its URL, its tags or its variant are longer than 64 KiB.
    TooLong,
    /// What it revalidates is not there.
    NothingToFreshen,
}

impl<M: Clone + Send + Sync + 'static> Leader<M> {
    pub(crate) fn new(store: &Arc<Store<M>>, fill: Arc<Fill<M>>, id: Id, listed: bool) -> Self {
        Self { store: Arc::clone(store), fill, id, listed, settled: false }
    }

    /// A reader for the client whose request this is. To be taken before the head is published. No purge takes the response
    /// from it, because its request came before.
    pub fn reader(&self) -> Option<Reader<M>> {
        Reader::of_leader(&self.fill, &self.store.purges)
    }

    /// The object that the request revalidates.
    pub fn revalidates(&self) -> Option<&Arc<Object<M>>> {
        self.fill.of()
    }

    /// The response may be stored: requests that wait read along from now on. `body_max`: a longer body is not stored, in bytes.
    ///
    /// # Errors
    /// It cannot be stored; those who waited go on alone.
    pub fn publish(mut self, head: NewHead<'_, M>, body_max: u64) -> Result<Writer<M>, Refused> {
        let head = Head::new(self.fill.key(), self.fill.sequence(), head).ok_or(Refused::TooLong)?;
        let mut shard = self.store.shard(self.id);
        shard.pauses.succeeded(self.id);
        if !self.listed {
            shard.unmark(self.id);
            shard.add_fill(self.id, &self.fill);
        }
        drop(shard);
        let head = Arc::new(head);
        self.fill.set_phase(Phase::Open(Arc::clone(&head)));
        self.settled = true;
        Ok(Writer::new(Arc::clone(&self.store), Arc::clone(&self.fill), self.id, head, body_max))
    }

    /// The server says that the object is still good (304): its body gets this head. Returns the object that is stored in
    /// its place.
    ///
    /// # Errors
    /// There is nothing to revalidate, or the new head cannot be stored.
    pub fn freshen(mut self, head: NewHead<'_, M>, now: Time) -> Result<Arc<Object<M>>, Refused> {
        let old = self.fill.of().cloned().ok_or(Refused::NothingToFreshen)?;
        let head = Head::new(self.fill.key(), self.fill.sequence(), head).ok_or(Refused::TooLong)?;
        self.store.shard(self.id).pauses.succeeded(self.id);
        let checked = self.store.purges.newest();
        let verdict = self.store.purges.judge_new(&head);
        let object = Arc::new(old.under(&head, checked));
        match verdict {
            PurgeVerdict::Gone => {
                self.store.shard(self.id).remove_fill(self.id, &self.fill);
            }
            PurgeVerdict::Stale(_) | PurgeVerdict::Live => {
                if let PurgeVerdict::Stale(since) = verdict {
                    object.set_purged(since);
                }
                if !self.listed {
                    self.store.shard(self.id).add_fill(self.id, &self.fill);
                }
                if self.store.insert(self.id, &object, &self.fill, now) {
                    self.store.save(self.id, &object, now);
                }
            }
        }
        self.fill.set_phase(Phase::Instead(Arc::clone(&object)));
        self.settled = true;
        Ok(object)
    }

    /// The object that the request revalidates is not what the server has any more: it is not used again.
    pub fn supersede(&self) {
        if let Some(object) = self.fill.of() {
            self.store.drop_object(object);
        }
    }

    /// True if something is stored for the key that does not answer the request (`Vary`).
    pub fn has_other_variants(&self) -> bool {
        !self.store.shard(self.id).objects(self.id).is_empty()
    }

    /// The response may not be shared: those who wait go on alone, and for some time others do not wait at all.
    pub fn private(mut self, now: Time, marked_for: Duration) {
        self.release(Why::Private, Some((now, marked_for)));
    }

    /// There is no response: those who wait go on alone. The same as dropping it.
    pub fn fail(mut self) {
        self.release(Why::Failed, None);
    }

    /// No server could be reached, and none would be for those who wait: they get an error with this status.
    pub fn unreachable(mut self, status: u16) {
        self.release(Why::Unreachable(status), None);
    }

    /// The servers have failed to revalidate the object: for a while, no other background fetch is begun for it. Longer each time,
    /// up to 30 s.
    pub fn pause(&self, now: Time) {
        if self.fill.of().is_some() {
            self.store.shard(self.id).pauses.failed(self.id, now);
        }
    }

    fn release(&mut self, why: Why, mark: Option<(Time, Duration)>) {
        let mut shard = self.store.shard(self.id);
        shard.remove_fill(self.id, &self.fill);
        if let Some((now, length)) = mark {
            shard.mark(self.id, now, length);
        }
        drop(shard);
        self.fill.set_phase(Phase::Alone(why));
        self.settled = true;
    }
}

impl<M: Clone + Send + Sync + 'static> Drop for Leader<M> {
    fn drop(&mut self) {
        if !self.settled {
            self.release(Why::Failed, None);
        }
    }
}
