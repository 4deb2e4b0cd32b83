//! One part of the table: which objects and which fetches there are for a key.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::hash::BuildHasherDefault;
use std::time::Duration;

use evenkeel_types::Time;

use crate::fill::Fill;
use crate::key::{Id, Passed};
use crate::object::Object;
use crate::sync::Arc;

/// What a part of the table holds.
#[derive(Debug)]
pub(crate) struct Shard<M> {
    table: HashMap<Id, Slot<M>, BuildHasherDefault<Passed>>,
    markers: Box<[Marker]>,
}

/// What there is for one key. Nearly always one object.
#[derive(Debug)]
enum Slot<M> {
    One(Arc<Object<M>>),
    Many(Box<Entry<M>>),
}

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

impl<M> Slot<M> {
    fn key(&self) -> &[u8] {
        match self {
            Self::One(object) => object.head().key(),
            Self::Many(entry) => &entry.key,
        }
    }

    fn objects(&self) -> &[Arc<Object<M>>] {
        match self {
            Self::One(object) => std::slice::from_ref(object),
            Self::Many(entry) => &entry.objects,
        }
    }

    fn fills(&self) -> &[Arc<Fill<M>>] {
        match self {
            Self::One(_) => &[],
            Self::Many(entry) => &entry.fills,
        }
    }

    /// Makes room for several.
    fn entry(&mut self) -> &mut Entry<M> {
        if let Self::One(object) = self {
            let key = object.head().key().into();
            let entry = Entry { key, objects: vec![Arc::clone(object)], fills: Vec::new() };
            *self = Self::Many(Box::new(entry));
        }
        match self {
            Self::Many(entry) => entry,
            Self::One(_) => unreachable!("it has just become several"),
        }
    }
}

impl<M> Default for Shard<M> {
    fn default() -> Self {
        Self { table: HashMap::default(), markers: vec![Marker::default(); Self::MARKERS].into() }
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
        self.table.get(&id).is_some_and(|slot| slot.key() != key)
    }

    /// The objects of a key, the newest first.
    pub fn objects(&self, id: Id) -> &[Arc<Object<M>>] {
        self.table.get(&id).map_or(&[], Slot::objects)
    }

    /// The fetches for a key.
    pub fn fills(&self, id: Id) -> &[Arc<Fill<M>>] {
        self.table.get(&id).map_or(&[], Slot::fills)
    }

    /// Adds a fetch. Returns whether there was room.
    pub fn add_fill(&mut self, id: Id, fill: &Arc<Fill<M>>) -> bool {
        let entry = match self.table.entry(id) {
            MapEntry::Occupied(slot) => slot.into_mut().entry(),
            MapEntry::Vacant(vacant) => {
                let entry = Entry { key: fill.key().into(), objects: Vec::new(), fills: Vec::new() };
                vacant.insert(Slot::Many(Box::new(entry))).entry()
            }
        };
        let room = entry.key[..] == *fill.key() && entry.fills.len() < Self::FILLS_MAX;
        if room {
            entry.fills.push(Arc::clone(fill));
        }
        room
    }

    /// Takes a fetch away that has ended or may not be shared. Returns whether it was there.
    pub fn remove_fill(&mut self, id: Id, fill: &Arc<Fill<M>>) -> bool {
        let Some(Slot::Many(entry)) = self.table.get_mut(&id) else { return false };
        let before = entry.fills.len();
        entry.fills.retain(|other| !Arc::ptr_eq(other, fill));
        let was_there = entry.fills.len() < before;
        self.tidy(id);
        was_there
    }

    /// Adds an object. Returns those that it replaces, or itself if it is not wanted: because its key is taken, or because
    /// the object that it would replace was fetched after a later purge.
    pub fn add_object(&mut self, id: Id, object: &Arc<Object<M>>) -> Vec<Arc<Object<M>>> {
        let slot = match self.table.entry(id) {
            MapEntry::Vacant(vacant) => {
                vacant.insert(Slot::One(Arc::clone(object)));
                return Vec::new();
            }
            MapEntry::Occupied(slot) => slot.into_mut(),
        };
        if slot.key() != object.head().key() {
            return vec![Arc::clone(object)];
        }
        let entry = slot.entry();
        let same = |other: &Arc<Object<M>>| other.head().vary() == object.head().vary();
        if entry.objects.iter().any(|other| same(other) && other.head().sequence() > object.head().sequence())
        {
            return vec![Arc::clone(object)];
        }
        let mut replaced: Vec<_> = entry.objects.extract_if(.., |other| same(other)).collect();
        entry.objects.insert(0, Arc::clone(object));
        replaced.extend(entry.objects.drain(Self::VARIANTS_MAX.min(entry.objects.len())..));
        self.tidy(id);
        replaced
    }

    /// Takes an object away, if it is there.
    pub fn remove_object(&mut self, id: Id, object: &Arc<Object<M>>) {
        let Some(slot) = self.table.get_mut(&id) else { return };
        if !slot.objects().iter().any(|other| Arc::ptr_eq(other, object)) {
            return;
        }
        if let Slot::Many(entry) = slot {
            entry.objects.retain(|other| !Arc::ptr_eq(other, object));
            self.tidy(id);
        } else {
            self.table.remove(&id);
        }
    }

    /// Takes all objects of a key away, and all fetches: what they bring is not stored.
    pub fn remove_key(&mut self, id: Id, key: &[u8]) -> Vec<Arc<Object<M>>> {
        if self.is_taken(id, key) {
            return Vec::new();
        }
        match self.table.remove(&id) {
            Some(Slot::One(object)) => vec![object],
            Some(Slot::Many(entry)) => entry.objects,
            None => Vec::new(),
        }
    }

    /// Brings what there is for a key into the form that takes least memory.
    fn tidy(&mut self, id: Id) {
        let Some(Slot::Many(entry)) = self.table.get_mut(&id) else { return };
        if !entry.fills.is_empty() {
            return;
        }
        match entry.objects.len() {
            0 => {
                self.table.remove(&id);
            }
            1 => {
                if let Some(object) = entry.objects.pop() {
                    self.table.insert(id, Slot::One(object));
                }
            }
            _ => {}
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
