//! The engines that a process works with, one for each port.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use crate::clock::Clock;
use crate::embedded::blobs::ObjectBlobs;
use crate::embedded::bus::MemoryBus;
use crate::embedded::cache::MemoryCache;
use crate::embedded::queue::SqliteQueue;
use crate::embedded::sessions::MemorySessions;
use crate::embedded::store::SqliteStore;
use crate::ports::blobs::Blobs;
use crate::ports::bus::Bus;
use crate::ports::cache::Cache;
use crate::ports::queue::{Policy, Queue};
use crate::ports::sessions::Sessions;
use crate::ports::store::Store;

/// Followers that make a celebrity on the embedded store.
const CELEBRITY_FOLLOWERS: u64 = 1000;

/// Sessions in memory, at most.
const SESSIONS_MAX: usize = 100_000;

/// Bytes of the cache in memory, at most.
const CACHE_BYTES_MAX: usize = 64 << 20;

/// Topics of the bus in memory that have subscribers, at most.
const TOPICS_MAX: usize = 100_000;

/// Messages by which a subscriber may be behind.
const MESSAGES_MAX: usize = 256;

/// One engine for each port. A copy is cheap, and works with the same engines.
#[derive(Clone)]
pub struct Engines {
    /// Users, photos, likes, comments, feeds, outbox.
    pub store: Arc<dyn Store>,
    /// Refresh sessions, and what each user wrote last.
    pub sessions: Arc<dyn Sessions>,
    /// Answers of the store, for minutes.
    pub cache: Arc<dyn Cache>,
    /// Jobs for workers.
    pub queue: Arc<dyn Queue>,
    /// Messages between servers.
    pub bus: Arc<dyn Bus>,
    /// Pictures.
    pub blobs: Arc<dyn Blobs>,
}

impl Engines {
    /// The engines inside the process, whose files are in `directory`, which is made if need be.
    ///
    /// # Errors
    /// The files cannot be made or opened, or a newer version of MiniGram wrote them.
    pub async fn embedded(directory: &Path, clock: Clock) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("the directory {} cannot be made", directory.display()))?;
        let opened = |name: &str| format!("{} cannot be opened", directory.join(name).display());
        let store = open_store(directory, clock.clone()).await?;
        let queue = SqliteQueue::open(&directory.join("queue.sqlite"), clock.clone(), Policy::default())
            .await
            .with_context(|| opened("queue.sqlite"))?;
        let blobs = ObjectBlobs::local(&directory.join("blobs")).with_context(|| opened("blobs"))?;
        Ok(Self {
            store: Arc::new(store),
            sessions: Arc::new(MemorySessions::new(clock.clone(), SESSIONS_MAX)),
            cache: Arc::new(MemoryCache::new(clock, CACHE_BYTES_MAX)),
            queue: Arc::new(queue),
            bus: Arc::new(MemoryBus::new(TOPICS_MAX, MESSAGES_MAX)),
            blobs: Arc::new(blobs),
        })
    }
}

/// The store of the embedded engines alone.
///
/// # Errors
/// The file cannot be made or opened, or a newer version of MiniGram wrote it.
pub async fn open_store(directory: &Path, clock: Clock) -> anyhow::Result<SqliteStore> {
    let file = directory.join("store.sqlite");
    let store = SqliteStore::open(&file, clock, CELEBRITY_FOLLOWERS).await;
    store.with_context(|| format!("{} cannot be opened", file.display()))
}
