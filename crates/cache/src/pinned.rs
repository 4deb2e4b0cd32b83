//! Objects that have left the store while slow clients are still sent them: their memory counts until the last one has it.

use crate::object::Object;
use crate::sync::{Arc, Mutex, lock};

/// Bytes of such objects. Small ones are not worth the count.
#[derive(Debug)]
pub(crate) struct Pinned<M>(Mutex<Vec<std::sync::Weak<Object<M>>>>);

impl<M> Default for Pinned<M> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<M> Pinned<M> {
    /// Counts those of `objects` that somebody else holds. They have left the table and the order of eviction.
    pub fn add<'a>(&self, objects: impl Iterator<Item = &'a Arc<Object<M>>>)
    where
        M: 'a,
    {
        let held = objects.filter(|object| object.is_long() && Arc::strong_count(object) > 1);
        let held: Vec<_> = held.map(Arc::downgrade).collect();
        if !held.is_empty() {
            lock(&self.0).extend(held);
        }
    }

    /// What they occupy, in bytes. Those that were sent are forgotten.
    pub fn bytes(&self) -> u64 {
        let mut sum = 0;
        lock(&self.0).retain(|object| {
            let Some(object) = object.upgrade() else { return false };
            sum += object.body_len();
            true
        });
        sum
    }
}
