//! What an operator sees of the cache: `/cache`, `/status`, `/metrics` and the access log.

use crate::support::{Evenkeel, Folder, Origin, answer, eventually, pool};

fn fresh(body: &str) -> String {
    answer(200, "cache-control: max-age=600\r\n", body)
}

#[test]
fn a_process_without_traffic_shows_an_empty_cache() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&format!("[cache]\nmemory = \"8MiB\"\n{}", pool(&[&origin], "")));
    let cache = evenkeel.status()["cache"].clone();
    assert_eq!(
        (&cache["memory_limit_bytes"], &cache["memory_bytes"]),
        (&(8 << 20).into(), &0.into()),
        "{cache}"
    );
    assert!(cache["hit_ratio"].is_null() && cache["routes"] == serde_json::json!([]), "{cache}");
    let alone = evenkeel.admin("GET", "/cache", "");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&alone.text()).unwrap(), cache);
    assert_eq!(evenkeel.metric("evenkeel_cache_memory_limit_bytes", &[]), f64::from(8 << 20));
    evenkeel.get("/");
    let record = evenkeel.record(|record| record["target"] == "/");
    assert!(record.get("cache").is_none(), "a route without a cache has no such key: {record}");
}

#[test]
fn hits_and_misses_show_by_route_and_in_the_log() {
    let origin = Origin::answering(|_| fresh("12345")).called("a");
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\nname = \"shop\"\npath = \"/shop/*\"\npool = \"app\"\ncache = true\n{}",
        pool(&[&origin], "")
    ));
    evenkeel.get("/shop/a");
    eventually("it is stored", || evenkeel.status()["cache"]["objects"] == 1);
    for _ in 0..3 {
        evenkeel.get("/shop/a");
    }
    evenkeel.get("/elsewhere");
    let count = |result: &str| {
        evenkeel.metric("evenkeel_cache_requests_total", &["route=\"shop\"", &format!("result=\"{result}\"")])
    };
    eventually("all are counted", || count("hit") == 3.0);
    assert_eq!(count("miss"), 1.0);
    assert_eq!(evenkeel.metric("evenkeel_cache_served_bytes_total", &["route=\"shop\""]), 15.0);
    let of_route = |name: &str| evenkeel.metric(name, &["route=\"shop\""]);
    eventually("it was stored", || of_route("evenkeel_cache_stored_total") == 1.0);
    eventually("no fetch is under way", || of_route("evenkeel_cache_fetches") == 0.0);
    assert_eq!(evenkeel.metric("evenkeel_cache_age_seconds_count", &["route=\"shop\""]), 3.0);
    let cache = evenkeel.status()["cache"].clone();
    assert_eq!((&cache["hit_ratio"], &cache["routes"][0]["name"]), (&0.75.into(), &"shop".into()), "{cache}");
    assert_eq!(cache["routes"].as_array().unwrap().len(), 1, "{cache}");
    assert_eq!(evenkeel.record(|record| record["cache"] == "hit")["backend"], serde_json::Value::Null);
    assert_eq!(evenkeel.record(|record| record["cache"] == "miss")["backend"], "a");
}

#[test]
fn a_request_that_may_not_be_answered_from_the_cache_says_why() {
    let origin = Origin::answering(|_| fresh("12345")).called("a");
    let evenkeel =
        Evenkeel::start(&format!("[[route]]\npool = \"app\"\ncache = true\n{}", pool(&[&origin], "")));
    evenkeel.ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
    let record = evenkeel.record(|record| record["method"] == "POST");
    assert_eq!(record["cache"], "bypass", "{record}");
    assert!(!record["cache_reason"].as_str().unwrap().is_empty(), "{record}");
}

#[test]
fn a_reload_changes_how_much_the_cache_holds() {
    let origin = Origin::answering(|_| fresh(&"x".repeat(100_000))).called("a");
    let folder = Folder::new();
    let file = folder.path("evenkeel.toml");
    let rest = format!("[[route]]\npool = \"app\"\ncache = true\n{}", pool(&[&origin], ""));
    let evenkeel = Evenkeel::start_in(folder, &format!("[cache]\nmemory = \"8MiB\"\n{rest}"));
    let mut client = evenkeel.client();
    for n in 0..20 {
        client.get(&format!("/{n}"));
    }
    eventually("all are stored", || evenkeel.status()["cache"]["objects"] == 20);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"8MiB\"", "\"1MiB\"\neviction = \"lru\"")).unwrap();
    assert_eq!(evenkeel.admin("POST", "/reload", "").status, 200);
    let cache = evenkeel.status()["cache"].clone();
    assert_eq!(cache["memory_limit_bytes"], 1 << 20, "{cache}");
    assert!(cache["memory_bytes"].as_u64().unwrap() <= 1 << 20, "{cache}");
    let objects = cache["objects"].as_u64().unwrap();
    assert!((5..=10).contains(&objects), "{cache}");
    assert_eq!(evenkeel.metric("evenkeel_cache_evictions_total", &["policy=\"lru\""]), 20.0 - objects as f64);
}
