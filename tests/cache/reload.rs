//! Settings of the cache change while the process runs; what is kept outlives them.

use crate::support::cache::{config, fresh, is_hit, start};
use crate::support::{Evenkeel, Gate, Origin, eventually};

fn reload(evenkeel: &Evenkeel, text: &str) {
    let response = evenkeel.reload(text);
    assert_eq!(response.status, 200, "{}", response.text());
}

#[test]
fn what_is_kept_outlives_a_reload() {
    let origin = Origin::answering(|_| fresh("", "hello"));
    let evenkeel = start(&origin, "true");
    evenkeel.get("/");
    reload(&evenkeel, &config(&[&origin], "{ stale_if_error = \"1m\" }"));
    assert!(is_hit(&evenkeel.get("/")));
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_route_gets_and_loses_its_cache() {
    let origin = Origin::answering(|_| fresh("", "hello"));
    let (with, without) =
        (config(&[&origin], "true"), config(&[&origin], "true").replace("cache = true\n", ""));
    let evenkeel = Evenkeel::start(&without);
    evenkeel.get("/");
    assert_eq!(evenkeel.get("/").header("cache-status"), None);
    reload(&evenkeel, &with);
    evenkeel.get("/");
    assert!(is_hit(&evenkeel.get("/")));
    reload(&evenkeel, &without);
    assert_eq!(evenkeel.get("/").header("cache-status"), None);
}

#[test]
fn a_route_with_another_name_or_key_starts_anew() {
    let origin = Origin::answering(|_| fresh("", "hello"));
    let text = config(&[&origin], "true");
    let evenkeel = Evenkeel::start(&text);
    evenkeel.get("/");
    reload(&evenkeel, &text.replace("\"main\"", "\"other\""));
    assert!(!is_hit(&evenkeel.get("/")));
    assert!(is_hit(&evenkeel.get("/")));
    reload(
        &evenkeel,
        &config(&[&origin], "{ key = { headers = [\"x-one\"] } }").replace("\"main\"", "\"other\""),
    );
    assert!(!is_hit(&evenkeel.get("/")));
}

#[test]
fn less_memory_makes_room_at_once() {
    let origin = Origin::bytes(fresh("", &"m".repeat(100_000)));
    let text = |memory: &str| format!("[cache]\nmemory = \"{memory}\"\n{}", config(&[&origin], "true"));
    let evenkeel = Evenkeel::start(&text("8MiB"));
    let mut client = evenkeel.client();
    for at in 0..50 {
        client.get(&format!("/{at}"));
    }
    assert!(evenkeel.metric("evenkeel_cache_memory_bytes", &[]) > 4_000_000.0);
    reload(&evenkeel, &text("1MiB"));
    eventually("the memory is given back", || {
        evenkeel.metric("evenkeel_cache_memory_bytes", &[]) <= f64::from(1 << 20)
    });
    assert_eq!(evenkeel.metric("evenkeel_cache_memory_limit_bytes", &[]), f64::from(1 << 20));
}

#[test]
fn another_eviction_keeps_what_is_there() {
    let origin = Origin::answering(|_| fresh("", "hello"));
    let text = |eviction: &str| format!("[cache]\neviction = \"{eviction}\"\n{}", config(&[&origin], "true"));
    let evenkeel = Evenkeel::start(&text("lru"));
    evenkeel.get("/");
    for eviction in ["lfu", "fifo", "s3-fifo", "lru"] {
        reload(&evenkeel, &text(eviction));
        assert!(is_hit(&evenkeel.get("/")), "{eviction}");
    }
}

#[test]
fn a_fetch_that_runs_during_a_reload_ends_for_all() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 10\r\n\r\nhello");
        theirs.wait();
        wire.send("world");
    });
    let text = config(&[&origin], "true");
    let evenkeel = Evenkeel::start(&text);
    let get = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";
    let mut before = evenkeel.client();
    before.send(get);
    before.head().unwrap();
    reload(&evenkeel, &text.replace("cache = true", "cache = { stale_if_error = \"1m\" }"));
    let mut after = evenkeel.client();
    after.send(get);
    after.head().unwrap();
    gate.open();
    assert_eq!(before.exactly(10).unwrap(), b"helloworld");
    assert_eq!(after.exactly(10).unwrap(), b"helloworld");
    assert_eq!(origin.count(), 1);
}
