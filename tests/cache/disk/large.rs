//! Bodies that memory has no room for go to the disk while they arrive, and come from there piece by piece.

use std::fs;

use crate::support::cache::{answers, crowd, is_hit};
use crate::support::disk::{DiskCache, content, end, wait_on_disk};
use crate::support::{Fault, Gate, Origin, eventually};

const MIB: usize = 1 << 20;
/// Six times the memory of the cache.
const LEN: usize = 96 * MIB + 5;
const RULES: &str = "{ max_object = \"1GiB\" }";
const GET: &str = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";

fn cache() -> DiskCache {
    DiskCache::of_size("16MiB", "256MiB")
}

fn head(framing: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\n{framing}\r\n\r\n")
}

fn origin(len: usize) -> Origin {
    let body = content("/", 0, len);
    Origin::start(move |_, wire| {
        wire.send(head(&format!("content-length: {len}")));
        wire.send(&body);
    })
}

#[test]
fn a_body_larger_than_memory_is_kept_and_needs_little_memory() {
    let (cache, origin) = (cache(), origin(LEN));
    let whole = content("/", 0, LEN);
    let mut evenkeel = cache.start(&origin, RULES);
    assert!(evenkeel.get("/").text() == whole);
    wait_on_disk(&evenkeel, 1);
    for restart in [false, true] {
        if restart {
            end(evenkeel);
            evenkeel = cache.start(&origin, RULES);
            wait_on_disk(&evenkeel, 1);
        }
        let response = evenkeel.get("/");
        assert!(is_hit(&response) && response.text() == whole);
        let range = format!("range: bytes={}-{}\r\n", LEN - 100_000, LEN - 1);
        assert!(evenkeel.client().get_with("/", &range).text() == whole[LEN - 100_000..]);
        let peak = evenkeel.resident_peak();
        assert!(peak < 72 * MIB, "{} MiB", peak / MIB);
    }
    assert_eq!(origin.count(), 1);
    assert_eq!(evenkeel.metric("evenkeel_cache_disk_failures_total", &[]), 0.0);
}

#[test]
fn all_that_wait_for_it_get_the_whole_from_one_request() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let body = content("/", 0, 20 * MIB);
    let whole = body.clone();
    let origin = Origin::start(move |_, wire| {
        theirs.wait();
        wire.send(head(&format!("content-length: {}", body.len())));
        wire.send(&body);
    });
    let cache = cache();
    let evenkeel = cache.start(&origin, RULES);
    let clients = crowd(&evenkeel, 10, GET);
    crate::support::cache::wait_for_requests(&evenkeel, 10);
    gate.open();
    for response in answers(clients) {
        assert!(response.text() == whole);
    }
    wait_on_disk(&evenkeel, 1);
    assert!(is_hit(&evenkeel.get("/")));
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_body_of_unknown_length_is_kept_although_its_client_left() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let body = content("/", 0, 10 * MIB);
    let whole = body.clone();
    let origin = Origin::start(move |_, wire| {
        wire.send(head("transfer-encoding: chunked"));
        for (n, piece) in body.as_bytes().chunks(100_000).enumerate() {
            if n == 50 {
                theirs.wait();
            }
            wire.send(format!("{:x}\r\n", piece.len()));
            wire.send(piece);
            wire.send("\r\n");
        }
        wire.send("0\r\n\r\n");
    });
    let cache = cache();
    let evenkeel = cache.start(&origin, RULES);
    let mut client = evenkeel.client();
    client.send(GET);
    client.head().unwrap();
    client.exactly(3 * MIB).unwrap();
    drop(client);
    gate.open();
    wait_on_disk(&evenkeel, 1);
    let response = evenkeel.get("/");
    assert!(is_hit(&response) && response.text() == whole);
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_body_that_breaks_off_or_is_too_long_is_not_kept() {
    let cut = Origin::start(|_, wire| {
        wire.send(head(&format!("content-length: {}", 10 * MIB)));
        wire.send(content("/", 0, 9 * MIB));
        wire.close();
    });
    let cache = cache();
    let evenkeel = cache.start(&cut, RULES);
    let mut client = evenkeel.client();
    client.send(GET);
    let fault = client.response("GET").unwrap_err();
    assert!(matches!(fault, Fault::Cut | Fault::Reset), "{fault:?}");
    let unfinished = || fs::read_dir(cache.path().join("tmp")).unwrap().count();
    eventually("what was written of it is removed", || unfinished() == 0);
    end(evenkeel);
    // More than a half of the disk.
    let long = origin(130 * MIB);
    let evenkeel = cache.start(&long, RULES);
    assert!(evenkeel.get("/").text() == content("/", 0, 130 * MIB));
    eventually("what was written of it is removed", || unfinished() == 0);
    assert_eq!(evenkeel.metric("evenkeel_cache_disk_objects", &[]), 0.0);
    assert!(evenkeel.resident_peak() < 72 * MIB);
}
