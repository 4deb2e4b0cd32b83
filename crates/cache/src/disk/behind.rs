//! What the store asks of its disk, if it has one.

use evenkeel_core::cache::evict::Policy;
use evenkeel_core::cache::{PurgeVerdict, UrlId};
use evenkeel_types::Time;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::area::Disk;
use super::format;
use super::index::{Entry, Name};
use super::run;
use crate::head::Head;
use crate::key::Id;
use crate::object::{Object, OnDisk};
use crate::reader::Reader;
use crate::shard::Shard;
use crate::store::Store;
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, lock};

impl<M: Clone + Send + Sync + 'static> Store<M> {
    /// Begins to load what the disk has for a key, but for the variants that are in memory already; `None` if there is
    /// nothing, or if too many wait for the disk.
    pub(crate) fn load(
        self: &Arc<Self>,
        shard: &mut Shard<M>,
        id: Id,
        key: &[u8],
        now: Time,
    ) -> Option<Reader<M>> {
        let disk = self.own_disk()?;
        let in_memory = shard.objects(id).iter();
        let known: Vec<Id> = in_memory.map(|object| self.variant_id(object.head())).collect();
        let entries: Vec<_> = {
            let index = lock(&disk.index);
            let found = index.find(id, now).iter();
            found.filter(|entry| !known.contains(&entry.variant)).cloned().collect()
        };
        if entries.is_empty() {
            return None;
        }
        let fill = Arc::new(self.new_fill(key, None).for_load());
        let reader = Reader::join(&fill, &self.purges).filter(|_| shard.add_fill(id, &fill))?;
        let (store, loading) = (Arc::clone(self), Arc::clone(&fill));
        if disk.pool.read(Box::new(move || run::load(&store, &loading, id, &entries, now))) {
            return Some(reader);
        }
        shard.remove_fill(id, &fill);
        None
    }

    /// Writes an object to the disk, unless too much waits for that. An older version of it is removed in any case.
    pub(crate) fn save(self: &Arc<Self>, id: Id, object: &Arc<Object<M>>, now: Time) {
        let Some(disk) = self.own_disk() else { return };
        if disk.is_closed.load(Ordering::Acquire) {
            return;
        }
        if let Some(file) = object.file() {
            return self.save_head(disk, object, file);
        }
        let variant = self.variant_id(object.head());
        let stamp = disk.stamp.fetch_add(1, Ordering::AcqRel) + 1;
        let name = Name { id, variant, url: self.url_hash(object.head().url()), stamp };
        let older = {
            let mut index = lock(&disk.index);
            let older = index.remove_key(id, Some(variant));
            index.expect(name);
            older
        };
        disk.remove_files(older);
        // A purge that came before did not find it among what is to be written.
        if self.check(object) != PurgeVerdict::Live {
            return lock(&disk.index).give_up(variant, stamp);
        }
        let bytes = object.body_len() + object.head().block_bytes() as u64;
        let (store, object) = (Arc::clone(self), Arc::clone(object));
        let save = Box::new(move || run::save(&store, &object, name, now));
        if !disk.pool.write(bytes, save) {
            lock(&disk.index).give_up(variant, stamp);
            disk.failed("a response", &"too many wait to be written");
        }
    }

    /// Writes a newer head beside the file that has the body.
    fn save_head(self: &Arc<Self>, disk: &Disk<M>, object: &Arc<Object<M>>, file: &OnDisk) {
        let (entry, len) = (Arc::clone(&file.entry), object.body_len());
        let encoded = format::encode_head(object.head(), object.trailers(), len, entry.stamp, &disk.codec);
        // It belongs to a file of another variant, or has no room: the head in the file is good, only older.
        let is_of = self.variant_id(object.head()) == entry.variant;
        let Some(head) = encoded.filter(|head| is_of && head.len() as u64 <= Entry::HEAD_MAX) else { return };
        let stamp = disk.stamp.fetch_add(1, Ordering::AcqRel) + 1;
        let store = Arc::clone(self);
        let bytes = head.len() as u64;
        if !disk.pool.write(bytes, Box::new(move || run::save_head(&store, &entry, &head, stamp))) {
            disk.failed("a response", &"too many wait to be written");
        }
    }

    /// Removes what the disk has for a key, or for one variant of it.
    pub(crate) fn unsave(self: &Arc<Self>, id: Id, variant: Option<&Head<M>>) {
        let Some(disk) = self.own_disk() else { return };
        let variant = variant.map(|head| self.variant_id(head));
        let entries = lock(&disk.index).remove_key(id, variant);
        disk.remove_files(entries);
    }

    /// Changes what makes room on the disk, and how much of it there is.
    pub(crate) fn set_disk_limits(self: &Arc<Self>, policy: Policy, size: Option<u64>) {
        let Some(disk) = self.own_disk() else { return };
        let entries = {
            let mut index = lock(&disk.index);
            let size = size.unwrap_or(index.size);
            index.set_limits(policy, size)
        };
        disk.remove_files(entries);
    }

    /// A URL, as far as the index tells it apart from others.
    pub(crate) fn url_hash(&self, url: UrlId) -> u64 {
        xxh3_64_with_seed(&url.0.to_le_bytes(), self.seed())
    }

    pub(crate) fn variant_id(&self, head: &Head<M>) -> Id {
        Id::of_variant(head.key(), head.vary(), self.seed())
    }
}
