//! The cache holds no more than it may, whatever passes through it.

use crate::support::cache::{config, crowd, fresh, is_hit, start, wait_for_requests};
use crate::support::{Client, Evenkeel, Gate, Origin, eventually, pool};

const GET: &str = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";

fn with_memory(origin: &Origin, memory: &str, rules: &str) -> Evenkeel {
    Evenkeel::start(&format!("[cache]\nmemory = \"{memory}\"\n{}", config(&[origin], rules)))
}

#[test]
fn a_body_that_grows_too_long_passes_whole_to_all_and_is_not_kept() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let chunk = "c".repeat(10_000);
    let origin = Origin::start(move |_, wire| {
        theirs.wait();
        wire.send("HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\n");
        for _ in 0..300 {
            wire.send(format!("2710\r\n{chunk}\r\n"));
        }
        wire.send("0\r\n\r\n");
    });
    let evenkeel = start(&origin, "{ max_object = \"64KiB\" }");
    let clients = crowd(&evenkeel, 10, GET);
    wait_for_requests(&evenkeel, 10);
    gate.open();
    for response in crate::support::cache::answers(clients) {
        assert!(response.text() == "c".repeat(3_000_000));
    }
    assert_eq!(origin.count(), 1, "they read along");
    assert!(!is_hit(&evenkeel.get("/")));
    assert_eq!(evenkeel.metric("evenkeel_cache_objects", &[]), 0.0);
}

#[test]
fn a_flood_of_objects_stays_below_the_limit() {
    let body = "f".repeat(20_000);
    let origin = Origin::bytes(fresh("", &body));
    let evenkeel = with_memory(&origin, "2MiB", "true");
    let mut client = evenkeel.client();
    let mut most = 0.0f64;
    for at in 0..600 {
        assert!(client.get(&format!("/{at}")).text() == body);
        if at % 20 == 0 {
            most = most.max(evenkeel.metric("evenkeel_cache_memory_bytes", &[]));
        }
    }
    assert!(most > 1_000_000.0 && most <= f64::from(2 << 20), "{most}");
    assert_eq!(evenkeel.metric("evenkeel_cache_memory_limit_bytes", &[]), f64::from(2 << 20));
    assert!(evenkeel.metric("evenkeel_cache_evictions_total", &[]) > 400.0);
}

#[test]
fn an_object_of_more_than_half_of_the_memory_is_not_kept() {
    let origin = Origin::bytes(fresh("", &"f".repeat(3 << 20)));
    let evenkeel = with_memory(&origin, "4MiB", "true");
    for _ in 0..2 {
        let response = evenkeel.get("/");
        assert_eq!(response.text().len(), 3 << 20);
        assert!(!is_hit(&response));
    }
}

#[test]
fn readers_that_take_nothing_hold_no_more_than_the_limit() {
    const CLIENTS: usize = 40;
    let origin = Origin::bytes(fresh("", &"m".repeat(6 << 20)));
    let evenkeel = with_memory(&origin, "16MiB", "true");
    evenkeel.get("/warm");
    let before = evenkeel.allocated();
    let mut clients = Vec::new();
    for at in 0..CLIENTS {
        let mut client = Client::slow_reader(evenkeel.address());
        client.send(format!("GET /{at} HTTP/1.1\r\nhost: test\r\n\r\n"));
        client.head().unwrap();
        clients.push(client);
    }
    wait_for_requests(&evenkeel, CLIENTS);
    let mut last = 0;
    eventually("memory settles", || {
        std::thread::sleep(crate::support::ms(300));
        let now = evenkeel.allocated();
        let settled = now.abs_diff(last) < 1 << 20;
        last = now;
        settled
    });
    let grown = last.saturating_sub(before) >> 20;
    // Without a bound it would be 240 MiB: the store, and one window for each client.
    assert!(grown < 16 + 2 * CLIENTS, "{grown} MiB");
    assert!(evenkeel.metric("evenkeel_cache_memory_bytes", &[]) <= f64::from(16 << 20));
    assert!(evenkeel.metric("evenkeel_cache_fetching_bytes", &[]) <= f64::from((16 + CLIENTS as i32) << 20));
}

#[test]
fn rate_limits_count_hits_as_well() {
    let origin = Origin::answering(|_| fresh("", "hello"));
    let text = config(&[&origin], "true");
    let limit = "rate_limit = { per = \"route\", rate = \"1/h\", burst = 2 }\n[pool.app]";
    let evenkeel = Evenkeel::start(&text.replace("[pool.app]", limit));
    assert_eq!(evenkeel.get("/").status, 200);
    assert_eq!(evenkeel.get("/").status, 200);
    assert_eq!(evenkeel.get("/").status, 429);
    let _ = pool(&[&origin], "");
}
