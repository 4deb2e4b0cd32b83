//! Which files there are: in memory, bounded in bytes, and never trusted, because a file may be gone or damaged.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::hash::BuildHasherDefault;
use std::path::{Path, PathBuf};

use evenkeel_core::cache::evict::{Eviction, Mark, Policy, Resident};
use evenkeel_types::Time;

use crate::key::{Id, Passed};
use crate::sync::Arc;
use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// A longer body stays on the disk, and is read when it is sent.
pub const LOADED_MAX: u64 = 256 << 10;
/// What the name of a head ends in that is newer than that in the file beside it.
pub const HEAD: &str = "head";

/// What the name of a file says.
#[derive(Debug, Clone, Copy)]
pub struct Name {
    /// The hash of the key.
    pub id: Id,
    /// The hash of key and variant.
    pub variant: Id,
    /// The hash of the URL that purges name.
    pub url: u64,
    /// When it was written.
    pub stamp: u64,
}

/// A file of the disk cache.
#[derive(Debug)]
pub struct Entry {
    /// The hash of the key.
    pub id: Id,
    /// The hash of key and variant.
    pub variant: Id,
    /// The hash of the URL that purges name.
    pub url: u64,
    /// When it was written.
    pub stamp: u64,
    /// What it occupies, in bytes.
    pub bytes: u64,
    slot: AtomicU32,
    mark: Mark,
    /// Whether a newer head lies beside it.
    has_head: AtomicBool,
}

impl Entry {
    /// File systems give out space in such pieces.
    const BLOCK: u64 = 4_096;
    /// What a file occupies beside its content: its inode and its place in the directory.
    const OVERHEAD: u64 = 512;
    /// The longest head that is written beside a file, in bytes. Room for it is counted where there may be one.
    pub const HEAD_MAX: u64 = 8 << 10;

    /// A file of this length.
    pub fn new(Name { id, variant, url, stamp }: Name, len: u64) -> Self {
        let head = if len > LOADED_MAX { Self::HEAD_MAX + Self::OVERHEAD } else { 0 };
        let bytes = len.next_multiple_of(Self::BLOCK) + Self::OVERHEAD + head;
        let (slot, mark, has_head) = (AtomicU32::new(u32::MAX), Mark::default(), AtomicBool::new(false));
        Self { id, variant, url, stamp, bytes, slot, mark, has_head }
    }

    /// Whether a newer head lies beside the file.
    pub fn has_head(&self) -> bool {
        self.has_head.load(Ordering::Acquire)
    }

    /// Notes that a newer head lies beside the file.
    pub fn set_head(&self) {
        self.has_head.store(true, Ordering::Release);
    }

    /// Removes the file. One that is not there is what is wanted.
    pub fn remove_file(&self, root: &Path) {
        drop(fs::remove_file(self.path(root)));
        if self.has_head() {
            drop(fs::remove_file(self.head_path(root)));
        }
    }

    /// Where a newer head of the file is.
    pub fn head_path(&self, root: &Path) -> PathBuf {
        self.path(root).with_extension(HEAD)
    }

    /// Where the file is, below the directory of the cache. A name is never used twice, so that a file that is removed
    /// late is not a newer one.
    pub fn path(&self, root: &Path) -> PathBuf {
        let Self { id, variant, url, stamp, .. } = self;
        let name = format!("{}-{}-{url:016x}-{stamp:016x}", id.hex(), variant.hex());
        root.join(&name[..2]).join(name)
    }

    /// Reads the name of a file of this length; `None` if it is not one of ours.
    pub fn of_name(name: &str, len: u64) -> Option<Self> {
        let mut parts = name.split('-');
        let id = Id::of_hex(parts.next()?)?;
        let variant = Id::of_hex(parts.next()?)?;
        let mut number = || u64::from_str_radix(parts.next().filter(|text| text.len() == 16)?, 16).ok();
        let (url, stamp) = (number()?, number()?);
        parts.next().is_none().then(|| Self::new(Name { id, variant, url, stamp }, len))
    }
}

impl Resident for Entry {
    fn mark(&self) -> &Mark {
        &self.mark
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn fingerprint(&self) -> u32 {
        self.variant.fingerprint()
    }
}

/// All files.
#[derive(Debug)]
pub struct Index {
    files: HashMap<Id, Vec<Arc<Entry>>, BuildHasherDefault<Passed>>,
    /// Their keys by URL.
    urls: HashMap<u64, Vec<Id>, BuildHasherDefault<Passed>>,
    order: Eviction<Arc<Entry>>,
    /// Variants that wait to be written.
    pending: HashMap<Id, Name, BuildHasherDefault<Passed>>,
    /// What files take that are being written.
    writing: u64,
    /// While what an earlier process has left is being found.
    forgotten: Option<Forgotten>,
    /// The most that the directory may take, in bytes.
    pub size: u64,
}

/// What must not be found of what an earlier process has left.
#[derive(Debug, Default)]
struct Forgotten {
    all: bool,
    /// By key and by variant.
    some: HashSet<Id, BuildHasherDefault<Passed>>,
}

impl Index {
    /// Variants of one key.
    const VARIANTS_MAX: usize = 32;

    /// The most of the size that is kept for directories and the log of purges, in bytes.
    const REST_MAX: u64 = 40 << 20;
    /// The part of the rest that one file may take.
    const FILE_PART: u64 = 2;

    pub fn new(policy: Policy, size: u64) -> Self {
        Self {
            files: HashMap::default(),
            urls: HashMap::default(),
            pending: HashMap::default(),
            order: Eviction::new(policy),
            writing: 0,
            forgotten: Some(Forgotten::default()),
            size,
        }
    }

    /// The most that all files may take, in bytes.
    fn capacity(&self) -> u64 {
        self.size - (self.size / 8).min(Self::REST_MAX)
    }

    /// Whether what an earlier process has left is still being found.
    pub fn is_walking(&self) -> bool {
        self.forgotten.is_some()
    }

    /// All that an earlier process has left is found.
    pub fn set_walked(&mut self) {
        self.forgotten = None;
    }

    /// Adds a file that an earlier process has left, unless it is known or must not be found. Returns the files that are to be
    /// removed.
    pub fn add_found(&mut self, entry: &Arc<Entry>) -> Vec<Arc<Entry>> {
        let is_forgotten = |known: &Forgotten| {
            known.all || known.some.contains(&entry.id) || known.some.contains(&entry.variant)
        };
        let is_being_added = self.pending.get(&entry.variant).is_some_and(|name| name.stamp == entry.stamp);
        if is_being_added || self.of_stamp(entry.id, entry.variant, entry.stamp).is_some() {
            return Vec::new();
        }
        if self.forgotten.as_ref().is_some_and(is_forgotten) {
            return vec![Arc::clone(entry)];
        }
        let mut left = self.add(entry, Time::ZERO);
        left.extend(self.shrink());
        left
    }

    /// The file of a variant that was written at this time.
    pub fn of_stamp(&self, id: Id, variant: Id, stamp: u64) -> Option<Arc<Entry>> {
        let mut entries = self.files.get(&id)?.iter();
        entries.find(|entry| entry.variant == variant && entry.stamp == stamp).cloned()
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    pub fn bytes(&self) -> u64 {
        self.order.bytes()
    }

    /// The files of a key, and notes that they are used.
    pub fn find(&self, id: Id, now: Time) -> &[Arc<Entry>] {
        let found: &[_] = self.files.get(&id).map_or(&[], |entries| entries);
        found.iter().for_each(|entry| entry.mark.hit(self.order.policy(), Mark::tick(now)));
        found
    }

    /// Notes that a variant is to be written. What is written of it is of use until its key is forgotten.
    pub fn expect(&mut self, name: Name) {
        self.pending.insert(name.variant, name);
    }

    /// The same, unless it is to be written already. Returns whether it is not.
    pub fn expect_first(&mut self, name: Name) -> bool {
        let is_first = !self.pending.contains_key(&name.variant);
        if is_first {
            self.expect(name);
        }
        is_first
    }

    /// Notes that a variant is not written after all.
    pub fn give_up(&mut self, variant: Id, stamp: u64) {
        if self.pending.get(&variant).is_some_and(|name| name.stamp == stamp) {
            self.pending.remove(&variant);
        }
    }

    /// Adds a file that was written, unless its key was forgotten or written anew meanwhile. Returns the files that are to
    /// be removed.
    pub fn add_written(&mut self, entry: &Arc<Entry>, now: Time) -> Vec<Arc<Entry>> {
        let is_wanted = self.pending.get(&entry.variant).is_some_and(|name| name.stamp == entry.stamp);
        if !is_wanted {
            return vec![Arc::clone(entry)];
        }
        self.pending.remove(&entry.variant);
        self.add(entry, now)
    }

    /// Whether a file is still there.
    pub fn holds(&self, entry: &Arc<Entry>) -> bool {
        self.files.get(&entry.id).is_some_and(|entries| entries.iter().any(|other| Arc::ptr_eq(other, entry)))
    }

    /// Stops counting a file that was written, or was not.
    pub fn release(&mut self, bytes: u64) {
        self.writing -= bytes;
    }

    /// Makes room for a file that is about to be written, and counts it. Returns the files that are to be removed for it;
    /// `None` if it has no room.
    pub fn reserve(&mut self, bytes: u64) -> Option<Vec<Arc<Entry>>> {
        if self.writing + bytes > self.capacity() {
            return None;
        }
        self.writing += bytes;
        Some(self.shrink())
    }

    /// Makes room for more of a file whose length is not known, and counts it. Returns the files that are to be removed for it;
    /// `None` if it has no room, or takes too large a part of it.
    pub fn reserve_more(&mut self, reserved: u64, bytes: u64) -> Option<Vec<Arc<Entry>>> {
        let fits = reserved + bytes <= self.capacity() / Self::FILE_PART;
        fits.then(|| self.reserve(bytes)).flatten()
    }

    /// Evicts what is beyond the capacity. Returns the files that are to be removed.
    pub fn shrink(&mut self) -> Vec<Arc<Entry>> {
        let mut victims = Vec::new();
        while self.order.bytes() + self.writing > self.capacity()
            && let Some(victim) = self.order.evict()
        {
            self.unlist(&victim);
            victims.push(victim);
        }
        victims
    }

    /// Adds a file that is whole. Returns the older ones that it replaces; itself if there is a newer one.
    pub fn add(&mut self, entry: &Arc<Entry>, now: Time) -> Vec<Arc<Entry>> {
        let others = self.files.entry(entry.id).or_default();
        let same = |other: &Arc<Entry>| other.variant == entry.variant;
        if others.iter().any(|other| same(other) && other.stamp > entry.stamp) {
            return vec![Arc::clone(entry)];
        }
        let mut replaced: Vec<_> = others.extract_if(.., |other| same(other)).collect();
        others.insert(0, Arc::clone(entry));
        replaced.extend(others.drain(Self::VARIANTS_MAX.min(others.len())..));
        self.urls.entry(entry.url).or_default().push(entry.id);
        replaced.iter().for_each(|other| {
            self.order.remove(other.slot.load(Ordering::Relaxed));
            self.forget_url(other);
        });
        entry.slot.store(self.order.insert(Arc::clone(entry), Mark::tick(now)), Ordering::Relaxed);
        replaced
    }

    /// Forgets a file. Returns whether it was there.
    pub fn remove(&mut self, entry: &Arc<Entry>) -> bool {
        let there = self.unlist(entry);
        if there {
            self.order.remove(entry.slot.load(Ordering::Relaxed));
        }
        there
    }

    /// Forgets the files of a key, or one variant of it.
    pub fn remove_key(&mut self, id: Id, variant: Option<Id>) -> Vec<Arc<Entry>> {
        if let Some(forgotten) = &mut self.forgotten {
            forgotten.some.insert(variant.unwrap_or(id));
        }
        match variant {
            Some(variant) => {
                self.pending.remove(&variant);
            }
            None => self.pending.retain(|_, name| name.id != id),
        }
        let wanted = |entry: &&Arc<Entry>| variant.is_none_or(|variant| entry.variant == variant);
        let entries: Vec<_> = self.files.get(&id).into_iter().flatten().filter(wanted).cloned().collect();
        entries.iter().for_each(|entry| {
            self.remove(entry);
        });
        entries
    }

    /// Whether a file of this URL may be there, or may come to be there.
    pub fn may_have_url(&self, url: u64) -> bool {
        let is_pending = || self.pending.values().any(|name| name.url == url);
        self.forgotten.is_some() || self.urls.contains_key(&url) || is_pending()
    }

    /// Forgets the files of a URL, and those that are still being written.
    pub fn remove_url(&mut self, url: u64) -> Vec<Arc<Entry>> {
        self.pending.retain(|_, name| name.url != url);
        let ids = self.urls.get(&url).cloned().unwrap_or_default();
        let files = ids.iter().filter_map(|id| self.files.get(id)).flatten();
        let entries: Vec<_> = files.filter(|entry| entry.url == url).cloned().collect();
        // One that is listed twice is removed once.
        entries.into_iter().filter(|entry| self.remove(entry)).collect()
    }

    fn forget_url(&mut self, entry: &Entry) {
        let Some(ids) = self.urls.get_mut(&entry.url) else { return };
        if let Some(at) = ids.iter().position(|id| *id == entry.id) {
            ids.swap_remove(at);
        }
        if ids.is_empty() {
            self.urls.remove(&entry.url);
        }
    }

    /// Forgets all files.
    pub fn clear(&mut self) -> Vec<Arc<Entry>> {
        self.files.clear();
        self.urls.clear();
        self.pending.clear();
        self.forgotten.iter_mut().for_each(|forgotten| forgotten.all = true);
        self.order.drain()
    }

    /// Changes what makes room, and how much of it there is. Returns the files that are to be removed.
    pub fn set_limits(&mut self, policy: Policy, size: u64) -> Vec<Arc<Entry>> {
        self.size = size;
        if self.order.policy() != policy {
            let entries = self.order.drain();
            self.order = Eviction::new(policy);
            for entry in entries {
                let slot = self.order.insert(Arc::clone(&entry), 0);
                entry.slot.store(slot, Ordering::Relaxed);
            }
        }
        self.shrink()
    }

    fn unlist(&mut self, entry: &Arc<Entry>) -> bool {
        let Some(entries) = self.files.get_mut(&entry.id) else { return false };
        let before = entries.len();
        entries.retain(|other| !Arc::ptr_eq(other, entry));
        let there = entries.len() < before;
        if entries.is_empty() {
            self.files.remove(&entry.id);
        }
        if there {
            self.forget_url(entry);
        }
        there
    }
}
