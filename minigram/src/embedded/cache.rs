//! The cache in memory: bounded in bytes, the value that was used longest ago goes first.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::lock;
use crate::clock::{Clock, Time};
use crate::ports::cache::{
    Cache, CacheResult, Counts, FETCH_TIME, Fill, Found, Key, Kind, Outdated, REFRESH_PART, REMEMBERED,
};
use crate::ports::position::{Position, Positions};

/// What an entry takes besides its key and value, roughly: tables, positions, pointers.
const ENTRY_BYTES: usize = 256;

/// The cache of one process.
#[derive(Debug)]
pub struct MemoryCache {
    clock: Clock,
    bytes_max: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<Key, Entry>,
    /// Entries by their last use.
    by_use: BTreeMap<u64, Key>,
    /// The next use or token.
    next: u64,
    bytes: usize,
    counts: HashMap<Kind, Counts>,
}

#[derive(Debug, Default)]
struct Entry {
    value: Option<Value>,
    fetch: Option<Fetch>,
    /// What the next fetch must not be behind, and until when that is remembered.
    after: Positions,
    after_until: Option<Time>,
    used: u64,
}

#[derive(Debug)]
struct Value {
    bytes: Bytes,
    expires: Time,
    refresh_from: Time,
    /// Until when it is served although it is outdated.
    outdated_until: Option<Time>,
}

#[derive(Debug)]
struct Fetch {
    token: u64,
    until: Time,
}

impl MemoryCache {
    /// An empty cache that keeps `bytes_max` at most.
    #[must_use]
    pub fn new(clock: Clock, bytes_max: usize) -> Self {
        Self { clock, bytes_max, inner: Mutex::default() }
    }

    /// Bytes that the cache takes, roughly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        lock(&self.inner).bytes
    }
}

#[async_trait]
impl Cache for MemoryCache {
    async fn get(&self, key: &Key) -> CacheResult<Option<Bytes>> {
        let now = self.clock.now();
        let mut inner = lock(&self.inner);
        let bytes = inner.touch(key).and_then(|entry| entry.live(now)).map(|value| value.bytes.clone());
        inner.count(key.kind, bytes.is_some());
        Ok(bytes)
    }

    async fn set(&self, key: &Key, value: Bytes, ttl: Duration) -> CacheResult<()> {
        let now = self.clock.now();
        let mut inner = lock(&self.inner);
        inner.change(key, |entry| {
            entry.value = Some(Value::new(value, now, ttl));
            entry.fetch = None;
        });
        inner.evict(self.bytes_max);
        Ok(())
    }

    async fn look(&self, key: &Key) -> CacheResult<Found> {
        let now = self.clock.now();
        let mut inner = lock(&self.inner);
        let token = inner.tick();
        let found = inner.change(key, |entry| entry.look(key, token, now));
        inner.count(key.kind, matches!(found, Found::Fresh(_) | Found::Aging(..)));
        inner.evict(self.bytes_max);
        Ok(found)
    }

    async fn fill(&self, fill: &Fill, value: Bytes, ttl: Duration) -> CacheResult<bool> {
        let now = self.clock.now();
        let mut inner = lock(&self.inner);
        if !inner.has_task(fill) {
            return Ok(false);
        }
        inner.change(&fill.key, |entry| {
            entry.value = Some(Value::new(value, now, ttl));
            entry.fetch = None;
        });
        inner.evict(self.bytes_max);
        Ok(true)
    }

    async fn release(&self, fill: &Fill) -> CacheResult<()> {
        let mut inner = lock(&self.inner);
        if inner.has_task(fill) {
            inner.change(&fill.key, |entry| entry.fetch = None);
        }
        Ok(())
    }

    async fn invalidate(&self, key: &Key, written: Position) -> CacheResult<()> {
        let now = self.clock.now();
        let mut inner = lock(&self.inner);
        inner.change(key, |entry| {
            entry.value = None;
            entry.fetch = None;
            entry.note(written, now);
        });
        inner.evict(self.bytes_max);
        Ok(())
    }

    async fn outdate(&self, key: &Key, written: Position) -> CacheResult<Option<Outdated>> {
        let now = self.clock.now();
        let mut inner = lock(&self.inner);
        let token = inner.tick();
        let outdated = inner.change(key, |entry| entry.outdate(key, written, token, now));
        inner.evict(self.bytes_max);
        Ok(outdated)
    }

    fn counts(&self, kind: Kind) -> Counts {
        lock(&self.inner).counts.get(&kind).copied().unwrap_or_default()
    }
}

impl Inner {
    fn tick(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The entry, as the one used last.
    fn touch(&mut self, key: &Key) -> Option<&mut Entry> {
        let tick = self.tick();
        let entry = self.entries.get_mut(key)?;
        self.by_use.remove(&entry.used);
        entry.used = tick;
        self.by_use.insert(tick, key.clone());
        Some(entry)
    }

    /// Changes an entry, which is made if need be, and keeps account of its bytes.
    fn change<T>(&mut self, key: &Key, change: impl FnOnce(&mut Entry) -> T) -> T {
        if !self.entries.contains_key(key) {
            self.entries.insert(key.clone(), Entry::default());
            self.bytes += Entry::default().bytes(key);
        }
        let entry = self.touch(key).expect("it was just made");
        let before = entry.bytes(key);
        let result = change(entry);
        let after = entry.bytes(key);
        self.bytes = self.bytes - before + after;
        result
    }

    fn has_task(&self, fill: &Fill) -> bool {
        let fetch = self.entries.get(&fill.key).and_then(|entry| entry.fetch.as_ref());
        fetch.is_some_and(|fetch| fetch.token == fill.token)
    }

    fn evict(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max {
            let Some((_, key)) = self.by_use.pop_first() else { break };
            if let Some(entry) = self.entries.remove(&key) {
                self.bytes -= entry.bytes(&key);
            }
        }
    }

    fn count(&mut self, kind: Kind, hit: bool) {
        let counts = self.counts.entry(kind).or_default();
        if hit { counts.hits += 1 } else { counts.misses += 1 }
    }
}

impl Entry {
    fn bytes(&self, key: &Key) -> usize {
        // The key is in both tables.
        ENTRY_BYTES + 2 * key.name.len() + self.value.as_ref().map_or(0, |value| value.bytes.len())
    }

    fn live(&self, now: Time) -> Option<&Value> {
        let is_live =
            |value: &&Value| now < value.expires && value.outdated_until.is_none_or(|until| now < until);
        self.value.as_ref().filter(is_live)
    }

    /// What is fetched from now on must not be behind this.
    fn note(&mut self, written: Position, now: Time) {
        self.after.note(written);
        self.after_until = Some(now.plus(REMEMBERED));
    }

    fn outdate(&mut self, key: &Key, written: Position, token: u64, now: Time) -> Option<Outdated> {
        self.note(written, now);
        if self.live(now).is_none() {
            self.value = None;
        }
        let Some(value) = &mut self.value else {
            self.fetch = None;
            return None;
        };
        let until = now.plus(FETCH_TIME);
        value.outdated_until = Some(value.outdated_until.map_or(until, |earlier| earlier.min(until)));
        let left = Duration::from_millis(value.expires.0.saturating_sub(now.0));
        Some(Outdated { fill: self.start_fetch(key, token, now), left })
    }

    fn look(&mut self, key: &Key, token: u64, now: Time) -> Found {
        if self.after_until.is_some_and(|until| now >= until) {
            self.after = Positions::none();
            self.after_until = None;
        }
        let live = self.live(now).map(|value| (value.bytes.clone(), now >= value.refresh_from));
        if live.is_none() {
            self.value = None;
        }
        let fetching = self.fetch.as_ref().is_some_and(|fetch| now < fetch.until);
        match live {
            Some((bytes, true)) if !fetching => Found::Aging(bytes, self.start_fetch(key, token, now)),
            Some((bytes, _)) => Found::Fresh(bytes),
            None if fetching => Found::Fetching(self.after.clone()),
            None => Found::Missing(self.start_fetch(key, token, now)),
        }
    }

    fn start_fetch(&mut self, key: &Key, token: u64, now: Time) -> Fill {
        self.fetch = Some(Fetch { token, until: now.plus(FETCH_TIME) });
        Fill { key: key.clone(), token, after: self.after.clone() }
    }
}

impl Value {
    fn new(bytes: Bytes, now: Time, ttl: Duration) -> Self {
        let expires = now.plus(ttl);
        Self { bytes, expires, refresh_from: now.plus(ttl - ttl / REFRESH_PART), outdated_until: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_value_used_longest_ago_goes_when_room_is_short() {
        let cache = MemoryCache::new(Clock::manual(Time(0)), 3 * (ENTRY_BYTES + 1002));
        let key = |name: &str| Key::new(Kind::Photo, name);
        let value = Bytes::from(vec![0; 1000]);
        for name in ["a", "b", "c"] {
            cache.set(&key(name), value.clone(), Duration::from_secs(9)).await.unwrap();
        }
        assert!(cache.get(&key("a")).await.unwrap().is_some());
        cache.set(&key("d"), value, Duration::from_secs(9)).await.unwrap();
        let mut left = Vec::new();
        for name in ["a", "b", "c", "d"] {
            left.push(cache.get(&key(name)).await.unwrap().is_some());
        }
        assert_eq!(left, [true, false, true, true]);
        assert_eq!(cache.bytes(), 3 * (ENTRY_BYTES + 1002));
    }

    #[tokio::test]
    async fn a_value_larger_than_the_cache_is_not_kept_and_leaves_no_bytes_behind() {
        let cache = MemoryCache::new(Clock::manual(Time(0)), 2000);
        let key = Key::new(Kind::Photo, "large");
        cache.set(&key, Bytes::from(vec![0; 2000]), Duration::from_secs(9)).await.unwrap();
        assert_eq!(cache.get(&key).await.unwrap(), None);
        assert_eq!(cache.bytes(), 0);
    }
}
