//! `GET /status`: every figure, where programs look for it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use evenkeel_observe::{Certificate, RequestFigures, SeriesKey};
use serde_json::{Value, json};

use crate::fixture::Api;

fn request(api: &Api, pool: &str, server: &str, status: u16, ms: u64) {
    let key = SeriesKey { route: "r".into(), pool: Some(pool.into()), backend: Some(server.into()) };
    let total = Duration::from_millis(ms);
    api.registry.series(key).shard(0).record(&RequestFigures {
        status,
        total,
        upstream: Some(total),
        overhead: Duration::ZERO,
        bytes_in: 0,
        bytes_out: 0,
        tries: 1,
        is_broken: false,
    });
}

fn status(api: &Api) -> Value {
    let answer = api.get("/status");
    assert_eq!(answer.status, 200);
    answer.json()
}

#[test]
fn it_tells_of_the_process() {
    let api = Api::start();
    let worker = |n| api.registry.worker(n);
    worker(0).connections.set(3);
    worker(1).connections.set(2);
    worker(1).requests_in_flight.set(4);
    let status = status(&api);
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["pid"], std::process::id());
    assert_eq!(status["generation"], 7);
    assert_eq!(status["leaving"], false);
    assert_eq!((&status["connections"], &status["requests_in_flight"]), (&json!(5), &json!(4)));
    assert!((0.0..600.0).contains(&status["uptime_seconds"].as_f64().unwrap()), "{status}");
    let listeners = json!([{
        "name": "web",
        "addresses": ["127.0.0.1:8080", "[::1]:8080"],
        "now": { "rps": 0.0, "errors": 0.0 },
    }]);
    assert_eq!(status["listeners"], listeners);
}

#[test]
fn it_tells_of_certificates_and_warns_of_those_that_run_out() {
    let api = Api::start();
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let certificate = |listener: &str, cert: &str, not_after_s: i64| Certificate {
        listener: listener.into(),
        cert: cert.into(),
        names: vec!["a.example".into(), "*.a.example".into()],
        not_after_s,
    };
    api.registry.set_certificates(vec![
        certificate("web", "lasting.pem", 4_107_542_400),
        certificate("web", "short.pem", now_s + 12 * 86_400 + 600),
        certificate("elsewhere", "other.pem", 4_107_542_400),
    ]);
    let listener = &status(&api)["listeners"][0];
    let certificates = listener["tls"]["certificates"].as_array().unwrap();
    assert_eq!(certificates.len(), 2, "{listener}");
    let names = json!(["a.example", "*.a.example"]);
    assert_eq!((&certificates[0]["cert"], &certificates[0]["names"]), (&json!("lasting.pem"), &names));
    assert_eq!(certificates[0]["expires"], "2100-03-01T00:00:00Z");
    assert!(certificates[0]["days_left"].as_i64().unwrap() > 1_000, "{listener}");
    assert_eq!(certificates[0].get("warning"), None);
    assert_eq!(certificates[1]["days_left"], 12);
    assert_eq!(certificates[1]["warning"], "the certificate expires in 12 days");
}

#[test]
fn it_tells_of_pools_and_servers() {
    let api = Api::start();
    for _ in 0..3 {
        request(&api, "app", "a", 200, 10);
    }
    request(&api, "app", "b", 502, 500);
    request(&api, "local", "unix:/run/a.sock", 200, 1);
    api.snapshot.load().pools[0].state().servers.members.server(0).load.begin();
    api.registry.backend(&"app".into(), &"a".into()).shard(1).connections_idle.set(6);

    let status = status(&api);
    let pool = &status["pools"][0];
    assert_eq!((&pool["name"], &pool["algorithm"]), (&json!("app"), &json!("least-connections")));
    assert_eq!((&pool["usable"], &pool["requests"], &pool["errors"]), (&json!(2), &json!(4), &json!(1)));
    assert_eq!(pool["share"], 0.8);

    let a = &pool["servers"][0];
    assert_eq!((&a["id"], &a["address"], &a["state"]), (&json!("a"), &json!("127.0.0.1:5001"), &json!("up")));
    assert_eq!(a["reason"], "GET /health answered 200");
    assert!(a["since_seconds"].as_f64().unwrap() <= status["uptime_seconds"].as_f64().unwrap());
    assert_eq!((&a["weight"], &a["backup"], &a["in_flight"]), (&json!(3), &json!(false), &json!(1)));
    assert_eq!((&a["requests"], &a["errors"], &a["share"]), (&json!(3), &json!(0), &json!(0.75)));
    assert_eq!(a["connections_idle"], 6);
    let p50 = a["latency_ms"]["p50"].as_f64().unwrap();
    assert!((5.0..=10.0).contains(&p50), "up to 10 ms, not {p50}");

    let b = &pool["servers"][1];
    assert_eq!((&b["backup"], &b["errors"], &b["share"]), (&json!(true), &json!(1), &json!(0.25)));
    let quiet = &status["pools"][1]["servers"][1];
    assert_eq!((&quiet["id"], &quiet["requests"]), (&json!("[::1]:5003"), &json!(0)));
    assert_eq!(quiet["latency_ms"], json!({ "p50": 0.0, "p95": 0.0, "p99": 0.0 }));

    let totals = &status["totals"];
    assert_eq!((&totals["requests"], &totals["errors"]), (&json!(5), &json!(1)));
    let p99 = totals["latency_ms"]["p99"].as_f64().unwrap();
    assert!((250.0..=500.0).contains(&p99), "up to 500 ms, not {p99}");
}

#[test]
fn keys_come_in_a_fixed_order() {
    let body = Api::start().get("/status").body;
    let keys = [
        "version",
        "pid",
        "uptime_seconds",
        "generation",
        "leaving",
        "connections",
        "requests_in_flight",
        "listeners",
        "addresses",
        "pools",
        "algorithm",
        "usable",
        "servers",
        "id",
        "address",
        "state",
        "reason",
        "since_seconds",
        "weight",
        "backup",
        "in_flight",
        "connections_idle",
        "totals",
    ];
    let places: Vec<_> = keys.iter().map(|key| body.find(&format!("\"{key}\":")).expect(key)).collect();
    assert!(places.is_sorted(), "{body}");
}
