//! A directory becomes a disk cache: what an earlier process has left there is found again.

use std::fs::{self, DirBuilder, DirEntry, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use xxhash_rust::xxh3::xxh3_64;

use super::area::{Disk, DiskLimits};
use super::fault::{OpenError, doing};
use super::format::Codec;
use super::index::{Entry, HEAD, Index};
use super::log::PurgeLog;
use super::pool::Pool;
use super::record::Record;
use crate::key::random_seed;
use crate::store::{Limits, Store};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, lock};

/// A file that says whose directory it is, and to programs that make copies that there is no need for one
/// (<https://bford.info/cachedir/>).
const MARKER: &str = "CACHEDIR.TAG";
/// What it says.
const MARKED: &str = "Signature: 8a477f597d28d172789f06886806bc55\n# The disk cache of Evenkeel.\n";
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
    pub fn open(limits: Limits, disk: &DiskLimits, codec: Codec<M>) -> Result<Arc<Self>, OpenError> {
        let root = &disk.path;
        make(root)?;
        let lock = File::create(root.join("lock")).map_err(doing("write a file in it"))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| OpenError::InUse)?;
        renew_tmp(root).map_err(doing("remove what an earlier process has left unfinished"))?;
        let (log, records, seed) = read_rest(root, disk.size).map_err(doing("read its purges"))?;
        let store = Self::with_seed(limits, seed);
        for (sequence, scope, strength) in records {
            store.purges.restore(sequence, &scope, strength);
        }
        // The numbers of purges go on where those of earlier processes ended, although not each of them was written down:
        // fewer than a million come in a second. If the clock went back, what is newer than it is not found.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        store.purges.begin(u64::try_from(since.as_micros()).unwrap_or_default());
        // Larger than any that was given out before, unless the clock went back: then an older file is taken for newer.
        let nanos = since.as_nanos();
        let disk = Disk {
            root: root.clone(),
            index: Mutex::new(Index::new(limits.policy, disk.size)),
            pool: Pool::start().map_err(doing("start its threads"))?,
            codec,
            log: Mutex::new(log),
            stamp: AtomicU64::new(u64::try_from(nanos).unwrap_or(u64::MAX)),
            is_closed: AtomicBool::new(false),
            written: AtomicU64::new(0),
            read: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            fault: Mutex::new(None),
            is_released: AtomicBool::new(false),
            lock,
        };
        store.set_disk(disk);
        let (walked, root) = (Arc::downgrade(&store), root.clone());
        let walk = std::thread::Builder::new().name("cache-walk".into());
        walk.spawn(move || Self::walk(&walked, &root)).map_err(doing("start its threads"))?;
        Ok(store)
    }

    /// Finds what an earlier process has left.
    fn walk(store: &Weak<Self>, root: &Path) -> Option<()> {
        let mut looked = 0;
        for directory in directories(root) {
            let mut heads = Vec::new();
            for (entry, path) in files(&directory) {
                looked += 1;
                if looked % WALK_BATCH == 0 {
                    std::thread::sleep(WALK_PAUSE);
                }
                if path.extension().is_some_and(|extension| extension == HEAD) {
                    heads.push(path);
                } else {
                    store.upgrade()?.adopt(entry, &path);
                }
            }
            heads.iter().try_for_each(|path| store.upgrade()?.adopt_head(path))?;
        }
        store.upgrade()?.set_walked();
        Some(())
    }

    /// Takes a file into the index that an earlier process has written, or removes it.
    fn adopt(&self, entry: Option<Entry>, path: &Path) {
        let Some(disk) = self.disk() else { return };
        let Some(entry) = entry.map(Arc::new) else {
            self.remove_stray(path);
            return;
        };
        // What is written from now on is newer, although the clock may have gone back.
        disk.stamp.fetch_max(entry.stamp, Ordering::AcqRel);
        let left = lock(&disk.index).add_found(&entry);
        disk.remove_files(left);
    }

    /// Notes that a file has a newer head beside it, or removes a head without a file.
    fn adopt_head(&self, path: &Path) -> Option<()> {
        let disk = self.disk()?;
        let named = path.file_stem().and_then(|name| name.to_str());
        let named = named.and_then(|name| Entry::of_name(name, 0));
        let entry = named.and_then(|of| lock(&disk.index).of_stamp(of.id, of.variant, of.stamp));
        match entry {
            Some(entry) => entry.set_head(),
            None => self.remove_stray(path),
        }
        Some(())
    }

    /// Removes a file that belongs to no entry, unless another process has the directory by now: it may have written it.
    fn remove_stray(&self, path: &Path) {
        if self.own_disk().is_some() {
            drop(fs::remove_file(path));
        }
    }
}

/// Makes the directory, if it is not there.
fn make(root: &Path) -> Result<(), OpenError> {
    match DirBuilder::new().mode(0o700).create(root) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(OpenError::NoParent),
        Err(error) => return Err(doing("make it")(error)),
    }
    let marker = root.join(MARKER);
    let is_ours = fs::read_to_string(&marker).is_ok_and(|text| text == MARKED);
    if is_ours {
        return Ok(());
    }
    let mut others = fs::read_dir(root).map_err(doing("read it"))?.flatten();
    // The root of a file system of its own has one, and a process that was killed at once may have left half a marker.
    let is_other = |entry: &DirEntry| entry.file_name() != "lost+found" && entry.file_name() != MARKER;
    if others.any(|entry| is_other(&entry)) {
        return Err(OpenError::NotOurs);
    }
    fs::write(marker, MARKED).map_err(doing("write a file in it"))
}

/// Removes what was not finished.
fn renew_tmp(root: &Path) -> io::Result<()> {
    remove_dir(&root.join("tmp"))?;
    fs::create_dir(root.join("tmp"))
}

/// The purges, and the seed of all hashes; all is emptied if either is damaged.
fn read_rest(root: &Path, size: u64) -> io::Result<(PurgeLog, Vec<Record>, u64)> {
    let (log, records) = PurgeLog::open(root, size)?;
    if let (Some(records), Some(seed)) = (records, read_seed(root)) {
        return Ok((log, records, seed));
    }
    // Which responses were purged is not known, or none could be found.
    empty(root)?;
    Ok((PurgeLog::open(root, size)?.0, Vec::new(), write_seed(root, random_seed())?))
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
    remove_objects(root)?;
    for file in [Disk::<()>::seed_path(root), root.join("purges")] {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Removes the files of all responses.
pub fn remove_objects(root: &Path) -> io::Result<()> {
    directories(root).iter().try_for_each(|directory| remove_dir(directory))
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

/// Writes the seed down, and returns it.
pub fn write_seed(root: &Path, seed: u64) -> io::Result<u64> {
    let bytes = seed.to_le_bytes();
    fs::write(Disk::<()>::seed_path(root), [bytes, xxh3_64(&bytes).to_le_bytes()].concat())?;
    Ok(seed)
}
