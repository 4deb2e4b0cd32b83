//! A pool's sessions as all workers share them: many small tables, so that two workers seldom want the same one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Affinity;

/// The tables of one pool. Which one a session is in follows from its key.
#[derive(Debug)]
pub struct Sessions {
    shards: Box<[SessionShard]>,
}

/// Alone on its cache lines, of which processors fetch two at a time.
#[derive(Debug)]
#[repr(align(128))]
struct SessionShard(Mutex<Affinity>);

impl Sessions {
    /// A power of two, several times the number of workers that one expects.
    const SHARDS: usize = 64;

    /// Empty tables for about `entries_max` sessions: each table has an equal share of them, and one that is full
    /// forgets a session though others have room.
    pub fn new(entries_max: usize) -> Self {
        let share = entries_max.div_ceil(Self::SHARDS);
        Self { shards: (0..Self::SHARDS).map(|_| SessionShard(Mutex::new(Affinity::new(share)))).collect() }
    }

    /// The table that holds the session of `key` ([`crate::balance::hash`]), for as long as one decides about it.
    pub fn of(&self, key: u64) -> MutexGuard<'_, Affinity> {
        let shard = (key >> (u64::BITS - Self::SHARDS.ilog2())) as usize;
        // A panic elsewhere leaves the table whole.
        self.shards[shard].0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_types::BackendId;

    use super::*;
    use crate::balance::hash;

    #[test]
    fn a_session_is_found_again_and_two_are_decided_upon_at_once() {
        let (sessions, server) = (Sessions::new(1000), BackendId::from("a"));
        for key in [0, u64::MAX] {
            assert_eq!(sessions.of(key).lookup(key), None);
            sessions.of(key).learn(key, &server);
        }
        let (mut low, mut high) = (sessions.of(0), sessions.of(u64::MAX));
        assert_eq!((low.lookup(0), high.lookup(u64::MAX)), (Some(server.clone()), Some(server)));
    }

    #[test]
    fn sessions_spread_evenly_and_their_number_is_bounded() {
        let (sessions, server) = (Sessions::new(6400), BackendId::from("a"));
        let held = || sessions.shards.iter().map(sessions_in).collect::<Vec<_>>();
        for session in 0..3200_u32 {
            let key = hash(&session.to_le_bytes());
            sessions.of(key).learn(key, &server);
        }
        assert!(held().iter().all(|&held| (20..=90).contains(&held)), "{:?}", held());
        assert_eq!(held().iter().sum::<usize>(), 3200, "none is forgotten at half the maximum");
        for session in 0..64_000_u32 {
            let key = hash(&session.to_le_bytes());
            sessions.of(key).learn(key, &server);
        }
        assert_eq!(held(), [100; Sessions::SHARDS]);
    }

    fn sessions_in(SessionShard(table): &SessionShard) -> usize {
        table.lock().map_or(0, |table| table.len())
    }

    #[test]
    fn no_two_tables_share_a_cache_line() {
        assert_eq!(align_of::<SessionShard>(), 128);
        assert_eq!(size_of::<SessionShard>(), 128, "a pool without sessions takes 8 KiB");
    }
}
