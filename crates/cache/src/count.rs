//! How many stored responses a purge is about, where that can be known at once.

use evenkeel_core::cache::{PurgeRules, PurgeVerdict, Scope, Strength, Wall};

use crate::purge::verdict;
use crate::store::Store;
use crate::sync::Arc;

/// Places of the store that one call looks at: some 1 ms of the thread that asks.
const LOOKED_AT_MAX: usize = 8_192;
/// Places between which others may store.
const BATCH: usize = 512;
/// Greater than that of any stored response, so that the rules speak of all of them.
const SEQUENCE: u64 = u64::MAX;

impl<M: Clone + Send + Sync + 'static> Store<M> {
    /// How many responses in memory each of these lists of scopes is about, without those that are purged already; `None` if
    /// more are stored than can be looked at without a stall. Not for a worker.
    pub fn count<const N: usize>(self: &Arc<Self>, lists: [&[Scope]; N]) -> Option<[u64; N]> {
        let rules = lists.map(|scopes| {
            let mut rules = PurgeRules::default();
            scopes.iter().for_each(|scope| rules.add(SEQUENCE, scope, Strength::Soft(Wall::from_millis(0))));
            rules
        });
        let (mut counts, mut from, mut looked_at) = ([0; N], 0, 0);
        loop {
            let (objects, next) = {
                let order = self.order();
                if order.eviction.len() > LOOKED_AT_MAX {
                    return None;
                }
                let (entries, next) = order.eviction.scan(from, BATCH);
                (entries.cloned().collect::<Vec<_>>(), next)
            };
            for object in objects.iter().filter(|object| self.check(object) != PurgeVerdict::Gone) {
                for (count, rules) in counts.iter_mut().zip(&rules) {
                    *count += u64::from(verdict(rules, object.head()) != PurgeVerdict::Live);
                }
            }
            looked_at += BATCH;
            match next {
                0 => return Some(counts),
                // Many places without a response are left over from when more were stored.
                _ if looked_at >= LOOKED_AT_MAX => return None,
                next => from = next,
            }
        }
    }
}
