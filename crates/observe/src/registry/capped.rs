//! A map of figures by label values that stops to grow: what comes beyond its maximum is counted together, as `other`.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

/// The label value under which figures are counted for which there is no room.
pub(crate) const OTHER: &str = "other";
/// Folded label sets that are told apart, 8 bytes each; with more of them [`Capped::folded`] is a lower bound.
const FOLDED_MAX: usize = 100_000;

/// Figures by key.
#[derive(Debug)]
pub(super) struct Capped<K, V> {
    figures: BTreeMap<K, Arc<V>>,
    max: usize,
    /// Hashes of the keys that share the figures of another one.
    folded: HashSet<u64>,
    hasher: RandomState,
}

impl<K: Ord + Clone + Hash, V> Capped<K, V> {
    /// Room for `max` keys, and for those that `other` makes beside.
    pub(super) fn new(max: usize) -> Self {
        Self { figures: BTreeMap::new(), max, folded: HashSet::new(), hasher: RandomState::new() }
    }

    /// The figures of `key`, made when first asked for; those of `other(key)` when there is no room.
    pub(super) fn get(&mut self, key: K, other: impl Fn(&K) -> K, new: impl Fn() -> V) -> Arc<V> {
        if let Some(known) = self.figures.get(&key) {
            return Arc::clone(known);
        }
        let key = match self.figures.len() < self.max {
            true => key,
            false => {
                let other = other(&key);
                if other != key && self.folded.len() < FOLDED_MAX {
                    self.folded.insert(self.hasher.hash_one(&key));
                }
                other
            }
        };
        Arc::clone(self.figures.entry(key).or_insert_with(|| Arc::new(new())))
    }

    /// All keys with their figures.
    pub(super) fn all(&self) -> Vec<(K, Arc<V>)> {
        self.figures.iter().map(|(key, figures)| (key.clone(), Arc::clone(figures))).collect()
    }

    /// Forgets keys that are not to be kept; what was folded is not forgotten, because it may have been theirs or others'.
    pub(super) fn retain(&mut self, keep: impl Fn(&K) -> bool) {
        self.figures.retain(|key, _| keep(key));
    }

    /// Keys that share figures because there was no room for their own.
    pub(super) fn folded(&self) -> usize {
        self.folded.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_maximum_counts_together_and_what_is_known_stays_apart() {
        let mut figures = Capped::<String, String>::new(2);
        let mut get = |key: &str| figures.get(key.into(), |_| OTHER.into(), || key.into());
        let of_a = get("a");
        assert_eq!((&**of_a, get("b").as_str(), get("c").as_str()), ("a", "b", "c"));
        assert!(Arc::ptr_eq(&get("c"), &get("d")) && Arc::ptr_eq(&of_a, &get("a")));
        assert_eq!((figures.all().len(), figures.folded()), (3, 2));
        // `other` stays as long as it is kept; there is room for one more.
        figures.retain(|key| key == OTHER);
        let mut get = |key: &str| figures.get(key.into(), |_| OTHER.into(), || key.into());
        assert_eq!((get("e").as_str(), get("f").as_str()), ("e", "c"));
    }
}
