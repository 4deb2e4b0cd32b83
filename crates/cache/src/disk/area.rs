//! The disk cache of a store: its directory, its index, its threads.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use super::format::Codec;
use super::index::{Entry, Index};
use super::log::PurgeLog;
use super::pool::Pool;
use crate::figures::{DiskFigures, add};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, lock};

/// Where the disk cache is, and how large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskLimits {
    /// Its directory, which is its own alone.
    pub path: PathBuf,
    /// The most that the directory occupies, in bytes.
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
    pub written: AtomicU64,
    pub read: AtomicU64,
    pub failures: AtomicU64,
    /// What failed last.
    pub fault: Mutex<Option<String>>,
    /// Whether another process has the directory, which takes the place of this one.
    pub is_released: AtomicBool,
    /// Keeps other processes out of the directory.
    pub lock: std::fs::File,
}

impl<M> Disk<M> {
    /// The disk cache at this moment.
    pub fn figures(&self) -> DiskFigures {
        let index = lock(&self.index);
        DiskFigures {
            objects: index.len() as u64,
            bytes: index.bytes(),
            capacity: index.size,
            written: self.written.load(Ordering::Relaxed),
            read: self.read.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
        }
    }

    /// Notes that something could not be written.
    pub fn failed(&self, what: &str, why: &impl Display) {
        *lock(&self.fault) = Some(format!("{what}: {why}"));
        add(&self.failures, 1);
    }

    /// Notes that an object was written.
    pub fn succeeded(&self) {
        add(&self.written, 1);
        if !self.is_closed.load(Ordering::Relaxed) {
            lock(&self.fault).take();
        }
    }

    /// What could not be written last.
    pub fn fault(&self) -> Option<String> {
        lock(&self.fault).clone()
    }

    /// Has files removed that the index does not know any more.
    pub fn remove_files(&self, entries: Vec<Arc<Entry>>) {
        if entries.is_empty() || self.is_released.load(Ordering::Acquire) {
            return;
        }
        let root = self.root.clone();
        self.pool.remove(Box::new(move || entries.iter().for_each(|entry| entry.remove_file(&root))));
    }

    /// Removes them at once. For the threads of the disk alone.
    pub fn remove_files_now(&self, entries: &[Arc<Entry>]) {
        entries.iter().for_each(|entry| entry.remove_file(&self.root));
    }

    /// Where a file is until it is whole.
    pub fn unfinished(&self, stamp: u64) -> PathBuf {
        self.root.join("tmp").join(format!("{stamp:016x}"))
    }

    /// Where the seed of all hashes is.
    pub fn seed_path(root: &Path) -> PathBuf {
        root.join("seed")
    }
}
