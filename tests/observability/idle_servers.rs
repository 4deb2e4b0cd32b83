//! Servers that had no request yet take little room in `/metrics`: a series begins with its first value.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::support::{Evenkeel, Origin, eventually, pool};

const SERVERS: usize = 4_900;
const PAGE_MAX: usize = 2_000_000;

/// A pool of servers that nothing is sent to, beside the pool `app`.
fn with_idle(origin: &Origin, keys: &str) -> String {
    let mut text = format!("{}[pool.idle]\n{keys}\nbackends = [\n", pool(&[origin], ""));
    for at in 0..SERVERS {
        let _ =
            writeln!(text, "{{ address = \"127.{}.{}.1:1\", name = \"idle-{at}\" }},", at / 250, at % 250);
    }
    text + "]\n"
}

/// The lines about each server of that pool.
fn lines(page: &str, pool: &str) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let pool = format!("pool=\"{pool}\"");
    for line in page.lines().filter(|line| !line.starts_with('#') && line.contains(&pool)) {
        let Some((_, rest)) = line.split_once("backend=\"") else { continue };
        let (server, _) = rest.split_once('"').unwrap();
        // The pool's own circuit breaker.
        if server.is_empty() {
            continue;
        }
        found.entry(server.to_owned()).or_default().push(line.to_owned());
    }
    found
}

/// True for a series that has had no value yet; a breaker that is closed has one, which is 0.
fn is_empty(line: &str) -> bool {
    line.ends_with(" 0") && !line.starts_with("evenkeel_breaker_state{")
}

#[test]
fn thousands_of_idle_servers_leave_the_page_small() {
    let origin = Origin::named("a");
    for keys in [
        "",
        "outlier = { failures = 3 }\nbreaker = { failures = \"50%\" }\nserver_breaker = { failures = \"50%\" }",
    ] {
        let evenkeel = Evenkeel::start(&with_idle(&origin, keys));
        let page = evenkeel.admin("GET", "/metrics", "").text();
        assert!(page.len() < PAGE_MAX, "{} bytes for {SERVERS} idle servers", page.len());
        let idle = lines(&page, "idle");
        assert_eq!(idle.len(), SERVERS, "each server is there with its state");
        for (server, lines) in &idle {
            let up = lines.iter().filter(|line| line.starts_with("evenkeel_backend_up{")).count();
            assert_eq!(up, 1, "one line for the state of {server}: {lines:#?}");
            let empty: Vec<_> = lines.iter().filter(|line| is_empty(line)).collect();
            assert!(empty.is_empty(), "{server} has series without a value: {empty:#?}");
        }
    }
}

#[test]
fn a_series_begins_with_its_first_value() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&format!(
        "{}[pool.other]\nbackends = [{{ address = \"{}\", name = \"b\" }}]\n",
        pool(&[&a], ""),
        b.address()
    ));
    let has = |series: &str, server: &str| {
        let page = evenkeel.admin("GET", "/metrics", "").text();
        let server = format!("backend=\"{server}\"");
        page.lines().any(|line| line.starts_with(series) && line.contains(&server))
    };
    const SERIES: [&str; 3] = [
        "evenkeel_requests_total{",
        "evenkeel_upstream_duration_seconds_bucket{",
        "evenkeel_backend_connections_opened_total{",
    ];
    for series in SERIES {
        assert!(!has(series, "a") && !has(series, "b"), "{series}: nothing was asked yet");
    }
    assert_eq!(evenkeel.get("/").text(), "a");
    for series in SERIES {
        eventually(series, || has(series, "a"));
        assert!(!has(series, "b"), "{series}: b was not asked");
    }
    assert!(has("evenkeel_backend_up{", "b"), "its state is known all the same");
    // A counter that has begun stays, with its labels of the other kind still missing.
    assert!(!has("evenkeel_backend_failures_total{", "a"), "it has not failed");
}
