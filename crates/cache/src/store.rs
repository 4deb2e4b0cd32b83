//! The objects in memory, which all workers share: finding them, storing them within a number of bytes, purging them.

use std::sync::OnceLock;
use std::time::Duration;

use evenkeel_core::cache::evict::{Eviction, Mark, Policy, Resident as _};
use evenkeel_core::cache::{PurgeVerdict, Scope, Strength, Wall};
use evenkeel_types::Time;

use crate::disk::Disk;
use crate::figures::{Counts, Figures, add};
use crate::fill::{Fill, Phase};
use crate::flights::Flights;
use crate::head::Head;
use crate::key::{Id, random_seed};
use crate::leader::Leader;
use crate::object::Object;
use crate::outbox::Outbox;
use crate::pinned::Pinned;
use crate::purge::Purges;
use crate::reader::Reader;
use crate::shard::Shard;
use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, MutexGuard, lock};

/// How much the store may hold, and what makes room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most that objects and fetches in progress occupy together, content and overhead, in bytes.
    pub capacity: u64,
    /// Which object makes room.
    pub policy: Policy,
}

/// What there is for a request.
#[derive(Debug)]
pub enum Found<M: Clone + Send + Sync + 'static> {
    /// A stored response. Whether it is fresh is for the policy to say.
    Object(Hit<M>),
    /// Another request fetches it: this one may read along.
    Filling(Reader<M>),
    /// The disk may have it: wait, and look again.
    Loading(Reader<M>),
    /// What this key stands for could not be shared a moment ago: fetch without others waiting for it.
    Marked(Leader<M>),
    /// Nothing: fetch, while others may wait for it.
    Nothing(Leader<M>),
}

/// A stored response that was found.
#[derive(Debug)]
pub struct Hit<M> {
    /// The response.
    pub object: Arc<Object<M>>,
    /// Since when it is stale because it was purged softly, however fresh it looks.
    pub purged: Option<Wall>,
}

/// Who revalidates an object.
#[derive(Debug)]
pub enum Revalidation<M: Clone + Send + Sync + 'static> {
    /// This request does: ask the server.
    Leader(Leader<M>),
    /// Another request does: use the stale object if that is allowed, or wait.
    Running(Reader<M>),
}

/// Objects in memory. Shared by all workers.
#[derive(Debug)]
pub struct Store<M> {
    shards: Box<[Padded<M>]>,
    seed: u64,
    order: Mutex<Order<M>>,
    /// The policy of `order`, by [`Policy::index`], for hits.
    policy: AtomicU8,
    capacity: AtomicU64,
    pub(crate) filling: Arc<AtomicU64>,
    pub(crate) pinned: Pinned<M>,
    pub(crate) purges: Arc<Purges>,
    pub(crate) flights: Arc<Flights>,
    pub(crate) counts: Counts,
    pub(crate) outbox: Outbox,
    disk: OnceLock<Disk<M>>,
    is_walked: AtomicBool,
}

/// Alone on its cache lines, of which processors fetch two at a time.
#[derive(Debug)]
#[repr(align(128))]
struct Padded<M>(Mutex<Shard<M>>);

/// The order of eviction, and how far the sweeper is in it.
#[derive(Debug)]
pub(crate) struct Order<M> {
    pub eviction: Eviction<Arc<Object<M>>>,
    /// Where the sweeper goes on.
    pub cursor: usize,
    /// The number of the newest purge when the sweeper began this round; `None` before it.
    pub round: Option<u64>,
}

impl<M: Clone + Send + Sync + 'static> Store<M> {
    /// A power of two, several times the number of workers that one expects.
    const SHARDS: usize = 64;
    /// The part of the capacity that fetches in progress may occupy, and that one object may.
    pub(crate) const FILLING_PART: u64 = 2;
    /// The part that one object may occupy with a disk, which has room for longer ones.
    const PART_WITH_DISK: u64 = 8;

    /// An empty store.
    pub fn new(limits: Limits) -> Arc<Self> {
        Self::with_seed(limits, random_seed())
    }

    pub(crate) fn with_seed(limits: Limits, seed: u64) -> Arc<Self> {
        let shards = (0..Self::SHARDS).map(|_| Padded(Mutex::new(Shard::default()))).collect();
        let order = Order { eviction: Eviction::new(limits.policy), cursor: 0, round: None };
        Arc::new(Self {
            shards,
            seed,
            order: Mutex::new(order),
            policy: AtomicU8::new(limits.policy.index() as u8),
            capacity: AtomicU64::new(limits.capacity),
            filling: Arc::default(),
            pinned: Pinned::default(),
            purges: Arc::default(),
            flights: Arc::default(),
            counts: Counts::default(),
            outbox: Outbox::default(),
            disk: OnceLock::new(),
            is_walked: AtomicBool::new(false),
        })
    }

    /// What there is for a key. `select` says of a stored response whether it is the variant that answers the request
    /// (`Vary`); it is asked under a lock and must not take long.
    pub fn lookup(
        self: &Arc<Self>,
        key: &[u8],
        now: Time,
        mut select: impl FnMut(&Head<M>) -> bool,
    ) -> Found<M> {
        let id = self.id(key);
        let mut shard = self.shard(id);
        if shard.is_taken(id, key) {
            drop(shard);
            return Found::Marked(Leader::new(self, self.fill(key, None), id, false));
        }
        let mut purged = Vec::new();
        for object in shard.objects(id) {
            match self.check(object) {
                PurgeVerdict::Gone => purged.push(Arc::clone(object)),
                _ if select(object.head()) => {
                    let hit = Hit { object: Arc::clone(object), purged: object.purged() };
                    drop(shard);
                    hit.object.mark().hit(self.policy(), Mark::tick(now));
                    self.forget(&purged);
                    return Found::Object(hit);
                }
                _ => {}
            }
        }
        let found = self.follow_or_lead(&mut shard, id, key, now, select);
        drop(shard);
        self.forget(&purged);
        found
    }

    /// Joins a fetch, or begins one.
    fn follow_or_lead(
        self: &Arc<Self>,
        shard: &mut Shard<M>,
        id: Id,
        key: &[u8],
        now: Time,
        mut select: impl FnMut(&Head<M>) -> bool,
    ) -> Found<M> {
        if shard.is_marked(id, now) {
            return Found::Marked(Leader::new(self, self.fill(key, None), id, false));
        }
        for fill in shard.fills(id) {
            let fits = match fill.phase() {
                Phase::Asked => fill.of().is_none_or(|object| select(object.head())),
                Phase::Open(head) => select(&head) && self.is_current(&head),
                _ => false,
            };
            if let Some(reader) = fits.then(|| Reader::join(fill, &self.purges)).flatten() {
                if fill.loads() {
                    return Found::Loading(reader);
                }
                add(&self.counts.coalesced, 1);
                return Found::Filling(reader);
            }
        }
        if let Some(reader) = self.load(shard, id, key, now) {
            return Found::Loading(reader);
        }
        let fill = self.fill(key, None);
        let listed = shard.add_fill(id, &fill);
        let leader = Leader::new(self, fill, id, listed);
        if listed { Found::Nothing(leader) } else { Found::Marked(leader) }
    }

    /// Whether no purge came after the request for a response left.
    fn is_current(&self, head: &Head<M>) -> bool {
        head.sequence() == self.purges.newest() || self.purges.judge_new(head) == PurgeVerdict::Live
    }

    /// Revalidates an object for one request alone: others neither wait for it nor does it wait for them.
    pub fn revalidate_alone(self: &Arc<Self>, object: &Arc<Object<M>>) -> Leader<M> {
        let key = object.head().key();
        Leader::new(self, self.fill(key, Some(object)), self.id(key), false)
    }

    /// Revalidates an object, unless another request does.
    pub fn revalidate(self: &Arc<Self>, object: &Arc<Object<M>>) -> Revalidation<M> {
        let key = object.head().key();
        let id = self.id(key);
        let mut shard = self.shard(id);
        for fill in shard.fills(id) {
            let same = fill.of().is_some_and(|of| Arc::ptr_eq(of, object));
            if let Some(reader) = same.then(|| Reader::join(fill, &self.purges)).flatten() {
                add(&self.counts.coalesced, 1);
                return Revalidation::Running(reader);
            }
        }
        let fill = self.fill(key, Some(object));
        let listed = shard.add_fill(id, &fill);
        drop(shard);
        Revalidation::Leader(Leader::new(self, fill, id, listed))
    }

    /// True while no background fetch is to be begun for an object, because others have failed.
    pub fn is_paused(&self, object: &Object<M>, now: Time) -> bool {
        let id = self.id(object.head().key());
        self.shard(id).pauses.lasts(id, now)
    }

    /// What a key stands for can be shared, contrary to what was found a moment ago: the next request fetches for all.
    pub fn unmark(&self, key: &[u8]) {
        let id = self.id(key);
        self.shard(id).unmark(id);
    }

    /// Removes what is stored for a key, all variants, and what is being fetched for it. For requests that change what the
    /// key stands for (RFC 9111, 4.4).
    pub fn invalidate(self: &Arc<Self>, key: &[u8]) {
        let id = self.id(key);
        let objects = self.shard(id).remove_key(id, key);
        self.unsave(id, None);
        self.leave_order(&objects);
    }

    /// Purges. Hard: what it is about is not used any more. Soft: only after it was revalidated. Returns at once; what is
    /// purged is freed when it is found and by [`Store::sweep`].
    pub fn purge(self: &Arc<Self>, scope: &Scope, strength: Strength) -> u64 {
        let sequence = self.log_purge(scope, strength);
        self.outbox.put(scope, strength);
        sequence
    }

    /// The store at this moment.
    pub fn figures(&self) -> Figures {
        let order = lock(&self.order);
        Figures {
            objects: order.eviction.len() as u64,
            bytes: order.eviction.bytes(),
            filling: self.filling.load(Ordering::Acquire) + self.pinned.bytes(),
            capacity: self.capacity(),
            evictions: self.counts.evictions.each_ref().map(|count| count.load(Ordering::Relaxed)),
            coalesced: self.counts.coalesced.load(Ordering::Relaxed),
            purged: self.counts.purged.load(Ordering::Relaxed),
            disk: self.disk().map(Disk::figures),
        }
    }

    /// The largest body that is stored in memory when it is fetched, in bytes. A longer one goes to the disk, if there is one.
    pub fn largest(&self) -> u64 {
        let is_open = |disk: &Disk<M>| !disk.is_closed.load(Ordering::Relaxed);
        let part = if self.disk().is_some_and(is_open) { Self::PART_WITH_DISK } else { Self::FILLING_PART };
        self.capacity() / part
    }

    /// Changes the limits while it is in use. Objects that have no room any more are evicted, some at a time.
    pub fn set_limits(self: &Arc<Self>, limits: Limits) {
        self.capacity.store(limits.capacity, Ordering::Release);
        let mut order = lock(&self.order);
        if order.eviction.policy() != limits.policy {
            let objects = order.eviction.drain();
            order.eviction = Eviction::new(limits.policy);
            (order.cursor, order.round) = (0, None);
            self.policy.store(limits.policy.index() as u8, Ordering::Release);
            for object in objects {
                let slot = order.eviction.insert(Arc::clone(&object), 0);
                object.set_slot(slot);
            }
        }
        drop(order);
        self.shrink();
        self.set_disk_limits(limits.policy, None);
    }

    fn policy(&self) -> Policy {
        Policy::ALL[usize::from(self.policy.load(Ordering::Relaxed)) % Policy::ALL.len()]
    }

    /// Changes how much the disk may hold, in bytes. What has no room any more is removed.
    pub fn set_disk_size(self: &Arc<Self>, size: u64) {
        self.set_disk_limits(self.policy(), Some(size));
    }

    /// Whether all that was on the disk at the start has been found again.
    pub fn is_walked(&self) -> bool {
        self.is_walked.load(Ordering::Acquire)
    }

    pub(crate) fn set_walked(&self) {
        if let Some(disk) = self.disk() {
            lock(&disk.index).set_walked();
        }
        self.is_walked.store(true, Ordering::Release);
    }

    pub(crate) fn disk(&self) -> Option<&Disk<M>> {
        self.disk.get()
    }

    /// What could not be written to the disk last, and why; `None` while all could be.
    pub fn disk_fault(&self) -> Option<String> {
        self.disk()?.fault()
    }

    /// Objects and purges that could not be written to the disk; `None` without a disk.
    pub fn disk_failures(&self) -> Option<u64> {
        self.disk().map(|disk| disk.failures.load(Ordering::Relaxed))
    }

    /// Waits until all that is to be written to the disk is written, for so long at most.
    pub fn settle(&self, at_most: Duration) {
        if let Some(disk) = self.disk() {
            disk.pool.settle(at_most);
        }
    }

    pub(crate) fn set_disk(&self, disk: Disk<M>) {
        // A store has one from its beginning, or none.
        let _ = self.disk.set(disk);
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.capacity.load(Ordering::Acquire)
    }

    pub(crate) fn order(&self) -> MutexGuard<'_, Order<M>> {
        lock(&self.order)
    }

    pub(crate) fn shard(&self, id: Id) -> MutexGuard<'_, Shard<M>> {
        lock(&self.shards[id.shard(Self::SHARDS)].0)
    }

    pub(crate) fn id(&self, key: &[u8]) -> Id {
        Id::of(key, self.seed)
    }

    fn fill(&self, key: &[u8], of: Option<&Arc<Object<M>>>) -> Arc<Fill<M>> {
        Arc::new(self.new_fill(key, of))
    }

    pub(crate) fn new_fill(&self, key: &[u8], of: Option<&Arc<Object<M>>>) -> Fill<M> {
        let flight = self.flights.begin(|| self.purges.newest());
        Fill::new(key, flight, of.cloned(), Arc::clone(&self.filling))
    }

    /// Holds an object against the purges that came since the last time.
    pub(crate) fn check(&self, object: &Object<M>) -> PurgeVerdict {
        let newest = self.purges.newest();
        if object.checked() < newest {
            match self.purges.judge(object.head()) {
                PurgeVerdict::Gone => return PurgeVerdict::Gone,
                PurgeVerdict::Stale(since) => object.set_purged(since),
                PurgeVerdict::Live => {}
            }
            object.set_checked(newest);
        }
        object.purged().map_or(PurgeVerdict::Live, PurgeVerdict::Stale)
    }
}

#[cfg(all(test, feature = "shuttle"))]
mod schedules;
#[cfg(test)]
mod tests;
#[cfg(all(test, not(feature = "shuttle")))]
mod threads;
