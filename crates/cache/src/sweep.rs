//! Frees what is purged or long dead, a few objects at a time, so that no request waits for it.

use evenkeel_core::cache::PurgeVerdict;

use crate::figures::add;
use crate::store::Store;
use crate::sync::Arc;

impl<M: Clone + Send + Sync + 'static> Store<M> {
    /// Looks at `count` places of the store, goes on where the last call ended, and frees what is purged or what `dead` says
    /// is of no use any more. Returns whether a round through all objects has ended. Purges from before the round, and
    /// from before all fetches under way, are then forgotten.
    pub fn sweep(self: &Arc<Self>, count: usize, mut dead: impl FnMut(&M) -> bool) -> bool {
        let (objects, ended) = {
            let mut order = self.order();
            if order.cursor == 0 {
                order.round = Some(self.purges.newest());
            }
            let (entries, next) = order.eviction.scan(order.cursor, count);
            let objects: Vec<_> = entries.cloned().collect();
            order.cursor = next;
            (objects, order.round.filter(|_| next == 0))
        };
        let mut dropped = Vec::new();
        let mut purged = 0;
        for object in objects {
            let gone = self.check(&object) == PurgeVerdict::Gone;
            purged += u64::from(gone);
            if gone || dead(object.head().meta()) {
                dropped.push(Arc::clone(&object));
            }
        }
        self.leave_table(&dropped);
        self.leave_order(&dropped);
        add(&self.counts.purged, purged);
        for object in &dropped {
            self.unsave(self.id(object.head().key()), Some(object.head()));
        }
        // What is under way has still to be held against those that came after its request left.
        if let Some(sequence) = ended {
            self.purges.forget(self.flights.oldest(sequence));
        }
        ended.is_some()
    }

    /// The number of the newest purge; 0 before the first.
    pub fn newest_purge(&self) -> u64 {
        self.purges.newest()
    }

    /// True if nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.order().eviction.len() == 0
    }
}
