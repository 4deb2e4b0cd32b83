//! The cache from the control side: purges, its limits after a reload, its figures, and the sweeper that frees what is of no
//! more use.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use evenkeel_config::{CacheStore as StoreConfig, Config};
use evenkeel_core::cache::evict::Policy;
use evenkeel_core::cache::{Scope, Strength, Wall};
use evenkeel_core::snapshot::Purged;
use evenkeel_observe::{DiskFigures, StoreFigures};
use evenkeel_proxy::{CacheStore, Shared, open_store, store_limits};

/// Stored responses that the sweeper looks at before it pauses: some 50 us of the control thread.
const BATCH: usize = 512;
/// The pause while a purge has not been carried through the whole store: 100,000 responses are freed within 2 s.
const PAUSE_AFTER_PURGE: Duration = Duration::from_millis(10);
/// The pause otherwise: a million responses take 3 min.
const PAUSE: Duration = Duration::from_millis(100);
/// The pause while nothing is stored.
const PAUSE_EMPTY: Duration = Duration::from_secs(1);
/// How long a response stays that is too old for any use but to be revalidated.
const USELESS_MS_MAX: u64 = 24 * 3_600_000;

/// How long the end of the process waits until what was fetched last is on the disk.
pub const SETTLE_MAX: Duration = Duration::from_secs(5);
/// How long nothing must fail on the disk until the log says that it is well again.
const WELL_AFTER: Duration = Duration::from_secs(30);

/// The store that the configuration describes.
///
/// # Errors
/// The directory of the disk cache cannot be used.
pub fn open(config: &StoreConfig) -> Result<Arc<CacheStore>, String> {
    open_store(config).map_err(|error| {
        let path = config.disk.as_ref().map(|disk| disk.path.display().to_string()).unwrap_or_default();
        format!("cannot use the directory {path} for the disk cache: {error}; see `disk` in `[cache]`")
    })
}

/// Waits until what was fetched last is on the disk, and what was purged last is known to the process that has taken over.
pub fn settle(shared: &Shared) {
    shared.cache.finish_purges(SETTLE_MAX);
    shared.cache.settle(SETTLE_MAX);
}

/// Has the metrics ask the store for its figures.
pub fn show_figures(shared: &Shared) {
    let store = Arc::clone(&shared.cache);
    shared.registry.watch_store(move || {
        let figures = store.figures();
        StoreFigures {
            objects: figures.objects,
            bytes: figures.bytes,
            fetching: figures.filling,
            limit: figures.capacity,
            evictions: Policy::ALL.iter().map(|policy| policy.name()).zip(figures.evictions).collect(),
            purged: figures.purged,
            disk: figures.disk.map(|disk| DiskFigures {
                objects: disk.objects,
                bytes: disk.bytes,
                limit: disk.capacity,
                written: disk.written,
                read: disk.read,
                failures: disk.failures,
            }),
        }
    });
}

/// Purges. What the purge is about is counted just before it.
pub fn purge(shared: &Shared, scopes: &[Scope], host: Option<&Scope>, soft: bool) -> Purged {
    let strength = if soft { Strength::Soft(now()) } else { Strength::Hard };
    let counts = shared.cache.count([scopes, host.map(std::slice::from_ref).unwrap_or_default()]);
    let sequence = scopes.iter().map(|scope| shared.cache.purge(scope, strength)).max().unwrap_or_default();
    Purged {
        sequence,
        objects: counts.map(|[objects, _]| objects),
        host_objects: counts.and_then(|[_, objects]| host.map(|_| objects)),
    }
}

/// Makes true what a reload says of the store. What has no room any more is evicted.
pub fn reconfigure(shared: &Shared, old: &Config, new: &Config) {
    if (old.cache.memory, old.cache.eviction) != (new.cache.memory, new.cache.eviction) {
        shared.cache.set_limits(store_limits(&new.cache));
    }
    if let (Some(old), Some(new)) = (&old.cache.disk, &new.cache.disk)
        && old.size != new.size
    {
        shared.cache.set_disk_size(new.size);
    }
}

/// Frees what was purged or is of no more use, again and again.
pub async fn sweep(shared: Arc<Shared>) {
    let store = Arc::clone(&shared.cache);
    // The newest purge when the last round began, and the one when this round began.
    let (mut carried_through, mut round) = (store.newest_purge(), store.newest_purge());
    let mut disk = DiskHealth::default();
    loop {
        disk.report(&store);
        let now = now();
        let has_ended =
            store.sweep(BATCH, |meta| meta.stored.useless_from().plus_millis(USELESS_MS_MAX) <= now);
        if has_ended {
            (carried_through, round) = (round, store.newest_purge());
        }
        let pause = if carried_through < store.newest_purge() {
            PAUSE_AFTER_PURGE
        } else if store.is_empty() {
            PAUSE_EMPTY
        } else {
            PAUSE
        };
        tokio::time::sleep(pause).await;
    }
}

/// Whether the disk fails, as far as the log has said so.
#[derive(Default)]
struct DiskHealth {
    failures: u64,
    /// When it failed last.
    failing: Option<Instant>,
    is_closed: bool,
}

impl DiskHealth {
    /// Says when the disk begins to fail, and when it is well again; not each time.
    fn report(&mut self, store: &Arc<CacheStore>) {
        self.report_purges(store);
        let Some(failures) = store.disk_failures() else { return };
        if failures > self.failures {
            self.failures = failures;
            if self.failing.replace(Instant::now()).is_none() {
                let fault = store.disk_fault().unwrap_or_default();
                tracing::error!(
                    "the disk cache cannot write {fault}; responses that it cannot write are kept in memory alone"
                );
            }
        } else if self.failing.is_some_and(|last| last.elapsed() >= WELL_AFTER)
            && store.disk_fault().is_none()
        {
            self.failing = None;
            tracing::info!("the disk cache writes again");
        }
    }

    /// A disk on which a purge could not be written down is emptied, and used again when it can be.
    fn report_purges(&mut self, store: &Arc<CacheStore>) {
        match (self.is_closed, store.is_disk_closed()) {
            (false, true) => tracing::error!(
                "the disk cache is being emptied: {}, so that what was purged would come back after a restart",
                store.disk_fault().unwrap_or_default()
            ),
            (true, false) => tracing::info!("the disk cache is empty and in use again"),
            _ => {}
        }
        self.is_closed = store.is_disk_closed();
        store.reopen_disk();
    }
}

/// The time by which responses are judged.
fn now() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
