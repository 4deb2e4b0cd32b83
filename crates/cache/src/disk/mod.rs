//! Objects on a disk, behind those in memory: one file each, written and read by threads of their own.
//!
//! Whatever goes wrong costs hits, and nothing else: what cannot be written is not stored, what cannot be read or is damaged
//! is fetched anew.

pub mod format;
pub mod index;
mod log;
mod open;
mod pool;
mod run;
mod stream;

use std::io;
use std::path::PathBuf;

use evenkeel_core::cache::evict::Policy;
use evenkeel_core::cache::{Scope, Strength};
use evenkeel_types::Time;

pub use format::Codec;

use crate::figures::DiskFigures;
use crate::fill::Fill;
use crate::head::Head;
use crate::key::Id;
use crate::object::Object;
use crate::store::Store;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, lock};
use index::{Entry, Index};
use log::{PurgeLog, Record};
use pool::Pool;
use stream::Stream;

/// Where the disk cache is, and how large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskLimits {
    /// Its directory, which is its own alone.
    pub path: PathBuf,
    /// The most that its files occupy, in bytes.
    pub size: u64,
}

/// The disk cache of a store.
#[derive(Debug)]
pub(crate) struct Disk<M> {
    root: PathBuf,
    index: Mutex<Index>,
    pool: Pool<Job<M>>,
    codec: Codec<M>,
    log: Mutex<PurgeLog>,
    /// The stamp of the newest file.
    stamp: AtomicU64,
    /// Whether something could not be written down that must not come back: nothing is stored any more.
    is_closed: AtomicBool,
    failures: AtomicU64,
    /// Keeps other processes out of the directory.
    _lock: std::fs::File,
}

/// What a disk thread does.
#[derive(Debug)]
pub(crate) struct Job<M> {
    store: Arc<Store<M>>,
    task: Task<M>,
}

#[derive(Debug)]
enum Task<M> {
    /// Brings what there is for a key into memory.
    Load { fill: Arc<Fill<M>>, id: Id, entries: Vec<Arc<Entry>>, now: Time },
    /// Writes an object.
    Save { object: Arc<Object<M>>, id: Id, variant: Id, stamp: u64, now: Time },
    /// Sends the body of an object.
    Stream(Box<Stream<M>>),
    /// Removes files.
    Remove(Vec<Arc<Entry>>),
    /// Brings purges to the disk.
    Sync(std::fs::File),
}

impl<M: Clone + Send + Sync + 'static> Disk<M> {
    fn give(&self, store: &Arc<Store<M>>, task: Task<M>) -> bool {
        let bytes = match &task {
            Task::Save { object, .. } => object.body_len() + object.head().block_bytes() as u64,
            _ => 0,
        };
        let job = Job { store: Arc::clone(store), task };
        match &job.task {
            Task::Load { .. } | Task::Stream(_) => self.pool.read(job),
            Task::Save { .. } => self.pool.write(bytes, job),
            Task::Remove(_) | Task::Sync(_) => {
                self.pool.remove(job);
                true
            }
        }
    }

    fn remove_files(&self, store: &Arc<Store<M>>, entries: Vec<Arc<Entry>>) {
        if !entries.is_empty() {
            self.give(store, Task::Remove(entries));
        }
    }
}

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
        !entries.is_empty() && disk.give(self, Task::Load { fill: Arc::clone(fill), id, entries, now })
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
        disk.remove_files(self, older);
        if !disk.give(self, Task::Save { object: Arc::clone(object), id, variant, stamp, now }) {
            lock(&disk.index).give_up(variant, stamp);
            disk.failures.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Removes what the disk has for a key, or for one variant of it.
    pub(crate) fn unsave(self: &Arc<Self>, id: Id, variant: Option<&Head<M>>) {
        let Some(disk) = self.disk() else { return };
        let variant = variant.map(|head| self.variant_id(head));
        let entries = lock(&disk.index).remove_key(id, variant);
        disk.remove_files(self, entries);
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
                disk.give(self, Task::Sync(handle));
            }
            Err(_) => self.close_disk(disk),
        }
        if is_all {
            let entries = lock(&disk.index).clear();
            disk.remove_files(self, entries);
        }
        sequence
    }

    /// A purge could not be written down: nothing of the disk may be found after a restart.
    fn close_disk(self: &Arc<Self>, disk: &Disk<M>) {
        disk.is_closed.store(true, Ordering::Release);
        disk.failures.fetch_add(1, Ordering::Relaxed);
        // Without its seed, files are not found any more.
        let _ = std::fs::remove_file(open::seed_path(&disk.root));
        let entries = lock(&disk.index).clear();
        disk.remove_files(self, entries);
    }

    /// Changes what makes room on the disk, and how much of it there is.
    pub(crate) fn set_disk_limits(self: &Arc<Self>, policy: Policy, size: Option<u64>) {
        let Some(disk) = self.disk() else { return };
        let entries = {
            let mut index = lock(&disk.index);
            let size = size.unwrap_or(index.capacity);
            index.set_limits(policy, size)
        };
        disk.remove_files(self, entries);
    }

    fn variant_id(&self, head: &Head<M>) -> Id {
        Id::of_variant(head.key(), head.vary(), self.seed())
    }
}

impl<M> Disk<M> {
    /// The disk cache at this moment.
    pub fn figures(&self) -> DiskFigures {
        let index = lock(&self.index);
        DiskFigures {
            objects: index.len() as u64,
            bytes: index.bytes(),
            capacity: index.capacity,
            failures: self.failures.load(Ordering::Relaxed),
        }
    }

    fn failed(&self, _: &io::Error) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }
}
