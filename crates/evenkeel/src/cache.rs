//! The cache from the control side: purges, its limits after a reload, its figures, and the sweeper that frees what is of no
//! more use.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use evenkeel_config::Config;
use evenkeel_core::cache::evict::Policy;
use evenkeel_core::cache::{Scope, Strength, Wall};
use evenkeel_observe::{DiskFigures, StoreFigures};
use evenkeel_proxy::{Shared, store_limits};

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
                failures: disk.failures,
            }),
        }
    });
}

/// Purges, and returns the number of the purge.
pub fn purge(shared: &Shared, scopes: &[Scope], soft: bool) -> u64 {
    let strength = if soft { Strength::Soft(now()) } else { Strength::Hard };
    scopes.iter().map(|scope| shared.cache.purge(scope, strength)).max().unwrap_or_default()
}

/// Makes true what a reload says of the store. What has no room any more is evicted.
pub fn reconfigure(shared: &Shared, old: &Config, new: &Config) {
    if (old.cache.memory, old.cache.eviction) != (new.cache.memory, new.cache.eviction) {
        shared.cache.set_limits(store_limits(&new.cache));
    }
}

/// Frees what was purged or is of no more use, again and again.
pub async fn sweep(shared: Arc<Shared>) {
    let store = Arc::clone(&shared.cache);
    // The newest purge when the last round began, and the one when this round began.
    let (mut carried_through, mut round) = (store.newest_purge(), store.newest_purge());
    loop {
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

/// The time by which responses are judged.
fn now() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
