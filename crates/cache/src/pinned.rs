//! Objects and compressed bodies that have left the store while slow clients are still sent them: their memory counts until the last one has it.

use std::sync::Weak;

use crate::coded::Coded;
use crate::object::Object;
use crate::sync::{Arc, Mutex, lock};

/// Bytes of such objects and compressed bodies. Small objects are not worth the count.
#[derive(Debug)]
pub(crate) struct Pinned<M> {
    objects: Mutex<Vec<Weak<Object<M>>>>,
    coded: Mutex<Vec<Weak<Coded>>>,
}

impl<M> Default for Pinned<M> {
    fn default() -> Self {
        Self { objects: Mutex::default(), coded: Mutex::default() }
    }
}

impl<M> Pinned<M> {
    /// Counts those of `objects` that somebody else holds. They have left the table and the order of eviction.
    pub fn add<'a>(&self, objects: impl Iterator<Item = &'a Arc<Object<M>>>)
    where
        M: 'a,
    {
        let held = objects.filter(|object| Self::held_bytes(object) > 0 && Arc::strong_count(object) > 1);
        let held: Vec<_> = held.map(Arc::downgrade).collect();
        if !held.is_empty() {
            lock(&self.objects).extend(held);
        }
    }

    /// Counts a compressed body that somebody else holds. Another one has taken its place.
    pub fn add_coded(&self, coded: Option<Arc<Coded>>) {
        let held = coded.filter(|coded| Arc::strong_count(coded) > 1);
        lock(&self.coded).extend(held.as_ref().map(Arc::downgrade));
    }

    /// What they occupy, in bytes. Those that were sent are forgotten.
    pub fn bytes(&self) -> u64 {
        sum(&self.objects, Self::held_bytes) + sum(&self.coded, Coded::memory)
    }

    /// What of an object is worth the count.
    fn held_bytes(object: &Object<M>) -> u64 {
        object.coded_memory() + if object.is_long() { object.body_len() } else { 0 }
    }
}

/// The sum of what `bytes` says of those that are still there.
fn sum<T>(list: &Mutex<Vec<Weak<T>>>, bytes: impl Fn(&T) -> u64) -> u64 {
    let mut sum = 0;
    lock(list).retain(|held| {
        let Some(held) = held.upgrade() else { return false };
        sum += bytes(&held);
        true
    });
    sum
}
