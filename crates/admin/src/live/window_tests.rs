//! Windows: what they say of samples that tests make by hand.

#![allow(clippy::unwrap_used)]

use evenkeel_observe::Histogram;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn key(server: &str) -> SampleKey {
    (Some("app".into()), Some(server.into()))
}

/// So many requests that took so long each, `errors` of which failed.
fn ended(requests: u64, errors: u64, took_ms: u64) -> EndedFigures {
    let durations = Histogram::default();
    (0..requests).for_each(|_| durations.record(Duration::from_millis(took_ms)));
    EndedFigures { requests, errors, duration: durations.snapshot() }
}

fn sample(servers: &[(&str, EndedFigures)]) -> Sample {
    let listeners = servers.iter().map(|(_, ended)| (ended.requests, ended.errors));
    let (requests, errors) = listeners.fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    Sample {
        ended: servers.iter().map(|(server, ended)| (key(server), ended.clone())).collect(),
        listeners: [("web".into(), ListenerEnded { requests, errors })].into(),
        in_flight: 7,
        connections: 3,
        ..Sample::default()
    }
}

fn present(at: f64) -> Present {
    Present { at, pools: vec![("app".into(), 5), ("idle".into(), 0)] }
}

#[test]
fn rates_are_those_of_the_time_that_has_passed() {
    let mut window = Window::default();
    window.advance(sample(&[("a", ended(1_000, 0, 1))]), SECOND, &present(1.0));
    assert!(window.points().is_empty(), "one sample has no past");
    window.advance(sample(&[("a", ended(1_100, 10, 1))]), 2 * SECOND, &present(3.0));
    let point = window.points().back().unwrap();
    assert_eq!((point.total.rps, point.total.errors, point.total.in_flight), (50.0, 5.0, 7));
    assert_eq!((point.at, point.connections), (3.0, 3));
    assert_eq!(point.listeners["web"], ListenerNow { rps: 50.0, errors: 5.0 });
    assert_eq!((point.pools["app"].rps, point.pools["app"].in_flight), (50.0, 5));
    assert_eq!(point.pools["idle"], Now::default());
    assert_eq!(window.recent().outcomes(&"app".into()), (100, 10));
}

#[test]
fn percentiles_are_of_the_last_ten_seconds_and_of_nothing_before() {
    let mut window = Window::default();
    let mut all = ended(500, 0, 1_000);
    window.advance(sample(&[("a", all.clone())]), SECOND, &present(0.0));
    for second in 1..=12_u32 {
        all.merge(&ended(10, 0, if second <= 2 { 90 } else { 4 }));
        window.advance(sample(&[("a", all.clone())]), SECOND, &present(second.into()));
    }
    let now = window.recent().server(&("app".into(), "a".into()), 2);
    assert_eq!((now.rps, now.in_flight), (10.0, 2));
    // The bucket of 4 ms is that from 3 to 5 ms.
    assert!(now.p99.unwrap() <= 5.0 && now.p50.unwrap() > 3.0, "{now:?}");
    let first = &window.points()[0].total;
    assert!(first.p50.unwrap() > 50.0, "{first:?}");
}

#[test]
fn without_requests_there_is_no_latency() {
    let mut window = Window::default();
    for second in 0..3_u32 {
        window.advance(sample(&[("a", ended(5, 0, 1))]), SECOND, &present(second.into()));
    }
    let text = serde_json::to_value(window.points().back().unwrap()).unwrap();
    assert_eq!((&text["p50"], &text["rps"]), (&serde_json::Value::Null, &0.0.into()));
    assert_eq!(window.recent().total().p99, None);
}

#[test]
fn a_server_that_is_gone_or_comes_back_makes_no_negative_rates() {
    let mut window = Window::default();
    let both = [("a", ended(100, 0, 1)), ("b", ended(100, 0, 1))];
    window.advance(sample(&both), SECOND, &present(0.0));
    window.advance(sample(&[("a", ended(110, 0, 1))]), SECOND, &present(1.0));
    assert_eq!(window.points().back().unwrap().total.rps, 10.0);
    window.advance(sample(&[("a", ended(110, 0, 1)), ("b", ended(4, 0, 1))]), SECOND, &present(2.0));
    assert_eq!(window.points().back().unwrap().total.rps, 4.0);
    window.advance(sample(&[("a", ended(3, 0, 1)), ("b", ended(4, 0, 1))]), SECOND, &present(3.0));
    assert_eq!(window.points().back().unwrap().total.rps, 0.0);
    assert_eq!(window.recent().outcomes(&"app".into()), (14, 0));
}

#[test]
fn history_and_its_pools_are_bounded() {
    let mut window = Window::default();
    let pools = (0..1_000).map(|number| (format!("p{number}").as_str().into(), 0)).collect();
    let present = Present { at: 1.0, pools };
    for _ in 0..HISTORY_SECONDS + 10 {
        window.advance(Sample::default(), SECOND, &present);
    }
    assert_eq!(window.points().len(), HISTORY_SECONDS);
    assert_eq!(window.points()[0].pools.len(), POINT_POOLS_MAX);
}
