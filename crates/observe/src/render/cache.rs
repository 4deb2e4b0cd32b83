//! The figures of the cache.

use super::page::Page;
use crate::cache::CacheTotals;
use crate::names::{self, CacheResult, Metric, PurgeMode, PurgeScope};
use crate::registry::Registry;

pub(super) fn render(page: &mut Page, registry: &Registry) {
    routes(page, registry);
    store(page, registry);
    page.family(&names::CACHE_PURGES);
    for &scope in PurgeScope::ALL {
        for &mode in PurgeMode::ALL {
            let count = registry.purges.value(scope, mode);
            page.begun(&names::CACHE_PURGES, &[scope.as_str(), mode.as_str()], count);
        }
    }
}

fn routes(page: &mut Page, registry: &Registry) {
    let all: Vec<_> = registry.caches().into_iter().filter(|(_, totals)| totals.has_begun()).collect();
    page.family(&names::CACHE_REQUESTS);
    for (route, totals) in &all {
        for &result in CacheResult::ALL {
            let labels = [route.as_str(), result.as_str()];
            page.sample(&names::CACHE_REQUESTS, &labels, totals.requests(result));
        }
    }
    let mut counter = |metric: &Metric, figure: fn(&CacheTotals) -> u64| {
        page.family(metric);
        all.iter().for_each(|(route, totals)| page.sample(metric, &[route.as_str()], figure(totals)));
    };
    counter(&names::CACHE_COALESCED, |totals| totals.coalesced);
    counter(&names::CACHE_SERVED_BYTES, |totals| totals.bytes);
    counter(&names::CACHE_STORED, |totals| totals.stored);
    counter(&names::CACHE_PAST_PARENTS, |totals| totals.past_parents);
    page.family(&names::CACHE_FETCHES);
    all.iter()
        .for_each(|(route, totals)| page.sample(&names::CACHE_FETCHES, &[route.as_str()], totals.fetches));
    page.family(&names::CACHE_AGE);
    for (route, totals) in &all {
        page.buckets(&names::CACHE_AGE, &[route.as_str()], totals.ages(), totals.age_sum_s as f64);
    }
}

/// What the store says of itself: nothing if there is none.
fn store(page: &mut Page, registry: &Registry) {
    let store = registry.store_figures();
    let mut known = |metric: &Metric, figure: Option<u64>| {
        page.family(metric);
        figure.iter().for_each(|figure| page.sample(metric, &[], figure));
    };
    let store = store.as_ref();
    known(&names::CACHE_MEMORY, store.map(|store| store.bytes));
    known(&names::CACHE_FETCHING, store.map(|store| store.fetching));
    known(&names::CACHE_MEMORY_LIMIT, store.map(|store| store.limit));
    known(&names::CACHE_OBJECTS, store.map(|store| store.objects));
    known(&names::CACHE_PURGED, store.map(|store| store.purged));
    let disk = store.and_then(|store| store.disk);
    known(&names::CACHE_DISK, disk.map(|disk| disk.bytes));
    known(&names::CACHE_DISK_LIMIT, disk.map(|disk| disk.limit));
    known(&names::CACHE_DISK_OBJECTS, disk.map(|disk| disk.objects));
    known(&names::CACHE_DISK_WRITTEN, disk.map(|disk| disk.written));
    known(&names::CACHE_DISK_READ, disk.map(|disk| disk.read));
    known(&names::CACHE_DISK_FAILURES, disk.map(|disk| disk.failures));
    page.family(&names::CACHE_EVICTIONS);
    for (policy, count) in store.iter().flat_map(|store| &store.evictions) {
        page.begun(&names::CACHE_EVICTIONS, &[policy], *count);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cache::{CacheFigures, DiskFigures, Fetching, StoreFigures};
    use crate::render::parse::{Page as Parsed, parse};

    fn figures(result: CacheResult, bytes: u64, age_s: u64) -> CacheFigures {
        CacheFigures { result, coalesced: false, bytes, age_s }
    }

    fn of_shop(page: &Parsed, name: &str, more: &[(&str, &str)]) -> Option<f64> {
        page.value(name, &[&[("route", "shop")], more].concat())
    }

    #[test]
    fn a_route_shows_what_its_cache_did() {
        let registry = Registry::new(2);
        let series = registry.cache(&"shop".into());
        assert!(!registry.render().contains("route=\"shop\""), "nothing is counted yet");
        series.shard(0).record(&figures(CacheResult::Hit, 100, 60));
        series.shard(1).record(&figures(CacheResult::Hit, 100, 61));
        series.shard(1).record(&figures(CacheResult::Stale, 50, 10_000_000));
        series.shard(1).record(&CacheFigures { coalesced: true, ..figures(CacheResult::Miss, 1_000, 0) });
        series.shard(0).record(&figures(CacheResult::Bypass, 1_000, 0));
        series.shard(0).stored();
        let fetching = Fetching::begin(&series, 1);
        let page = parse(&registry.render());
        let value = |name: &str, more: &[_]| of_shop(&page, name, more);
        for (result, count) in
            [("hit", 2.0), ("stale", 1.0), ("miss", 1.0), ("bypass", 1.0), ("expired", 0.0)]
        {
            assert_eq!(
                value("evenkeel_cache_requests_total", &[("result", result)]),
                Some(count),
                "{result}"
            );
        }
        assert_eq!(value("evenkeel_cache_served_bytes_total", &[]), Some(250.0));
        assert_eq!(value("evenkeel_cache_coalesced_total", &[]), Some(1.0));
        assert_eq!(value("evenkeel_cache_stored_total", &[]), Some(1.0));
        assert_eq!(value("evenkeel_cache_fetches", &[]), Some(1.0));
        let under = |le| value("evenkeel_cache_age_seconds_bucket", &[("le", le)]);
        let buckets = ["10", "60", "300", "2592000", "+Inf"].map(under);
        assert_eq!(buckets, [0.0, 1.0, 2.0, 2.0, 3.0].map(Some));
        assert_eq!(value("evenkeel_cache_age_seconds_sum", &[]), Some(10_000_121.0));
        drop(fetching);
        assert_eq!(of_shop(&parse(&registry.render()), "evenkeel_cache_fetches", &[]), Some(0.0));
        registry.retain_routes(|route| route.as_str() != "shop");
        assert!(!registry.render().contains("route=\"shop\""), "a route that is gone is forgotten");
    }

    #[test]
    fn the_hit_ratio_leaves_out_what_may_not_be_answered_from_the_cache() {
        let series = CacheTotals::default();
        assert_eq!(series.hit_ratio(), None);
        let registry = Registry::new(1);
        let series = registry.cache(&"shop".into());
        for result in
            [CacheResult::Hit, CacheResult::Updating, CacheResult::Revalidated, CacheResult::Expired]
        {
            series.shard(0).record(&figures(result, 1, 1));
            series.shard(0).record(&figures(CacheResult::Bypass, 1, 1));
        }
        assert_eq!(series.totals().hit_ratio(), Some(0.75));
        assert_eq!(registry.cache_totals().hit_ratio(), Some(0.75));
        assert!(Arc::ptr_eq(&series, &registry.cache(&"shop".into())));
    }

    #[test]
    fn the_store_shows_what_it_says_of_itself() {
        let registry = Registry::new(1);
        assert_eq!(parse(&registry.render()).value("evenkeel_cache_objects", &[]), None);
        registry.watch_store(|| StoreFigures {
            objects: 3,
            bytes: 1_000,
            fetching: 20,
            limit: 1 << 20,
            evictions: vec![("s3-fifo", 7), ("lru", 0)],
            purged: 5,
            disk: Some(DiskFigures {
                objects: 9,
                bytes: 9_000,
                limit: 1 << 30,
                written: 12,
                read: 4,
                failures: 1,
            }),
        });
        registry.purges.count(PurgeScope::Tag, PurgeMode::Soft);
        let page = parse(&registry.render());
        for (name, labels, value) in [
            ("evenkeel_cache_objects", &[][..], Some(3.0)),
            ("evenkeel_cache_memory_bytes", &[], Some(1_000.0)),
            ("evenkeel_cache_fetching_bytes", &[], Some(20.0)),
            ("evenkeel_cache_memory_limit_bytes", &[], Some(1_048_576.0)),
            ("evenkeel_cache_purged_objects_total", &[], Some(5.0)),
            ("evenkeel_cache_disk_objects", &[], Some(9.0)),
            ("evenkeel_cache_disk_bytes", &[], Some(9_000.0)),
            ("evenkeel_cache_disk_limit_bytes", &[], Some(1_073_741_824.0)),
            ("evenkeel_cache_disk_written_total", &[], Some(12.0)),
            ("evenkeel_cache_disk_read_total", &[], Some(4.0)),
            ("evenkeel_cache_disk_failures_total", &[], Some(1.0)),
            ("evenkeel_cache_evictions_total", &[("policy", "s3-fifo")], Some(7.0)),
            ("evenkeel_cache_evictions_total", &[("policy", "lru")], None),
            ("evenkeel_cache_purges_total", &[("scope", "tag"), ("mode", "soft")], Some(1.0)),
            ("evenkeel_cache_purges_total", &[("scope", "tag"), ("mode", "hard")], None),
        ] {
            assert_eq!(page.value(name, labels), value, "{name} {labels:?}");
        }
    }
}
