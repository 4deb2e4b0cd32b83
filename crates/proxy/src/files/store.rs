//! What one worker keeps of files that were asked for: small ones in memory, large ones open. What it has is looked at again
//! on the disk, off the worker's thread, before it is a second old.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use evenkeel_config::Files;
use evenkeel_types::{Clock, Time};
use tokio::sync::OnceCell;

use super::lookup::{Found, Variants, look_up};
use super::pool::{DiskPool, NoOutcome};

/// Files of one worker at most.
const ENTRIES_MAX: usize = 8_192;
/// Bytes of files in memory at most, of all workers together.
const PROCESS_BYTES_MAX: usize = 128 * 1024 * 1024;
/// What an entry takes beside its path and its file.
const ENTRY_OVERHEAD: usize = 160;
/// A file that is older is not served before it was looked at.
const FRESH: Duration = Duration::from_secs(1);
/// A file that is older is looked at while it is still served.
const AGING: Duration = Duration::from_millis(500);

/// What was asked for: a path below a root, and whether it ends with `/`.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// The root, and how it is served.
    pub files: &'q Arc<Files>,
    /// Relative to the root.
    pub path: &'q str,
    /// A directory is asked for.
    pub is_directory: bool,
}

/// The same, to be kept.
#[derive(Debug)]
struct Kept {
    files: Arc<Files>,
    path: Box<str>,
    is_directory: bool,
}

impl Kept {
    fn of(question: Question<'_>) -> Self {
        let Question { files, path, is_directory } = question;
        Self { files: Arc::clone(files), path: path.into(), is_directory }
    }

    /// True if the answer to the one is the answer to the other.
    fn is(&self, question: Question<'_>) -> bool {
        let (ours, theirs) = (&self.files, question.files);
        *self.path == *question.path
            && self.is_directory == question.is_directory
            && (Arc::ptr_eq(ours, theirs)
                || (&ours.root, &ours.index, ours.precompressed, ours.listing)
                    == (&theirs.root, &theirs.index, theirs.precompressed, theirs.listing))
    }
}

/// A file that is kept.
#[derive(Debug)]
struct Entry {
    question: Kept,
    variants: Arc<Variants>,
    /// When it was looked at on the disk.
    looked: Time,
    /// Asked for since it came, or since its turn to go came last.
    is_used: bool,
}

impl Entry {
    fn bytes(&self) -> usize {
        let versions = self.variants.versions().map(|version| version.memory());
        ENTRY_OVERHEAD + self.question.path.len() + versions.sum::<usize>()
    }

    fn descriptors(&self) -> usize {
        self.variants.versions().map(|version| version.descriptors()).sum()
    }
}

/// What is kept, in the order in which it came: a file that is asked for again has another turn (second chance).
#[derive(Debug, Default)]
struct Entries {
    by_key: HashMap<u64, Entry, foldhash::fast::RandomState>,
    turns: VecDeque<u64>,
    bytes: usize,
    descriptors: usize,
}

impl Entries {
    fn insert(&mut self, key: u64, entry: Entry) {
        self.bytes += entry.bytes();
        self.descriptors += entry.descriptors();
        match self.by_key.insert(key, entry) {
            Some(old) => self.forget(&old),
            None => self.turns.push_back(key),
        }
    }

    fn remove(&mut self, key: u64) {
        if let Some(old) = self.by_key.remove(&key) {
            self.forget(&old);
            self.turns.retain(|turn| *turn != key);
        }
    }

    fn forget(&mut self, old: &Entry) {
        self.bytes -= old.bytes();
        self.descriptors -= old.descriptors();
    }

    fn shrink_to(&mut self, limits: &Limits) {
        while self.by_key.len() > limits.entries
            || self.bytes > limits.bytes
            || self.descriptors > limits.descriptors
        {
            let Some(key) = self.turns.pop_front() else { return };
            let Some(entry) = self.by_key.get_mut(&key) else { continue };
            if std::mem::take(&mut entry.is_used) {
                self.turns.push_back(key);
            } else if let Some(old) = self.by_key.remove(&key) {
                self.forget(&old);
            }
        }
    }
}

#[derive(Debug)]
struct Limits {
    entries: usize,
    bytes: usize,
    descriptors: usize,
}

/// A look at the disk that is under way; all that ask for the same wait for it.
#[derive(Debug)]
struct Looking {
    question: Kept,
    outcome: OnceCell<Result<Found, NoOutcome>>,
}

/// The files of one worker.
#[derive(Debug)]
pub struct FileStore {
    clock: Clock,
    limits: Limits,
    entries: RefCell<Entries>,
    looking: RefCell<HashMap<u64, Weak<Looking>>>,
    /// For calls that may block.
    pub disk: DiskPool,
}

/// What is kept of a file.
#[derive(Debug)]
pub enum Seen {
    /// It can be served.
    Fresh(Arc<Variants>),
    /// It can be served, and someone should look at it again meanwhile.
    Aging(Arc<Variants>),
    /// It must be looked at.
    Unknown,
}

impl FileStore {
    /// Keeps nothing yet; there are so many workers.
    pub fn new(clock: Clock, workers: usize) -> Self {
        let workers = workers.max(1);
        let limits = Limits {
            entries: ENTRIES_MAX,
            bytes: PROCESS_BYTES_MAX / workers,
            descriptors: evenkeel_net::files_max() / workers,
        };
        Self {
            clock,
            limits,
            entries: RefCell::default(),
            looking: RefCell::default(),
            disk: DiskPool::default(),
        }
    }

    /// What is kept of a file.
    pub fn see(&self, question: Question<'_>, now: Time) -> Seen {
        let mut entries = self.entries.borrow_mut();
        let key = key(&entries, question);
        let Some(entry) = entries.by_key.get_mut(&key).filter(|entry| entry.question.is(question)) else {
            return Seen::Unknown;
        };
        let age = now.since(entry.looked);
        if age > FRESH {
            return Seen::Unknown;
        }
        entry.is_used = true;
        let variants = Arc::clone(&entry.variants);
        if age <= AGING || self.looking.borrow().contains_key(&key) {
            return Seen::Fresh(variants);
        }
        Seen::Aging(variants)
    }

    /// Looks at the disk, and keeps what is there if it is a file. What asks for the same meanwhile shares the outcome.
    ///
    /// # Errors
    /// The disk took too long, or has too much to do.
    pub async fn look(&self, question: Question<'_>) -> Result<Found, NoOutcome> {
        let key = key(&self.entries.borrow(), question);
        let looking = self.join(key, question);
        let _done = Done { store: self, key, looking: &looking };
        looking.outcome.get_or_init(|| self.look_now(key, question)).await.clone()
    }

    fn join(&self, key: u64, question: Question<'_>) -> Rc<Looking> {
        let mut all = self.looking.borrow_mut();
        if let Some(under_way) = all.get(&key).and_then(Weak::upgrade)
            && under_way.question.is(question)
        {
            return under_way;
        }
        let new = Rc::new(Looking { question: Kept::of(question), outcome: OnceCell::new() });
        all.insert(key, Rc::downgrade(&new));
        new
    }

    async fn look_now(&self, key: u64, question: Question<'_>) -> Result<Found, NoOutcome> {
        let looked = self.clock.now();
        let kept = Kept::of(question);
        let old = {
            let entries = self.entries.borrow();
            let old = entries.by_key.get(&key).filter(|entry| entry.question.is(question));
            old.map(|entry| Arc::clone(&entry.variants))
        };
        let (files, path, is_directory) = (Arc::clone(question.files), kept.path.clone(), kept.is_directory);
        let calls = self.disk.below(&question.files.root);
        let found = calls.run(move || look_up(&files, &path, is_directory, old.as_ref())).await;
        let mut entries = self.entries.borrow_mut();
        match &found {
            Ok(Found::File(variants)) => {
                let is_used = entries.by_key.get(&key).is_some_and(|entry| entry.is_used);
                let variants = Arc::clone(variants);
                entries.insert(key, Entry { question: kept, variants, looked, is_used });
                entries.shrink_to(&self.limits);
            }
            Ok(_) => entries.remove(key),
            Err(_) => {}
        }
        found
    }

    /// Bytes in memory, and files that are open.
    pub fn size(&self) -> (usize, usize) {
        let entries = self.entries.borrow();
        (entries.bytes, entries.descriptors)
    }
}

/// The last that waits for a look at the disk takes it off the list, whether or not it has an outcome; and so does the first
/// that has it, because what asks from now on wants a later one.
struct Done<'s> {
    store: &'s FileStore,
    key: u64,
    looking: &'s Rc<Looking>,
}

impl Drop for Done<'_> {
    fn drop(&mut self) {
        if self.looking.outcome.initialized() || Rc::strong_count(self.looking) == 1 {
            let mut all = self.store.looking.borrow_mut();
            if all.get(&self.key).is_some_and(|listed| listed.as_ptr() == Rc::as_ptr(self.looking)) {
                all.remove(&self.key);
            }
        }
    }
}

fn key(entries: &Entries, question: Question<'_>) -> u64 {
    let mut hasher = entries.by_key.hasher().build_hasher();
    // `Path` would be hashed name by name.
    hasher.write(question.files.root.as_os_str().as_encoded_bytes());
    hasher.write_u8(u8::from(question.is_directory));
    hasher.write(question.path.as_bytes());
    hasher.finish()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn store(entries: usize, bytes: usize, descriptors: usize) -> FileStore {
        FileStore { limits: Limits { entries, bytes, descriptors }, ..FileStore::new(Clock::start(), 1) }
    }

    fn run<T>(test: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(test)
    }

    struct Folder(std::path::PathBuf, Arc<Files>);

    impl Folder {
        fn new(name: &str, sizes: &[usize]) -> Self {
            let path = std::env::temp_dir().join(format!("evenkeel-store-{}-{name}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir_all(&path).unwrap();
            for (i, size) in sizes.iter().enumerate() {
                std::fs::write(path.join(i.to_string()), vec![b'x'; *size]).unwrap();
            }
            let files = Arc::new(Files::new(path.clone()));
            Self(path, files)
        }

        fn look(&self, store: &FileStore, name: usize) -> Found {
            let path = name.to_string();
            run(store.look(Question { files: &self.1, path: &path, is_directory: false })).unwrap()
        }

        fn is_kept(&self, store: &FileStore, name: usize) -> bool {
            let path = name.to_string();
            let seen =
                store.see(Question { files: &self.1, path: &path, is_directory: false }, store.clock.now());
            !matches!(seen, Seen::Unknown)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_is_asked_for_again_stays_and_the_rest_goes_in_its_turn() {
        let folder = Folder::new("turns", &[1; 5]);
        let store = store(3, usize::MAX, 9);
        (0..3).for_each(|name| drop(folder.look(&store, name)));
        assert!(folder.is_kept(&store, 0));
        folder.look(&store, 3);
        folder.look(&store, 4);
        let kept: Vec<usize> = (0..5).filter(|name| folder.is_kept(&store, *name)).collect();
        assert_eq!(kept, [0, 3, 4]);
    }

    #[test]
    fn bytes_and_descriptors_are_bounded() {
        let folder = Folder::new("bounds", &[1_000, 1_000, 200_000, 200_000, 200_000]);
        let store = store(100, 3_000, 2);
        (0..5).for_each(|name| drop(folder.look(&store, name)));
        let (bytes, descriptors) = store.size();
        assert!(bytes <= 3_000 && descriptors <= 2, "{bytes} {descriptors}");
        assert!(folder.is_kept(&store, 4) && !folder.is_kept(&store, 0));
    }

    #[test]
    fn a_file_that_is_gone_is_forgotten() {
        let folder = Folder::new("gone", &[10]);
        let store = store(10, 100_000, 9);
        folder.look(&store, 0);
        assert!(folder.is_kept(&store, 0) && store.size().0 > 10);
        std::fs::remove_file(folder.0.join("0")).unwrap();
        assert!(matches!(folder.look(&store, 0), Found::Nothing(_)));
        assert_eq!((folder.is_kept(&store, 0), store.size()), (false, (0, 0)));
    }
}
