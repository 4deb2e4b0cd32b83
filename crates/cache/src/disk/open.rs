//! A directory becomes a disk cache: what an earlier process has left there is found again.

use std::fs::{self, DirEntry, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use evenkeel_types::Time;
use xxhash_rust::xxh3::xxh3_64;

use super::area::{Disk, DiskLimits};
use super::format::Codec;
use super::index::{Entry, Index};
use super::log::PurgeLog;
use super::pool::Pool;
use crate::key::random_seed;
use crate::store::{Limits, Store};
use crate::sync::atomic::{AtomicBool, AtomicU64};
use crate::sync::{Arc, Mutex, lock};

/// Files that the walk looks at before it pauses, so that it leaves the disk to others.
const WALK_BATCH: usize = 200;
/// How long it pauses.
const WALK_PAUSE: Duration = Duration::from_millis(2);

impl<M: Clone + Send + Sync + 'static> Store<M> {
    /// A store with a disk behind its memory. What is in the directory already is found again, by a thread that walks
    /// through it while the store is in use. `codec` writes and reads what the policy keeps of a response.
    ///
    /// # Errors
    /// The directory cannot be made, read or written, or another process uses it.
    pub fn open(limits: Limits, disk: &DiskLimits, codec: Codec<M>) -> io::Result<Arc<Self>> {
        let root = &disk.path;
        fs::create_dir_all(root)?;
        let lock = File::create(root.join("lock"))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            io::Error::new(io::ErrorKind::ResourceBusy, "another process uses this directory as its cache")
        })?;
        remove_dir(&root.join("tmp"))?;
        fs::create_dir(root.join("tmp"))?;
        let (mut log, mut records) = PurgeLog::open(root)?;
        let mut seed = read_seed(root);
        if seed.is_none() || records.is_none() {
            // Which responses were purged is not known, or none could be found.
            empty(root)?;
            log = PurgeLog::open(root)?.0;
            (seed, records) = (None, Some(Vec::new()));
        }
        let seed = match seed {
            Some(seed) => seed,
            None => write_seed(root)?,
        };
        let store = Self::with_seed(limits, seed);
        for (sequence, scope, strength) in records.into_iter().flatten() {
            store.purges.restore(sequence, &scope, strength);
        }
        // Larger than any that was given out before, unless the clock went back: then an older file is taken for newer.
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let disk = Disk {
            root: root.clone(),
            index: Mutex::new(Index::new(limits.policy, disk.size)),
            pool: Pool::start()?,
            codec,
            log: Mutex::new(log),
            stamp: AtomicU64::new(u64::try_from(nanos).unwrap_or(u64::MAX)),
            is_closed: AtomicBool::new(false),
            failures: AtomicU64::new(0),
            _lock: lock,
        };
        store.set_disk(disk);
        let walked = Arc::downgrade(&store);
        let root = root.clone();
        std::thread::Builder::new().name("cache-walk".into()).spawn(move || {
            let mut looked = 0;
            for directory in directories(&root) {
                for (entry, path) in files(&directory) {
                    looked += 1;
                    if looked % WALK_BATCH == 0 {
                        std::thread::sleep(WALK_PAUSE);
                    }
                    let Some(store) = walked.upgrade() else { return };
                    store.adopt(entry, &path);
                }
            }
            if let Some(store) = walked.upgrade() {
                store.set_walked();
            }
        })?;
        Ok(store)
    }

    /// Takes a file into the index that an earlier process has written, or removes it.
    fn adopt(self: &Arc<Self>, entry: Option<Entry>, path: &Path) {
        let Some(disk) = self.disk() else { return };
        let Some(entry) = entry.map(Arc::new) else {
            drop(fs::remove_file(path));
            return;
        };
        let mut index = lock(&disk.index);
        let is_known = index.find(entry.id, Time::ZERO).iter().any(|other| other.stamp == entry.stamp);
        let mut left = if is_known { Vec::new() } else { index.add(&entry, Time::ZERO) };
        left.extend(index.shrink());
        drop(index);
        disk.remove_files(left);
    }
}

fn directories(root: &Path) -> Vec<PathBuf> {
    let is_ours = |entry: &DirEntry| {
        let name = entry.file_name();
        name.len() == 2 && name.to_str().is_some_and(|name| u8::from_str_radix(name, 16).is_ok())
    };
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    entries.filter(is_ours).map(|entry| entry.path()).collect()
}

/// The files of a directory, as entries if their names are ours.
fn files(directory: &Path) -> impl Iterator<Item = (Option<Entry>, PathBuf)> {
    fs::read_dir(directory).into_iter().flatten().flatten().filter_map(|file| {
        let len = file.metadata().ok().filter(fs::Metadata::is_file)?.len();
        let entry = file.file_name().to_str().and_then(|name| Entry::of_name(name, len));
        Some((entry, file.path()))
    })
}

/// Removes all that a disk cache has made in a directory, and nothing else.
fn empty(root: &Path) -> io::Result<()> {
    directories(root).iter().try_for_each(|directory| remove_dir(directory))?;
    for file in [Disk::<()>::seed_path(root), root.join("purges")] {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn remove_dir(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn read_seed(root: &Path) -> Option<u64> {
    let bytes: [u8; 16] = fs::read(Disk::<()>::seed_path(root)).ok()?.try_into().ok()?;
    let (seed, sum) = bytes.split_at(8);
    (xxh3_64(seed).to_le_bytes() == sum).then(|| seed.try_into().map(u64::from_le_bytes).unwrap_or_default())
}

fn write_seed(root: &Path) -> io::Result<u64> {
    let seed = random_seed();
    let bytes = seed.to_le_bytes();
    fs::write(Disk::<()>::seed_path(root), [bytes, xxh3_64(&bytes).to_le_bytes()].concat())?;
    Ok(seed)
}
