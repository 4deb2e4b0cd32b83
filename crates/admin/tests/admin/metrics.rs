//! `GET /metrics`: what Prometheus reads.

use std::collections::HashSet;

use crate::fixture::Api;

#[test]
fn the_page_is_prometheus_text() {
    let page = Api::start().get("/metrics");
    assert_eq!(page.status, 200);
    assert_eq!(page.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let mut types = HashSet::new();
    for line in page.body.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.split(' ');
            let (kind, name) = (words.next().unwrap(), words.next().unwrap());
            assert!(["HELP", "TYPE"].contains(&kind), "{line}");
            if kind == "TYPE" {
                assert!(types.insert(name), "{name} has its type twice");
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        value.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
        let name = series.split('{').next().unwrap();
        let stem = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        assert!(types.contains(name) || stem.is_some_and(|stem| types.contains(stem)), "{line} has no type");
    }
    assert!(types.contains("evenkeel_requests_total") && page.body.ends_with('\n'));
}

#[test]
fn servers_are_as_the_snapshot_has_them() {
    let api = Api::start();
    let sample = |name: &str, server: &str| {
        let start = format!("{name}{{pool=\"app\",backend=\"{server}\"}} ");
        let page = api.get("/metrics").body;
        page.lines().find_map(|line| line.strip_prefix(&start)).map(str::to_owned)
    };
    let is = |value: &str| Some(value.to_owned());
    let (up, in_flight) = ("evenkeel_backend_up", "evenkeel_backend_in_flight");
    assert_eq!(
        (sample(up, "a"), sample(in_flight, "a")),
        (is("1"), None),
        "a gauge begins with its first value"
    );
    let load = api.snapshot.load().pools[0].state().servers.members.server(0).load.clone();
    load.begin();
    load.begin();
    api.put("/pools/app/servers/a", r#"{"state":"drain"}"#);
    assert_eq!((sample(up, "a"), sample(in_flight, "a")), (is("0"), is("2")));
    assert_eq!((sample(up, "b"), sample(in_flight, "b")), (is("1"), None));
    load.end();
    api.put("/pools/app/servers/a", r#"{"state":"ready"}"#);
    assert_eq!((sample(up, "a"), sample(in_flight, "a")), (is("1"), is("1")));
}
