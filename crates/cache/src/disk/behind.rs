//! What the store asks of its disk, if it has one.

use evenkeel_core::cache::evict::Policy;
use evenkeel_core::cache::{Scope, Strength};
use evenkeel_types::Time;

use super::area::Disk;
use super::log::Record;
use super::run;
use crate::fill::Fill;
use crate::head::Head;
use crate::key::Id;
use crate::object::Object;
use crate::store::Store;
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, lock};

impl<M: Clone + Send + Sync + 'static> Store<M> {
    /// Begins to load what the disk has for a key, but for the variants that are in memory already. Returns whether it
    /// does.
    pub(crate) fn load(
        self: &Arc<Self>,
        fill: &Arc<Fill<M>>,
        id: Id,
        in_memory: &[Arc<Object<M>>],
        now: Time,
    ) -> bool {
        let Some(disk) = self.disk() else { return false };
        let known: Vec<Id> = in_memory.iter().map(|object| self.variant_id(object.head())).collect();
        let entries: Vec<_> = {
            let index = lock(&disk.index);
            let found = index.find(id, now).iter();
            found.filter(|entry| !known.contains(&entry.variant)).cloned().collect()
        };
        if entries.is_empty() {
            return false;
        }
        let (store, fill) = (Arc::clone(self), Arc::clone(fill));
        disk.pool.read(Box::new(move || run::load(&store, &fill, id, &entries, now)))
    }

    /// Writes an object to the disk, unless too much waits for that. An older version of it is removed in any case.
    pub(crate) fn save(self: &Arc<Self>, id: Id, object: &Arc<Object<M>>, now: Time) {
        let Some(disk) = self.disk() else { return };
        if object.is_on_disk() || disk.is_closed.load(Ordering::Acquire) {
            return;
        }
        let variant = self.variant_id(object.head());
        let stamp = disk.stamp.fetch_add(1, Ordering::AcqRel) + 1;
        let older = {
            let mut index = lock(&disk.index);
            let older = index.remove_key(id, Some(variant));
            index.expect(id, variant, stamp);
            older
        };
        disk.remove_files(older);
        let bytes = object.body_len() + object.head().block_bytes() as u64;
        let (store, object) = (Arc::clone(self), Arc::clone(object));
        let save = Box::new(move || run::save(&store, &object, (id, variant, stamp), now));
        if !disk.pool.write(bytes, save) {
            lock(&disk.index).give_up(variant, stamp);
            disk.failures.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Removes what the disk has for a key, or for one variant of it.
    pub(crate) fn unsave(self: &Arc<Self>, id: Id, variant: Option<&Head<M>>) {
        let Some(disk) = self.disk() else { return };
        let variant = variant.map(|head| self.variant_id(head));
        let entries = lock(&disk.index).remove_key(id, variant);
        disk.remove_files(entries);
    }

    /// Adds a purge and writes it down before it takes effect. One more than the log has room for purges everything.
    pub(crate) fn log_purge(self: &Arc<Self>, scope: &Scope, strength: Strength) -> u64 {
        let Some(disk) = self.disk() else { return self.purges.add(scope, strength) };
        let mut log = lock(&disk.log);
        let (scope, strength) = if log.is_full() { (&Scope::All, Strength::Hard) } else { (scope, strength) };
        let record: Record = (self.purges.newest() + 1, scope.clone(), strength);
        let is_all = (scope, strength) == (&Scope::All, Strength::Hard);
        let written = if is_all { log.restart(&record) } else { log.append(&record) };
        let handle = written.and_then(|()| log.handle());
        let sequence = self.purges.add(scope, strength);
        drop(log);
        match handle {
            Ok(handle) => {
                let store = Arc::clone(self);
                disk.pool.remove(Box::new(move || {
                    if let (Err(error), Some(disk)) = (handle.sync_data(), store.disk()) {
                        disk.failed(&error);
                    }
                }));
            }
            Err(_) => self.close_disk(disk),
        }
        if is_all {
            let entries = lock(&disk.index).clear();
            disk.remove_files(entries);
        }
        sequence
    }

    /// A purge could not be written down: nothing of the disk may be found after a restart.
    fn close_disk(self: &Arc<Self>, disk: &Disk<M>) {
        disk.is_closed.store(true, Ordering::Release);
        disk.failures.fetch_add(1, Ordering::Relaxed);
        // Without its seed, files are not found any more.
        let _ = std::fs::remove_file(Disk::<M>::seed_path(&disk.root));
        let entries = lock(&disk.index).clear();
        disk.remove_files(entries);
    }

    /// Changes what makes room on the disk, and how much of it there is.
    pub(crate) fn set_disk_limits(self: &Arc<Self>, policy: Policy, size: Option<u64>) {
        let Some(disk) = self.disk() else { return };
        let entries = {
            let mut index = lock(&disk.index);
            let size = size.unwrap_or(index.capacity);
            index.set_limits(policy, size)
        };
        disk.remove_files(entries);
    }

    pub(crate) fn variant_id(&self, head: &Head<M>) -> Id {
        Id::of_variant(head.key(), head.vary(), self.seed())
    }
}
