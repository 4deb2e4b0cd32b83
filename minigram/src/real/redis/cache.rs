//! The cache in Redis: a hash for each value, with who fetches it and what that must not be behind.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use redis::{FromRedisValue, Script, ScriptInvocation};

use super::link::{Link, ms, now, script};
use super::position::{from_text, to_text};
use super::settings::RedisSettings;
use crate::clock::Clock;
use crate::ports::Source;
use crate::ports::cache::{
    Cache, CacheError, CacheResult, Counts, FETCH_TIME, Fill, Found, Key, Kind, Outdated, REFRESH_PART,
    REMEMBERED,
};
use crate::ports::position::{Position, Positions};

/// The cache of all servers. Its room is Redis's `maxmemory`.
#[derive(Debug)]
pub struct RedisCache {
    link: Link,
    prefix: String,
    clock: Clock,
    scripts: Scripts,
    /// By the order of [`Kind::ALL`]: hits and misses.
    counts: [(AtomicU64, AtomicU64); Kind::ALL.len()],
}

#[derive(Debug)]
struct Scripts {
    get: Script,
    set: Script,
    look: Script,
    fill: Script,
    release: Script,
    invalidate: Script,
    outdate: Script,
}

impl RedisCache {
    /// Connects; the time is Redis's.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn connect(settings: &RedisSettings) -> CacheResult<Self> {
        Self::connect_with_clock(settings, Clock::System).await
    }

    /// Connects; the time is that of `clock`, if it is a manual one.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn connect_with_clock(settings: &RedisSettings, clock: Clock) -> CacheResult<Self> {
        let link = Link::connect(settings).await.map_err(CacheError::Unavailable)?;
        let script = |body| script(include_str!("lua/cache.lua"), body);
        let scripts = Scripts {
            get: script(include_str!("lua/cache_get.lua")),
            set: script(include_str!("lua/cache_set.lua")),
            look: script(include_str!("lua/cache_look.lua")),
            fill: script(include_str!("lua/cache_fill.lua")),
            release: script(include_str!("lua/cache_release.lua")),
            invalidate: script(include_str!("lua/cache_invalidate.lua")),
            outdate: script(include_str!("lua/cache_outdate.lua")),
        };
        Ok(Self { link, prefix: settings.prefix.clone(), clock, scripts, counts: Default::default() })
    }

    /// A call of `script` on the entry of `key`.
    fn call<'a>(&self, script: &'a Script, key: &Key) -> ScriptInvocation<'a> {
        let mut call = script.key(format!("{}:cache:{}:{}", self.prefix, key.kind.name(), key.name));
        call.arg(now(&self.clock));
        call
    }

    async fn run<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> CacheResult<T> {
        self.link.run(call).await.map_err(CacheError::Unavailable)
    }

    fn counter(&self, kind: Kind) -> &(AtomicU64, AtomicU64) {
        let place = Kind::ALL.iter().position(|known| *known == kind);
        &self.counts[place.expect("ALL has every kind")]
    }

    fn count(&self, kind: Kind, hit: bool) {
        let (hits, misses) = self.counter(kind);
        let counter = if hit { hits } else { misses };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl Cache for RedisCache {
    async fn get(&self, key: &Key) -> CacheResult<Option<Bytes>> {
        let value: Option<Vec<u8>> = self.run(&self.call(&self.scripts.get, key)).await?;
        self.count(key.kind, value.is_some());
        Ok(value.map(Bytes::from))
    }

    async fn set(&self, key: &Key, value: Bytes, ttl: Duration) -> CacheResult<()> {
        let mut call = self.call(&self.scripts.set, key);
        self.run(call.arg(&value[..]).arg(ms(ttl)).arg(ms(fresh(ttl)))).await
    }

    async fn look(&self, key: &Key) -> CacheResult<Found> {
        let token = token()?;
        let mut call = self.call(&self.scripts.look, key);
        let (found, value, after): (String, Vec<u8>, String) =
            self.run(call.arg(token).arg(ms(FETCH_TIME))).await?;
        let after = positions(&after);
        let fill = || Fill { key: key.clone(), token, after: after.clone() };
        let found = match found.as_str() {
            "fresh" => Found::Fresh(value.into()),
            "aging" => Found::Aging(value.into(), fill()),
            "missing" => Found::Missing(fill()),
            _ => Found::Fetching(after),
        };
        self.count(key.kind, matches!(found, Found::Fresh(_) | Found::Aging(..)));
        Ok(found)
    }

    async fn fill(&self, fill: &Fill, value: Bytes, ttl: Duration) -> CacheResult<bool> {
        let mut call = self.call(&self.scripts.fill, &fill.key);
        self.run(call.arg(fill.token).arg(&value[..]).arg(ms(ttl)).arg(ms(fresh(ttl)))).await
    }

    async fn release(&self, fill: &Fill) -> CacheResult<()> {
        let mut call = self.call(&self.scripts.release, &fill.key);
        self.run(call.arg(fill.token)).await
    }

    async fn invalidate(&self, key: &Key, written: Position) -> CacheResult<()> {
        let mut call = self.call(&self.scripts.invalidate, key);
        self.run(call.arg(written.database).arg(to_text(written)).arg(ms(REMEMBERED))).await
    }

    async fn outdate(&self, key: &Key, written: Position) -> CacheResult<Option<Outdated>> {
        let token = token()?;
        let mut call = self.call(&self.scripts.outdate, key);
        call.arg(written.database).arg(to_text(written)).arg(ms(REMEMBERED)).arg(token).arg(ms(FETCH_TIME));
        let (left, after): (u64, String) = self.run(&call).await?;
        let fill = || Fill { key: key.clone(), token, after: positions(&after) };
        Ok((left > 0).then(|| Outdated { fill: fill(), left: Duration::from_millis(left) }))
    }

    fn counts(&self, kind: Kind) -> Counts {
        let (hits, misses) = self.counter(kind);
        Counts { hits: hits.load(Ordering::Relaxed), misses: misses.load(Ordering::Relaxed) }
    }
}

/// How long a value is not aging.
fn fresh(ttl: Duration) -> Duration {
    ttl - ttl / REFRESH_PART
}

/// Tells a task from all others, of this server and of others.
fn token() -> CacheResult<u64> {
    getrandom::u64().map_err(|error| CacheError::Unavailable(Source::from(error)))
}

fn positions(text: &str) -> Positions {
    let mut positions = Positions::none();
    let read =
        |position: &str| position.split_once('=').and_then(|(database, rest)| from_text(database, rest));
    for position in text.split(' ').filter_map(read) {
        positions.note(position);
    }
    positions
}
