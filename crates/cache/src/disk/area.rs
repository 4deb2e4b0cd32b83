//! The disk cache of a store: its directory, its index, its threads.

use std::io;
use std::path::{Path, PathBuf};

use super::format::Codec;
use super::index::{Entry, Index};
use super::log::PurgeLog;
use super::pool::Pool;
use crate::figures::DiskFigures;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, lock};

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
pub struct Disk<M> {
    pub root: PathBuf,
    pub index: Mutex<Index>,
    pub pool: Pool,
    pub codec: Codec<M>,
    pub log: Mutex<PurgeLog>,
    /// The stamp of the newest file.
    pub stamp: AtomicU64,
    /// Whether something could not be written down that must not come back: nothing is stored any more.
    pub is_closed: AtomicBool,
    pub failures: AtomicU64,
    /// Keeps other processes out of the directory.
    pub _lock: std::fs::File,
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

    /// Counts what could not be written.
    pub fn failed(&self, _: &io::Error) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Has files removed that the index does not know any more.
    pub fn remove_files(&self, entries: Vec<Arc<Entry>>) {
        if entries.is_empty() {
            return;
        }
        let root = self.root.clone();
        // A file that is not there is what is wanted.
        self.pool.remove(Box::new(move || {
            entries.iter().for_each(|entry| drop(std::fs::remove_file(entry.path(&root))));
        }));
    }

    /// Where the seed of all hashes is.
    pub fn seed_path(root: &Path) -> PathBuf {
        root.join("seed")
    }
}
