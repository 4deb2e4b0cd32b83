//! Which workers share which figures, what a reload forgets, and what the status page shows.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::*;
use crate::render::parse::parse;
use crate::series::RequestFigures;

fn key(route: &str, pool: &str, backend: &str) -> SeriesKey {
    SeriesKey { route: route.into(), pool: Some(pool.into()), backend: Some(backend.into()) }
}

fn figures(status: u16, total: Duration) -> RequestFigures {
    let overhead = Duration::from_micros(5);
    RequestFigures {
        status,
        total,
        upstream: Some(total),
        overhead,
        bytes_in: 1,
        bytes_out: 2,
        tries: 1,
        is_broken: false,
    }
}

#[test]
fn workers_that_record_while_others_read_lose_nothing() {
    const REQUESTS: u64 = 20_000;
    let registry = Registry::new(4);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut last = 0.0;
            while !done.load(Ordering::Relaxed) {
                let now = parse(&registry.render()).sum("evenkeel_requests_total");
                assert!(now >= last, "a counter shrank from {last} to {now}");
                last = now;
            }
        });
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let registry = &registry;
                scope.spawn(move || {
                    for n in 0..REQUESTS {
                        // Asked for anew each time, to let creation race as well.
                        let series = registry.series(key("r", "p", if n % 2 == 0 { "a" } else { "b" }));
                        series.shard(worker).record(&figures(200, Duration::from_millis(2)));
                    }
                })
            })
            .collect();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    let page = parse(&registry.render());
    for name in [
        "evenkeel_requests_total",
        "evenkeel_upstream_duration_seconds_count",
        "evenkeel_overhead_seconds_count",
    ] {
        assert_eq!(page.sum(name), 4.0 * REQUESTS as f64, "{name}");
    }
}

#[test]
fn a_reload_forgets_what_is_gone_and_keeps_the_rest_counting() {
    let registry = Registry::new(1);
    let kept = registry.series(key("r", "p", "kept"));
    let gone = registry.series(key("r", "p", "gone"));
    let old_route = registry.series(key("old", "p", "kept"));
    for series in [&kept, &gone, &old_route] {
        series.shard(0).record(&figures(200, Duration::from_millis(1)));
    }
    registry.retain_backends(|_, id| id.as_str() == "kept");
    registry.retain(|key| key.route.as_str() == "r");
    // A worker in the middle of a request may still hold what was forgotten.
    gone.shard(0).record(&figures(200, Duration::from_millis(1)));
    kept.shard(0).record(&figures(200, Duration::from_millis(1)));

    let text = registry.render();
    assert!(!text.contains("gone") && !text.contains("\"old\""));
    let page = parse(&text);
    assert_eq!(page.sum("evenkeel_requests_total"), 2.0);
    // The server's own figures do not shrink with a route: that would look like a restart.
    assert_eq!(page.sum("evenkeel_upstream_duration_seconds_count"), 3.0);
}

#[test]
fn the_same_server_in_two_pools_has_two_sets_of_figures() {
    let registry = Registry::new(1);
    registry.backend(&"p".into(), &"a".into()).up.set(1);
    assert_eq!(registry.backend(&"p".into(), &"a".into()).up.value(), 1);
    assert_eq!(registry.backend(&"q".into(), &"a".into()).up.value(), 0);
}

#[test]
fn the_status_page_gets_shares_errors_and_quantiles() {
    let registry = Registry::new(2);
    let ms = Duration::from_millis;
    for n in 0..100 {
        // Two routes lead to server `a`; the figures are the server's.
        let series = registry.series(key(if n % 2 == 0 { "r1" } else { "r2" }, "p", "a"));
        series.shard(n % 2).record(&figures(if n < 10 { 503 } else { 200 }, ms(1 + n as u64)));
    }
    for _ in 0..300 {
        registry.series(key("r1", "p", "b")).shard(0).record(&figures(200, ms(1)));
    }
    for _ in 0..600 {
        registry.series(key("r1", "q", "a")).shard(0).record(&figures(404, ms(1)));
    }
    let unanswered = SeriesKey { route: "r1".into(), pool: Some("p".into()), backend: None };
    registry.series(unanswered).shard(0).record(&figures(503, ms(1)));
    registry.series(SeriesKey::unrouted()).shard(0).record(&figures(404, ms(1)));

    let backends = registry.by_backend();
    let shown = |pool: &str, id: &str| {
        let summary = &backends[&(pool.into(), id.into())];
        (summary.requests, summary.errors, summary.share)
    };
    assert_eq!(shown("p", "a"), (100, 10, 0.25));
    assert_eq!(shown("p", "b"), (300, 0, 0.75));
    assert_eq!(shown("q", "a"), (600, 0, 1.0));
    assert_eq!(backends.len(), 3);
    let a = &backends[&("p".into(), "a".into())];
    for (found, exact) in [(a.p50, ms(50)), (a.p95, ms(95)), (a.p99, ms(99))] {
        assert!(found.abs_diff(exact) <= ms(1), "{found:?} for {exact:?}");
    }

    let pools = registry.by_pool();
    assert_eq!((pools[&"p".into()].requests, pools[&"p".into()].errors), (401, 11));
    assert!((pools[&"q".into()].share - 600.0 / 1_001.0).abs() < 1e-9);
    let all = registry.summary();
    assert_eq!((all.requests, all.errors, all.share), (1_002, 11, 1.0));
}

#[test]
fn without_requests_nothing_is_divided_by_zero() {
    let registry = Registry::new(1);
    registry.series(key("r", "p", "a"));
    assert_eq!(registry.by_backend()[&("p".into(), "a".into())].share, 0.0);
    assert_eq!(registry.summary().share, 0.0);
}

#[test]
fn servers_beyond_the_maximum_count_together_and_their_pool_stays_whole() {
    let registry = Registry::new(1);
    let name = |at: usize| format!("s{at}");
    (0..BACKENDS_MAX + 10).for_each(|at| drop(registry.backend(&"p".into(), &name(at).as_str().into())));
    for at in [0, BACKENDS_MAX, BACKENDS_MAX + 9] {
        registry.series(key("r", "p", &name(at))).shard(0).record(&figures(200, Duration::from_millis(1)));
    }
    let check = |requests: f64| {
        let page = parse(&registry.render());
        let of = |backend| [("route", "r"), ("pool", "p"), ("backend", backend), ("class", "2xx")];
        assert_eq!(page.value("evenkeel_requests_total", &of("s0")), Some(1.0));
        assert_eq!(page.value("evenkeel_requests_total", &of("other")), Some(requests));
        let other = [("pool", "p"), ("backend", "other")];
        assert_eq!(page.value("evenkeel_upstream_duration_seconds_count", &other), Some(requests));
        assert_eq!(page.value("evenkeel_backend_up", &other), None);
        assert_eq!(registry.by_pool()[&"p".into()].requests, 1 + requests as u64);
        page
    };
    let page = check(2.0);
    assert_eq!(page.value("evenkeel_metrics_folded", &[("kind", "backend")]), Some(10.0));
    // One of them goes: what it had counted stays, so that no counter shrinks.
    registry.retain_backends(|_, id| id.as_str() != name(BACKENDS_MAX));
    check(2.0);
    // Outlier detection still sees each by itself.
    let last = registry.backend(&"p".into(), &name(BACKENDS_MAX + 9).as_str().into());
    last.shard(0).answered(200, None);
    assert_eq!((last.tries().ended, registry.backend(&"p".into(), &"s0".into()).tries().ended), (1, 0));
    registry.retain_pools(|_| false);
    registry.retain(|_| false);
    assert!(!registry.render().contains("\"other\""));
}
