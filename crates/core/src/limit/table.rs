//! What a limit remembers of its keys: many small tables of fixed size, so that two workers seldom want the same one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use evenkeel_types::Time;

use super::gcra::{Gcra, Tat};

/// Tables at most, several times the number of workers that one expects.
const SHARDS: usize = 64;
/// Places in which a key may be: a set.
const WAYS: usize = 16;

/// The keys of one limit, by their hashes, which must be keyed with a secret of this process.
#[derive(Debug)]
pub struct Table {
    shards: Box<[TableShard]>,
    layout: Layout,
}

/// Where keys are: sets are dealt out to the tables one by one.
#[derive(Debug, Clone, Copy)]
struct Layout {
    sets: u32,
    shards: u32,
}

impl Layout {
    /// The table that a key is in, and its set there.
    fn place(self, key: u64) -> (usize, usize) {
        let set = ((u128::from(key) * u128::from(self.sets)) >> 64) as u32;
        ((set % self.shards) as usize, (set / self.shards) as usize)
    }
}

/// Alone on its cache lines, of which processors fetch two at a time.
#[derive(Debug)]
#[repr(align(128))]
struct TableShard(Mutex<Places>);

/// One of the tables. A key that is not in it has a full bucket.
#[derive(Debug)]
pub struct Places {
    keys: Vec<u64>,
    tats: Vec<Tat>,
    /// Sets in this table.
    sets: usize,
    layout: Layout,
}

impl Table {
    /// Room for `keys_max` keys, rounded up to whole sets; a key can be only in some places, so one may have to make room
    /// before all are taken. What is not used takes no memory.
    pub fn new(keys_max: usize) -> Self {
        let sets = keys_max.div_ceil(WAYS).max(1);
        let shards = sets.min(SHARDS);
        let layout = Layout { sets: u32::try_from(sets).unwrap_or(u32::MAX), shards: shards as u32 };
        let places = |shard| {
            let sets = sets / shards + usize::from(shard < sets % shards);
            Places { keys: Vec::new(), tats: Vec::new(), sets, layout }
        };
        Self { shards: (0..shards).map(|shard| TableShard(Mutex::new(places(shard)))).collect(), layout }
    }

    /// The table that holds a key, for as long as one decides about it.
    pub fn of(&self, key: u64) -> MutexGuard<'_, Places> {
        let (shard, _) = self.layout.place(key);
        // A panic elsewhere leaves the table whole.
        self.shards[shard].0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    /// What is remembered of a key.
    pub fn get(&self, key: u64) -> Tat {
        self.position(key).map_or(Tat::default(), |place| self.tats[place])
    }

    /// Remembers it, in the place of what is nearest to a full bucket. True if that was not full yet: a key was
    /// forgotten that had used up some of its tokens.
    pub fn set(&mut self, key: u64, tat: Tat, gcra: &Gcra, now: Time) -> bool {
        if self.keys.is_empty() {
            self.keys = vec![0; self.sets * WAYS];
            self.tats = vec![Tat::default(); self.sets * WAYS];
        }
        if let Some(place) = self.position(key) {
            self.tats[place] = tat;
            return false;
        }
        let first = self.first(key);
        let nearest = (first..first + WAYS).min_by_key(|place| self.tats[*place]).unwrap_or(first);
        let forgotten = !gcra.is_full(self.tats[nearest], now);
        self.keys[nearest] = key;
        self.tats[nearest] = tat;
        forgotten
    }

    fn position(&self, key: u64) -> Option<usize> {
        let first = self.first(key);
        let found = self.keys.get(first..first + WAYS)?.iter().position(|held| *held == key)?;
        Some(first + found)
    }

    /// The first of the places in which a key may be.
    fn first(&self, key: u64) -> usize {
        self.layout.place(key).1 * WAYS
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use evenkeel_config::Rate;

    use super::*;

    const NOW: Time = Time::from_millis(60_000);

    fn gcra() -> Gcra {
        Gcra::new(Rate { count: 1, period: Duration::from_secs(1) }, 100)
    }

    fn used(tokens: u32) -> Tat {
        (0..tokens).fold(Tat::default(), |tat, _| gcra().take(tat, NOW))
    }

    fn set(table: &Table, key: u64, tat: Tat, now: Time) -> bool {
        table.of(key).set(key, tat, &gcra(), now)
    }

    fn get(table: &Table, key: u64) -> Tat {
        table.of(key).get(key)
    }

    #[test]
    fn what_is_remembered_is_found_again() {
        let (table, mut rng) = (Table::new(65_536), fastrand::Rng::with_seed(3));
        let truth: HashMap<u64, Tat> = (0..10_000).map(|i| (rng.u64(..), used(1 + i % 90))).collect();
        assert_eq!(
            truth.iter().filter(|(key, tat)| set(&table, **key, **tat, NOW)).count(),
            0,
            "there is room"
        );
        assert!(truth.iter().all(|(key, tat)| get(&table, *key) == *tat));
        assert_eq!(get(&table, 1), Tat::default());
    }

    #[test]
    fn keys_that_used_up_least_make_room_and_full_ones_first() {
        let table = Table::new(1);
        for key in 1..=16 {
            assert!(!set(&table, key, used(5 * key as u32), NOW));
        }
        assert!(set(&table, 20, used(50), NOW), "key 1 had used up five");
        assert_eq!((get(&table, 1), get(&table, 16)), (Tat::default(), used(80)));
        // After 12 s key 2 is full again: nothing is lost with it.
        let later = NOW + Duration::from_secs(12);
        assert!(!set(&table, 21, gcra().take(Tat::default(), later), later));
        assert_eq!((get(&table, 2), get(&table, 3)), (Tat::default(), used(15)));
    }

    #[test]
    fn it_never_grows_beyond_what_it_was_made_for() {
        for (keys_max, places) in [(1, 16), (64, 64), (100, 112), (1_000, 1_008), (1_100, 1_104)] {
            let (table, mut rng) = (Table::new(keys_max), fastrand::Rng::with_seed(5));
            let forgot = (0..20_000).filter(|_| set(&table, rng.u64(..), used(5), NOW)).count();
            assert_eq!(forgot, 20_000 - places);
            let held: Vec<_> = table.shards.iter().map(|shard| shard.0.lock().unwrap()).collect();
            assert_eq!(held.iter().map(|table| table.keys.capacity()).sum::<usize>(), places);
            assert!(held.iter().all(|table| !table.keys.contains(&0)), "all are used");
        }
    }

    #[test]
    fn a_table_that_is_not_used_takes_eight_kib() {
        assert_eq!(size_of::<TableShard>() * SHARDS, 8 * 1024);
    }
}
