//! Port: a cache in front of the store, shared by all servers.
//!
//! Guarantees of every engine:
//! - A value is not served once its lifetime is over.
//! - A value is not served after [`Cache::invalidate`] returned, and neither is one that was being fetched
//!   meanwhile: its [`Fill`] is refused.
//! - Of all who look for a missing value, one is asked to fetch it. When the value is about to expire, one is asked
//!   to fetch it anew, while the others are served the old one.
//! - A value that was outdated ([`Cache::outdate`]) is served for [`FETCH_TIME`] at most, and by a read behind the write
//!   after that.
//! - A caller that fetches after an invalidation learns what the read must not be behind ([`Fill::after`]), so that a
//!   replica that lags cannot bring the old value back. The engine may forget this after [`REMEMBERED`], or earlier
//!   for want of room.
//! - Losing a value is allowed at any time.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;

use super::position::{Position, Positions};
use super::{Retriable, Retry, Source};

mod read_many;
mod read_through;

pub use read_many::read_many;
pub use read_through::read_through;

/// How long one caller has the task of fetching a value. After it another one gets the task.
pub const FETCH_TIME: Duration = Duration::from_secs(5);

/// How long an engine remembers by which write a value was invalidated. A replica that lags longer takes no reads.
pub const REMEMBERED: Duration = Duration::from_secs(60);

/// The part of a lifetime, at its end, in which one caller refreshes the value: a fifth.
pub const REFRESH_PART: u32 = 5;

/// What a value is, for the hit ratios.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A user's profile.
    Profile,
    /// A page of a feed.
    Feed,
    /// A photo and what belongs to it.
    Photo,
    /// Results of a search.
    Search,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Profile, Self::Feed, Self::Photo, Self::Search];

    /// For keys and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::Feed => "feed",
            Self::Photo => "photo",
            Self::Search => "search",
        }
    }
}

/// Names a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// What it is.
    pub kind: Kind,
    /// Which one.
    pub name: String,
}

impl Key {
    /// A key.
    #[must_use]
    pub fn new(kind: Kind, name: impl ToString) -> Self {
        Self { kind, name: name.to_string() }
    }
}

/// The task of fetching a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fill {
    /// Of which value.
    pub key: Key,
    /// Tells this task from others for the same key.
    pub token: u64,
    /// What the read must not be behind.
    pub after: Positions,
}

/// A value that is served until the caller has fetched it anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outdated {
    /// The task of fetching it.
    pub fill: Fill,
    /// What is left of its lifetime, for the new value: what is outdated again and again lives no longer for it.
    pub left: Duration,
}

/// What a look into the cache yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The value.
    Fresh(Bytes),
    /// The value, which is about to expire; this caller has the task of refreshing it.
    Aging(Bytes, Fill),
    /// No value; this caller has the task of fetching it.
    Missing(Fill),
    /// No value; another caller is fetching it. A caller that does not wait must not read behind these positions.
    Fetching(Positions),
}

/// How often values were found since the engine started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Looks that yielded a value.
    pub hits: u64,
    /// Looks that yielded none.
    pub misses: u64,
}

impl Counts {
    /// Hits among all looks, from 0 to 1; `None` before the first look.
    #[must_use]
    pub fn ratio(self) -> Option<f64> {
        let looks = self.hits + self.misses;
        #[allow(clippy::cast_precision_loss)]
        (looks > 0).then(|| self.hits as f64 / looks as f64)
    }
}

/// The cache.
#[async_trait]
pub trait Cache: Send + Sync {
    /// The value, if it is there. Counts as a look.
    async fn get(&self, key: &Key) -> CacheResult<Option<Bytes>>;

    /// Keeps a value for `ttl`, whatever was there. Only for a value that cannot be older than the last
    /// invalidation; [`Cache::look`] and [`Cache::fill`] are for values that were read from the store.
    async fn set(&self, key: &Key, value: Bytes, ttl: Duration) -> CacheResult<()>;

    /// Looks for a value, and asks one caller to fetch it if need be.
    async fn look(&self, key: &Key) -> CacheResult<Found>;

    /// Looks for several values, as [`Cache::look`] does for each, in this order.
    async fn look_many(&self, keys: &[Key]) -> Vec<CacheResult<Found>> {
        join_all(keys.iter().map(|key| self.look(key))).await
    }

    /// Keeps a value that was fetched, for `ttl`. False if it was refused, because it was invalidated, or another
    /// caller got the task.
    async fn fill(&self, fill: &Fill, value: Bytes, ttl: Duration) -> CacheResult<bool>;

    /// Gives the task back, because the fetch failed: the next caller that looks gets it.
    async fn release(&self, fill: &Fill) -> CacheResult<()>;

    /// Removes a value because of the write at `written`.
    async fn invalidate(&self, key: &Key, written: Position) -> CacheResult<()>;

    /// Gives the caller the task of fetching a value anew because of the write at `written`. Until it is done, and for
    /// [`FETCH_TIME`] at most, the old value is served: only for writes of others than those who read it. `None` if
    /// there is no value, as after [`Cache::invalidate`].
    async fn outdate(&self, key: &Key, written: Position) -> CacheResult<Option<Outdated>>;

    /// How often values of this kind were found by this server.
    fn counts(&self, kind: Kind) -> Counts;
}

/// What calls return.
pub type CacheResult<T> = Result<T, CacheError>;

/// Why a call failed. A read can go on without the cache; an invalidation cannot, because the old value would be
/// served until its end.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The engine cannot be reached.
    #[error("the cache is unavailable: {0}")]
    Unavailable(#[source] Source),
}

impl Retriable for CacheError {
    fn retry(&self) -> Retry {
        Retry::Soon
    }
}
