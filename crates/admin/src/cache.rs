//! `GET /cache`, and `cache` in `GET /status`: how much the cache holds, and how often it answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use evenkeel_observe::{CacheResult, CacheTotals, DiskFigures, Registry};
use serde::Serialize;
use utoipa::ToSchema;

use crate::context::Context;

/// The cache at this moment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Cache {
    /// What stored responses occupy, content and overhead, in bytes.
    memory_bytes: u64,
    /// The most that they and fetches in progress may occupy, in bytes.
    memory_limit_bytes: u64,
    /// What fetches in progress occupy, in bytes.
    fetching_bytes: u64,
    /// Stored responses.
    objects: u64,
    /// Responses that made room for others.
    evictions: u64,
    /// Responses that purges removed.
    purged_objects: u64,
    /// Only with a disk cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<Disk>,
    /// All routes together.
    #[serde(flatten)]
    all: Counts,
    /// Each route whose cache was asked.
    routes: Vec<Route>,
}

/// The disk behind the memory.
#[derive(Debug, Serialize, ToSchema)]
struct Disk {
    bytes: u64,
    limit_bytes: u64,
    /// Stored responses.
    objects: u64,
    /// Responses written since the start.
    written: u64,
    /// Responses read since the start.
    read: u64,
    /// Responses and purges that could not be written.
    failures: u64,
}

impl From<DiskFigures> for Disk {
    fn from(disk: DiskFigures) -> Self {
        let DiskFigures { objects, bytes, limit, written, read, failures } = disk;
        Self { bytes, limit_bytes: limit, objects, written, read, failures }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct Route {
    name: String,
    #[serde(flatten)]
    counts: Counts,
}

/// What requests came to since the process started.
#[derive(Debug, Serialize, ToSchema)]
struct Counts {
    /// Of the requests that may be answered from the cache, the share whose body came from it, from 0 to 1. None before the
    /// first.
    hit_ratio: Option<f64>,
    /// By result.
    requests: BTreeMap<&'static str, u64>,
    /// Requests that were sent what another request was fetching.
    coalesced: u64,
    /// Bytes of bodies sent from the cache.
    served_bytes: u64,
    /// Responses stored.
    stored: u64,
    /// Requests to the route's own pool because no cache node of `parent` had answered.
    past_parents: u64,
    /// Fetches in progress.
    fetches: i64,
}

impl From<&CacheTotals> for Counts {
    fn from(totals: &CacheTotals) -> Self {
        let count = |result: &CacheResult| (result.as_str(), totals.requests(*result));
        Self {
            hit_ratio: totals.hit_ratio().map(|ratio| (ratio * 1e4).round() / 1e4),
            requests: CacheResult::ALL.iter().map(count).collect(),
            coalesced: totals.coalesced,
            served_bytes: totals.bytes,
            stored: totals.stored,
            past_parents: totals.past_parents,
            fetches: totals.fetches,
        }
    }
}

impl Cache {
    /// The cache as the registry knows it.
    pub(crate) fn of(registry: &Registry) -> Self {
        let store = registry.store_figures().unwrap_or_default();
        let (mut all, mut routes) = (CacheTotals::default(), Vec::new());
        for (route, totals) in registry.caches() {
            all.add(&totals);
            routes.push(Route { name: route.to_string(), counts: Counts::from(&totals) });
        }
        Self {
            memory_bytes: store.bytes,
            memory_limit_bytes: store.limit,
            fetching_bytes: store.fetching,
            objects: store.objects,
            evictions: store.evictions.iter().map(|(_, count)| count).sum(),
            purged_objects: store.purged,
            disk: store.disk.map(Disk::from),
            all: Counts::from(&all),
            routes,
        }
    }
}

/// What the cache holds and how often it answered
#[utoipa::path(get, path = "/cache", tag = "cache", responses((status = 200, body = Cache, description = "All routes together, and each.")))]
pub(crate) async fn cache(State(context): State<Arc<Context>>) -> Json<Cache> {
    Json(Cache::of(&context.registry))
}
