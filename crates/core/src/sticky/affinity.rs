//! A bounded table of which server a session went to, for what cannot be derived from the session's key.

use std::collections::HashMap;

use evenkeel_types::BackendId;

/// Which server the sessions of a pool are on, by the hash of their key ([`crate::balance::hash`]).
///
/// For sessions kept by header or application cookie: the entry decides while its server is usable; else the key's
/// owner by consistent hashing does, and is only learned where it is not what hashing would choose. Holds a fixed
/// maximum of entries. When it is full, one that was not used of late makes room (CLOCK, Corbato 1968), found among
/// the next few so that the work is bounded.
#[derive(Debug)]
pub struct Affinity {
    slots: Vec<Slot>,
    /// Key to index in `slots`.
    places: HashMap<u64, usize, foldhash::fast::RandomState>,
    entries_max: usize,
    /// Where the search for a slot to reuse goes on.
    hand: usize,
}

#[derive(Debug)]
struct Slot {
    key: u64,
    server: BackendId,
    used: bool,
}

impl Affinity {
    /// How many entries are looked at before one is evicted though it was used.
    const STEPS_MAX: usize = 16;

    /// An empty table for at most `entries_max` sessions (at least one). Memory grows with use, to about 60 bytes
    /// an entry.
    pub fn new(entries_max: usize) -> Self {
        Self { slots: Vec::new(), places: HashMap::default(), entries_max: entries_max.max(1), hand: 0 }
    }

    /// The server that the session was on last. It may have left the pool since.
    pub fn lookup(&mut self, key: u64) -> Option<BackendId> {
        let slot = &mut self.slots[*self.places.get(&key)?];
        slot.used = true;
        Some(slot.server.clone())
    }

    /// Remembers that the session is now on `server`.
    pub fn learn(&mut self, key: u64, server: &BackendId) {
        if let Some(&place) = self.places.get(&key) {
            let slot = &mut self.slots[place];
            slot.used = true;
            if slot.server != *server {
                slot.server = server.clone();
            }
            return;
        }
        let slot = Slot { key, server: server.clone(), used: false };
        let place = if self.slots.len() < self.entries_max {
            self.slots.push(slot);
            self.slots.len() - 1
        } else {
            let place = self.evict();
            self.slots[place] = slot;
            place
        };
        self.places.insert(key, place);
    }

    /// How many sessions are remembered.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Frees a slot and returns its place.
    fn evict(&mut self) -> usize {
        for _ in 0..Self::STEPS_MAX {
            if !std::mem::take(&mut self.slots[self.hand].used) {
                break;
            }
            self.hand = (self.hand + 1) % self.slots.len();
        }
        let place = self.hand;
        self.hand = (self.hand + 1) % self.slots.len();
        self.places.remove(&self.slots[place].key);
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str) -> BackendId {
        BackendId::from(name)
    }

    #[test]
    fn a_session_is_found_where_it_was_last() {
        let mut table = Affinity::new(10);
        assert_eq!(table.lookup(1), None);
        table.learn(1, &server("a"));
        table.learn(2, &server("b"));
        assert_eq!(table.lookup(1), Some(server("a")));
        table.learn(1, &server("c"));
        assert_eq!(table.lookup(1), Some(server("c")));
        assert_eq!(table.lookup(2), Some(server("b")));
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn a_full_table_forgets_a_session_that_was_not_used() {
        let mut table = Affinity::new(4);
        for key in 0..4 {
            table.learn(key, &server("a"));
        }
        for key in 4..100 {
            assert_eq!(table.lookup(0), Some(server("a")), "used before each new session, so it stays");
            table.learn(key, &server("b"));
            assert_eq!(table.len(), 4);
        }
    }

    #[test]
    fn a_table_whose_sessions_are_all_used_still_takes_a_new_one() {
        let mut table = Affinity::new(1000);
        for key in 0..1000 {
            table.learn(key, &server("a"));
            table.lookup(key);
        }
        table.learn(5000, &server("b"));
        assert_eq!(table.lookup(5000), Some(server("b")));
        assert_eq!(table.len(), 1000);
        let kept = (0..1000).filter(|&key| table.lookup(key).is_some()).count();
        assert_eq!(kept, 999);
    }

    #[test]
    fn the_table_agrees_with_itself_under_random_use() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut table = Affinity::new(50);
        let mut truth = HashMap::new();
        for _ in 0..20_000 {
            let key = rng.u64(0..200);
            if rng.bool() {
                let name = server(["a", "b", "c"][rng.usize(0..3)]);
                table.learn(key, &name);
                truth.insert(key, name);
            } else if let Some(found) = table.lookup(key) {
                assert_eq!(Some(&found), truth.get(&key));
            }
            assert!(table.len() <= 50);
            assert_eq!(table.places.len(), table.slots.len());
        }
    }
}
