//! Room within the number of bytes that the store may hold: what comes in, what is evicted for it, what leaves.

use evenkeel_core::cache::evict::{Mark, Resident as _};
use evenkeel_types::Time;

use crate::figures::add;
use crate::fill::Fill;
use crate::head::Head;
use crate::key::Id;
use crate::object::Object;
use crate::store::{Order, Store};
use crate::sync::Arc;
use crate::sync::atomic::Ordering;

/// How an attempt to make room went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// There is room.
    Fits,
    /// Many objects were evicted, and others want their turn at the order before this goes on.
    Unfinished,
    /// There is nothing left to evict.
    Full,
}

// The order is locked before a part of the table, if one is locked while the other is. Nothing that was evicted is
// dropped under a lock.
impl<M: Clone + Send + Sync + 'static> Store<M> {
    /// How many objects are evicted before others get their turn at the order.
    const BATCH: usize = 256;

    /// Counts memory for a piece of a body that arrives. Returns whether there was room.
    pub(crate) fn reserve(&self, bytes: u64) -> bool {
        loop {
            let mut order = self.order();
            if self.in_transit() + bytes > self.capacity() / Self::FILLING_PART {
                return false;
            }
            let (room, victims) = self.evict(&mut order, bytes);
            if room == Room::Fits {
                self.filling.fetch_add(bytes, Ordering::AcqRel);
            }
            drop(order);
            self.leave_table(&victims);
            match room {
                Room::Fits => return true,
                Room::Full => return false,
                Room::Unfinished => {}
            }
        }
    }

    /// Stores what a fetch has brought, unless what is stored for its key was invalidated meanwhile. Returns whether it
    /// did.
    pub(crate) fn insert(&self, id: Id, object: &Arc<Object<M>>, fill: &Arc<Fill<M>>, now: Time) -> bool {
        // A short body was copied, and those that read the fetch still have its pieces.
        let counted = if object.is_long() { fill.uncount() } else { 0 };
        let stored = self.insert_uncounted(id, object, fill, now);
        if !stored {
            fill.recount(counted);
        }
        stored
    }

    fn insert_uncounted(&self, id: Id, object: &Arc<Object<M>>, fill: &Arc<Fill<M>>, now: Time) -> bool {
        let fits = self.enter_order(object, now);
        let mut shard = self.shard(id);
        let wanted = shard.remove_fill(id, fill);
        // What was evicted before it could be found must not be found: no order would evict it again.
        if !fits || !wanted || object.is_gone() {
            drop(shard);
            self.leave_order(std::slice::from_ref(object));
            return false;
        }
        let replaced = shard.add_object(id, object);
        drop(shard);
        self.leave_order(&replaced);
        !replaced.iter().any(|other| Arc::ptr_eq(other, object))
    }

    /// Stores what was loaded from the disk. Returns whether all of it is in memory, or was invalidated meanwhile.
    pub(crate) fn insert_loaded(
        &self,
        id: Id,
        objects: &[Arc<Object<M>>],
        fill: &Arc<Fill<M>>,
        now: Time,
    ) -> bool {
        objects.iter().for_each(|object| {
            self.enter_order(object, now);
        });
        let mut shard = self.shard(id);
        let wanted = shard.remove_fill(id, fill);
        let mut left = Vec::new();
        for object in objects {
            if wanted && !object.is_gone() {
                left.extend(shard.add_object(id, object));
            } else {
                left.push(Arc::clone(object));
            }
        }
        drop(shard);
        // What had no room would be loaded again and again.
        let is_in = !wanted || !objects.iter().any(|object| object.is_gone());
        self.leave_order(&left);
        is_in
    }

    /// What is stored of a variant in memory makes way for what the disk has of it.
    pub(crate) fn leave_to_disk(&self, id: Id, head: &Head<M>) {
        let mut shard = self.shard(id);
        shard.unmark(id);
        let is_older = |object: &&Arc<Object<M>>| {
            let other = object.head();
            (other.key(), other.vary()) == (head.key(), head.vary()) && other.sequence() <= head.sequence()
        };
        let older: Vec<_> = shard.objects(id).iter().filter(is_older).cloned().collect();
        older.iter().for_each(|object| shard.remove_object(id, object));
        drop(shard);
        self.leave_order(&older);
    }

    /// Forgets an object, and its file.
    pub(crate) fn drop_object(self: &Arc<Self>, object: &Arc<Object<M>>) {
        let objects = std::slice::from_ref(object);
        self.leave_table(objects);
        self.leave_order(objects);
        self.unsave(self.id(object.head().key()), Some(object.head()));
    }

    fn enter_order(&self, object: &Arc<Object<M>>, now: Time) -> bool {
        loop {
            let mut order = self.order();
            let (room, victims) = self.evict(&mut order, object.bytes());
            if room == Room::Fits {
                let slot = order.eviction.insert(Arc::clone(object), Mark::tick(now));
                object.set_slot(slot);
            }
            drop(order);
            self.leave_table(&victims);
            match room {
                Room::Fits => return true,
                Room::Full => {
                    object.set_gone();
                    return false;
                }
                Room::Unfinished => {}
            }
        }
    }

    /// Evicts what has no room any more.
    pub(crate) fn shrink(&self) {
        loop {
            let (room, victims) = self.evict(&mut self.order(), 0);
            self.leave_table(&victims);
            if room != Room::Unfinished {
                return;
            }
        }
    }

    /// Evicts until `bytes` more have room. What it returns is still to be taken out of the table.
    pub(crate) fn evict(&self, order: &mut Order<M>, bytes: u64) -> (Room, Vec<Arc<Object<M>>>) {
        let mut victims = Vec::new();
        let capacity = self.capacity();
        let in_transit = self.in_transit();
        while order.eviction.bytes() + in_transit + bytes > capacity {
            if victims.len() == Self::BATCH {
                return (Room::Unfinished, victims);
            }
            let Some(victim) = order.eviction.evict() else { return (Room::Full, victims) };
            victim.set_gone();
            add(&self.counts.evictions[order.eviction.policy().index()], 1);
            victims.push(victim);
        }
        (Room::Fits, victims)
    }

    /// What occupies memory and is not stored: fetches in progress, and what left the store while it is being sent, in bytes.
    pub(crate) fn in_transit(&self) -> u64 {
        self.filling.load(Ordering::Acquire) + self.pinned.bytes()
    }

    /// Takes objects out of the table that have left the order.
    pub(crate) fn leave_table(&self, objects: &[Arc<Object<M>>]) {
        for object in objects {
            let id = self.id(object.head().key());
            self.shard(id).remove_object(id, object);
        }
        self.pinned.add(objects.iter().filter(|object| object.is_gone()));
    }

    /// Takes objects out of the order that have left the table, or never came into it.
    pub(crate) fn leave_order(&self, objects: &[Arc<Object<M>>]) {
        if objects.is_empty() {
            return;
        }
        let mut order = self.order();
        let mut left = Vec::with_capacity(objects.len());
        for object in objects.iter().filter(|object| !object.is_gone()) {
            order.eviction.remove(object.slot());
            object.set_gone();
            left.push(object);
        }
        drop(order);
        self.pinned.add(left.into_iter());
    }

    /// Removes purged objects.
    pub(crate) fn forget(self: &Arc<Self>, purged: &[Arc<Object<M>>]) {
        if !purged.is_empty() {
            self.leave_table(purged);
            self.leave_order(purged);
            for object in purged {
                self.unsave(self.id(object.head().key()), Some(object.head()));
            }
            add(&self.counts.purged, purged.len() as u64);
        }
    }
}
