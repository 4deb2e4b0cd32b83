//! What a scrape shows.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::parse::parse;
use crate::names::{ALL, Kind};
use crate::*;

fn key(route: &str, pool: &str, backend: &str) -> SeriesKey {
    SeriesKey { route: route.into(), pool: Some(pool.into()), backend: Some(backend.into()) }
}

fn figures(status: u16, total_ms: u64) -> RequestFigures {
    RequestFigures {
        status,
        total: Duration::from_millis(total_ms),
        upstream: Some(Duration::from_millis(total_ms - 1)),
        overhead: Duration::from_micros(10),
        bytes_in: 100,
        bytes_out: 2_000,
        tries: 1,
        is_broken: false,
    }
}

#[test]
fn the_table_follows_the_conventions_of_prometheus() {
    for metric in ALL {
        assert!(
            metric.name.starts_with("evenkeel_") || metric.name.starts_with("process_"),
            "{}",
            metric.name
        );
        assert_eq!(metric.kind == Kind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
        assert!(metric.help.ends_with('.') && !metric.help.contains(['\\', '\n']), "{}", metric.name);
        // A gauge `x` beside a counter `x_total` is one name to OpenMetrics and OpenTelemetry.
        let bare = |name: &'static str| name.trim_end_matches("_total");
        let same = ALL.iter().filter(|other| bare(other.name) == bare(metric.name));
        assert!(same.count() == 1, "{} twice", metric.name);
        let is_other_unit =
            |word| ["ms", "us", "ns", "millis", "minutes", "hours", "days", "kb", "percent"].contains(&word);
        assert!(!metric.name.split('_').any(is_other_unit), "{} is not in seconds or bytes", metric.name);
    }
}

#[test]
fn openmetrics_announces_counters_by_their_bare_names_and_has_an_end() {
    let registry = Registry::new(1);
    registry.series(key("shop", "api", "a")).shard(0).record(&figures(200, 3));
    let (plain, open) = (registry.render(), registry.render_as(Format::OpenMetrics));
    assert!(open.ends_with("\n# EOF\n") && !plain.contains("# EOF"));
    assert!(open.contains("\n# TYPE evenkeel_client_aborts counter\nevenkeel_client_aborts_total 0\n"));
    assert!(!open.contains("_total counter\n") && !open.contains("# HELP evenkeel_client_aborts_total"));
    let samples = |page: &str| {
        let lines = page.lines().filter(|line| !line.starts_with('#') && line.starts_with("evenkeel"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(samples(&plain), samples(&open));
}

#[test]
fn a_fresh_registry_announces_every_metric_of_the_table() {
    let page = parse(&Registry::new(2).render());
    for metric in ALL {
        assert_eq!(
            page.types.get(metric.name).map(String::as_str),
            Some(metric.kind.as_str()),
            "{}",
            metric.name
        );
    }
    assert_eq!(page.types.len(), ALL.len(), "nothing is rendered that is not in the table");
    assert_eq!(page.value("evenkeel_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), Some(1.0));
    assert!(page.value("process_resident_memory_bytes", &[]).unwrap() > 0.0);
}

#[test]
fn requests_show_by_route_pool_backend_and_class() {
    let registry = Registry::new(2);
    let series = registry.series(key("shop", "api", "a"));
    series.shard(0).record(&figures(200, 3));
    series.shard(1).record(&figures(204, 40));
    series.shard(1).record(&RequestFigures { tries: 3, ..figures(503, 2) });
    series.shard(1).record(&RequestFigures { status: 999, ..figures(0, 2) });
    registry
        .series(SeriesKey::unrouted())
        .shard(0)
        .record(&RequestFigures { upstream: None, ..figures(404, 1) });

    let page = parse(&registry.render());
    let labels = [("route", "shop"), ("pool", "api"), ("backend", "a")];
    let class =
        |class| page.value("evenkeel_requests_total", &[labels.as_slice(), &[("class", class)]].concat());
    assert_eq!(["1xx", "2xx", "3xx", "4xx", "5xx"].map(|c| class(c).unwrap()), [0.0, 2.0, 0.0, 0.0, 2.0]);
    let nowhere = [("route", ""), ("pool", ""), ("backend", ""), ("class", "4xx")];
    assert_eq!(page.value("evenkeel_requests_total", &nowhere), Some(1.0));

    let under = |le| {
        let labels = [labels.as_slice(), &[("le", le)]].concat();
        page.value("evenkeel_request_duration_seconds_bucket", &labels).unwrap()
    };
    assert_eq!(
        ["0.00005", "0.001", "0.002", "0.003", "0.03", "0.05", "60", "+Inf"].map(under),
        [0.0, 0.0, 2.0, 3.0, 3.0, 4.0, 4.0, 4.0]
    );
    assert_eq!(page.value("evenkeel_request_duration_seconds_sum", &labels), Some(0.047));
    assert_eq!(page.value("evenkeel_request_bytes_total", &labels), Some(400.0));
    assert_eq!(page.value("evenkeel_response_bytes_total", &labels), Some(8_000.0));
    assert_eq!(page.value("evenkeel_extra_tries_total", &labels), Some(2.0));
    assert_eq!(page.value("evenkeel_upstream_duration_seconds_count", &labels[1..]), Some(4.0));
    assert_eq!(page.value("evenkeel_overhead_seconds_count", &[]), Some(5.0));
    assert_eq!(page.value("evenkeel_overhead_seconds_sum", &[]), Some(0.00005));
}

#[test]
fn label_values_survive_whatever_they_hold() {
    let registry = Registry::new(1);
    let odd = "a\"b\\c\nd{e=\"f\"},\u{e9} \\n";
    registry.series(key(odd, "p", "b")).shard(0).record(&figures(200, 1));
    let page = parse(&registry.render());
    let labels = [("route", odd), ("pool", "p"), ("backend", "b"), ("class", "2xx")];
    assert_eq!(page.value("evenkeel_requests_total", &labels), Some(1.0));
}

#[test]
fn workers_are_added_up() {
    let registry = Registry::new(3);
    for index in 0..3 {
        let worker = registry.worker(index);
        worker.connections_accepted.add(5);
        (0..4).for_each(|_| worker.connections.increment());
        worker.connections.decrement();
        worker.requests_in_flight.increment();
        worker.client_aborts.increment();
        worker.tunnels.set(2);
        worker.unsent.set(3);
        worker.files_cached.set(1_000);
        worker.files_open.set(7);
        worker.connection_refused(ConnectionRefusal::Limit);
        worker.connection_speaks(Protocol::Http2);
        worker.handshake(HandshakeResult::Resumed);
        worker.proxy_header(ProxyHeaderResult::Local);
        worker.request_refused(RequestRefusal::HeadTooLarge);
    }
    let page = parse(&registry.render());
    for (name, labels, value) in [
        ("evenkeel_connections_accepted_total", &[][..], 15.0),
        ("evenkeel_connections", &[], 9.0),
        ("evenkeel_requests_in_flight", &[], 3.0),
        ("evenkeel_client_aborts_total", &[], 3.0),
        ("evenkeel_tunnels", &[], 6.0),
        ("evenkeel_unsent_bytes", &[], 9.0),
        ("evenkeel_files_cached_bytes", &[], 3_000.0),
        ("evenkeel_files_open", &[], 21.0),
        ("evenkeel_connections_refused_total", &[("reason", "limit")], 3.0),
        ("evenkeel_connections_refused_total", &[("reason", "accept")], 0.0),
        ("evenkeel_connections_begun_total", &[("protocol", "http2")], 3.0),
        ("evenkeel_connections_begun_total", &[("protocol", "http1")], 0.0),
        ("evenkeel_tls_handshakes_total", &[("result", "resumed")], 3.0),
        ("evenkeel_proxy_headers_total", &[("result", "local")], 3.0),
        ("evenkeel_proxy_headers_total", &[("result", "malformed")], 0.0),
        ("evenkeel_tls_handshakes_total", &[("result", "failed")], 0.0),
        ("evenkeel_requests_refused_total", &[("reason", "head_too_large")], 3.0),
        ("evenkeel_requests_refused_total", &[("reason", "malformed")], 0.0),
    ] {
        assert_eq!(page.value(name, labels), Some(value), "{name} {labels:?}");
    }
}

#[test]
fn a_backend_shows_its_state_connections_and_failures() {
    let registry = Registry::new(2);
    let backend = registry.backend(&"api".into(), &"10.0.0.1:80".into());
    backend.up.set(1);
    backend.in_flight.add(7);
    backend.in_flight.add(-2);
    backend.transition("up", "down");
    backend.transition("down", "up");
    backend.transition("up", "down");
    backend.probed(ProbeResult::Timeout);
    backend.weight_milli.set(1_500);
    backend.stood_out(OutlierCause::SuccessRate, OutlierOutcome::Kept);
    registry.pool(&"api".into()).panic.set(1);
    for worker in 0..2 {
        let shard = backend.shard(worker);
        shard.connections_opened.increment();
        shard.connections_reused.add(10);
        shard.connections_idle.increment();
        shard.connect_failures.increment();
        shard.failed(BackendFailure::Refused);
    }
    let page = parse(&registry.render());
    let value =
        |name, more: &[_]| page.value(name, &[&[("pool", "api"), ("backend", "10.0.0.1:80")], more].concat());
    for (name, more, expected) in [
        ("evenkeel_backend_up", &[][..], Some(1.0)),
        ("evenkeel_backend_in_flight", &[], Some(5.0)),
        ("evenkeel_backend_connections_opened_total", &[], Some(2.0)),
        ("evenkeel_backend_connections_reused_total", &[], Some(20.0)),
        ("evenkeel_backend_connections_idle", &[], Some(2.0)),
        ("evenkeel_backend_connect_failures_total", &[], Some(2.0)),
        ("evenkeel_backend_failures_total", &[("kind", "refused")], Some(2.0)),
        ("evenkeel_backend_failures_total", &[("kind", "timeout")], None),
        ("evenkeel_backend_transitions_total", &[("from", "up"), ("to", "down")], Some(2.0)),
        ("evenkeel_backend_transitions_total", &[("from", "down"), ("to", "up")], Some(1.0)),
        ("evenkeel_backend_transitions_total", &[("from", "up"), ("to", "up")], None),
        ("evenkeel_backend_weight", &[], Some(1.5)),
        ("evenkeel_backend_outliers_total", &[("cause", "success_rate"), ("outcome", "kept")], Some(1.0)),
        ("evenkeel_backend_outliers_total", &[("cause", "latency"), ("outcome", "kept")], None),
        ("evenkeel_probes_total", &[("result", "timeout")], Some(1.0)),
        ("evenkeel_probes_total", &[("result", "success")], None),
    ] {
        assert_eq!(value(name, more), expected, "{name} {more:?}");
    }
    assert_eq!(page.value("evenkeel_pool_panic", &[("pool", "api")]), Some(1.0));
    registry.retain_pools(|pool| pool.as_str() != "api");
    assert!(!registry.render().contains("evenkeel_pool_panic{"));
}

#[test]
fn tries_of_all_workers_are_compared_together() {
    let registry = Registry::new(2);
    let backend = registry.backend(&"api".into(), &"a".into());
    let took = Some(Duration::from_millis(10));
    backend.shard(0).answered(200, took);
    backend.shard(0).answered(503, took);
    backend.shard(0).failed(BackendFailure::Status);
    backend.shard(1).answered(404, None);
    backend.shard(1).failed(BackendFailure::Reset);
    backend.shard(1).failed(BackendFailure::Timeout);
    backend.shard(1).took(Duration::from_secs(1));
    // An error that comes at once says nothing about how long answers take.
    let latency_sum = Duration::from_millis(1_010);
    assert_eq!(backend.tries(), Tries { ended: 5, failed: 3, timed: 2, latency_sum });
}

#[test]
fn certificates_show_when_they_run_out() {
    let registry = Registry::new(1);
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let lasting = |listener: &str, days: i64| Certificate {
        listener: listener.into(),
        cert: "certs/shop.pem".into(),
        names: vec!["shop.example.com".into()],
        not_after_s: now_s + days * 86_400,
    };
    // The same file with another key would be the same sample twice.
    registry.set_certificates(vec![lasting("secure", 20), lasting("secure", 10), lasting("old", -2)]);
    let page = parse(&registry.render());
    let value = |name, listener| {
        page.value(name, &[("listener", listener), ("certificate", "certs/shop.pem")]).unwrap()
    };
    for (listener, days) in [("secure", 20), ("old", -2)] {
        let until_s = (now_s + days * 86_400) as f64;
        assert_eq!(value("evenkeel_certificate_expiry_timestamp_seconds", listener), until_s);
    }
    registry.set_certificates(Vec::new());
    assert!(!registry.render().contains("shop.pem"));
}

#[test]
fn reloads_show_with_their_result_and_generation() {
    let registry = Registry::new(1);
    registry.reloaded(ReloadResult::Success);
    registry.reloaded(ReloadResult::Failure);
    registry.reloaded(ReloadResult::Failure);
    registry.config_generation.set(2);
    let page = parse(&registry.render());
    assert_eq!(page.value("evenkeel_config_reloads_total", &[("result", "success")]), Some(1.0));
    assert_eq!(page.value("evenkeel_config_reloads_total", &[("result", "failure")]), Some(2.0));
    assert_eq!(page.value("evenkeel_config_generation", &[]), Some(2.0));
}
