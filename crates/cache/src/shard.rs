//! One part of the table: which objects and which fetches there are for a key.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::time::Duration;

use evenkeel_types::Time;

use crate::fill::Fill;
use crate::key::{Id, Passed};
use crate::object::Object;
use crate::pauses::Pauses;
use crate::sync::Arc;

/// What a part of the table holds. A key is in one of the two tables, nearly always in the first.
#[derive(Debug)]
pub(crate) struct Shard<M> {
    /// Keys for which there is one object and nothing else.
    single: Table<Arc<Object<M>>>,
    /// Keys for which there is more.
    several: Table<Entry<M>>,
    markers: Box<[Marker]>,
    /// Keys whose background fetches have failed.
    pub pauses: Pauses,
}

type Table<V> = HashMap<Id, V, BuildHasherDefault<Passed>>;

/// What there is for one key.
#[derive(Debug)]
struct Entry<M> {
    key: Box<[u8]>,
    /// The newest first.
    objects: Vec<Arc<Object<M>>>,
    fills: Vec<Arc<Fill<M>>>,
}

/// "What this key stands for cannot be shared": until then, requests for it do not wait for each other. A marker of another
/// key may take its place, which costs one wait.
#[derive(Debug, Clone, Copy, Default)]
struct Marker {
    key: u64,
    until: Time,
}

impl<M> Default for Shard<M> {
    fn default() -> Self {
        let markers = vec![Marker::default(); Self::MARKERS].into();
        Self { single: HashMap::default(), several: HashMap::default(), markers, pauses: Pauses::default() }
    }
}

impl<M> Shard<M> {
    /// Keys that are known not to be shared. With 64 shards, 16,384 in 256 KiB.
    const MARKERS: usize = 256;
    /// Variants of one key. The one that was stored first makes room.
    const VARIANTS_MAX: usize = 32;
    /// Fetches for one key at the same time that others may wait for.
    const FILLS_MAX: usize = 16;

    /// Whether another key has taken the place: both cannot be stored.
    pub fn is_taken(&self, id: Id, key: &[u8]) -> bool {
        let single = self.single.get(&id).map(|object| object.head().key());
        let several = || self.several.get(&id).map(|entry| &*entry.key);
        single.or_else(several).is_some_and(|other| other != key)
    }

    /// The objects of a key, the newest first.
    pub fn objects(&self, id: Id) -> &[Arc<Object<M>>] {
        match self.single.get(&id) {
            Some(object) => std::slice::from_ref(object),
            None => self.several.get(&id).map_or(&[], |entry| &entry.objects),
        }
    }

    /// The fetches for a key.
    pub fn fills(&self, id: Id) -> &[Arc<Fill<M>>] {
        self.several.get(&id).map_or(&[], |entry| &entry.fills)
    }

    /// The entry of a key, to which more will be added.
    fn entry(&mut self, id: Id, key: &[u8]) -> &mut Entry<M> {
        let single = self.single.remove(&id);
        self.several.entry(id).or_insert_with(|| Entry {
            key: single.as_ref().map_or(key, |object| object.head().key()).into(),
            objects: single.into_iter().collect(),
            fills: Vec::new(),
        })
    }

    /// Adds a fetch. Returns whether there was room.
    pub fn add_fill(&mut self, id: Id, fill: &Arc<Fill<M>>) -> bool {
        let taken = self.is_taken(id, fill.key());
        let room = !taken && self.fills(id).len() < Self::FILLS_MAX;
        if room {
            self.entry(id, fill.key()).fills.push(Arc::clone(fill));
        }
        room
    }

    /// Takes a fetch away that has ended or may not be shared. Returns whether it was there.
    pub fn remove_fill(&mut self, id: Id, fill: &Arc<Fill<M>>) -> bool {
        let Some(entry) = self.several.get_mut(&id) else { return false };
        let before = entry.fills.len();
        entry.fills.retain(|other| !Arc::ptr_eq(other, fill));
        let was_there = entry.fills.len() < before;
        self.tidy(id);
        was_there
    }

    /// Adds an object. Returns those that it replaces, or itself if it is not wanted: because its key is taken, or because
    /// the object that it would replace was fetched after a later purge.
    pub fn add_object(&mut self, id: Id, object: &Arc<Object<M>>) -> Vec<Arc<Object<M>>> {
        let head = object.head();
        let same = |other: &Arc<Object<M>>| other.head().vary() == head.vary();
        let is_newer = |other: &Arc<Object<M>>| same(other) && other.head().sequence() > head.sequence();
        if self.is_taken(id, head.key()) || self.objects(id).iter().any(is_newer) {
            return vec![Arc::clone(object)];
        }
        if self.objects(id).is_empty() && self.fills(id).is_empty() {
            self.single.insert(id, Arc::clone(object));
            return Vec::new();
        }
        let entry = self.entry(id, head.key());
        let mut replaced: Vec<_> = entry.objects.extract_if(.., |other| same(other)).collect();
        entry.objects.insert(0, Arc::clone(object));
        replaced.extend(entry.objects.drain(Self::VARIANTS_MAX.min(entry.objects.len())..));
        self.tidy(id);
        replaced
    }

    /// Takes an object away, if it is there.
    pub fn remove_object(&mut self, id: Id, object: &Arc<Object<M>>) {
        if self.single.get(&id).is_some_and(|other| Arc::ptr_eq(other, object)) {
            self.single.remove(&id);
        } else if let Some(entry) = self.several.get_mut(&id) {
            entry.objects.retain(|other| !Arc::ptr_eq(other, object));
            self.tidy(id);
        }
    }

    /// Takes all objects of a key away, and all fetches: what they bring is not stored.
    pub fn remove_key(&mut self, id: Id, key: &[u8]) -> Vec<Arc<Object<M>>> {
        if self.is_taken(id, key) {
            return Vec::new();
        }
        let several = self.several.remove(&id).into_iter().flat_map(|entry| entry.objects);
        self.single.remove(&id).into_iter().chain(several).collect()
    }

    /// Brings what there is for a key into the form that takes least memory.
    fn tidy(&mut self, id: Id) {
        let Some(entry) = self.several.get_mut(&id) else { return };
        if entry.fills.is_empty() && entry.objects.len() <= 1 {
            let object = entry.objects.pop();
            self.several.remove(&id);
            self.single.extend(object.map(|object| (id, object)));
        }
    }

    /// Lets requests for a key not wait for each other, for some time.
    pub fn mark(&mut self, id: Id, now: Time, length: Duration) {
        *self.marker(id) = Marker { key: id.low(), until: now + length };
    }

    /// Whether requests for a key are not to wait for each other.
    pub fn is_marked(&mut self, id: Id, now: Time) -> bool {
        let marker = *self.marker(id);
        marker.key == id.low() && marker.until > now
    }

    /// Forgets that a key could not be shared.
    pub fn unmark(&mut self, id: Id) {
        let marker = self.marker(id);
        if marker.key == id.low() {
            *marker = Marker::default();
        }
    }

    fn marker(&mut self, id: Id) -> &mut Marker {
        &mut self.markers[id.low() as usize % Self::MARKERS]
    }
}
