//! What was purged or invalidated does not come back from the disk, however soon after it the process is killed.

use crate::support::cache::{fresh, is_hit};
use crate::support::disk::{DiskCache, content, kill, wait_on_disk};
use crate::support::{Origin, ok};

fn origin() -> Origin {
    Origin::answering(|request| match request.method() {
        "GET" => fresh("cache-tag: all\r\n", &content(request.target(), 0, 400_000)),
        _ => ok("changed"),
    })
}

#[test]
fn a_purge_outlives_a_process_that_is_killed_at_once() {
    let (cache, origin) = (DiskCache::new(), origin());
    let mut evenkeel = cache.start(&origin, "true");
    for target in ["/a", "/b"] {
        evenkeel.get(target);
    }
    wait_on_disk(&evenkeel, 2);
    let scopes = [
        "{\"url\": \"http://test/a\"}",
        "{\"prefix\": \"http://test/a\"}",
        "{\"tag\": \"all\"}",
        "{\"host\": \"test\"}",
        "{\"all\": true}",
    ];
    for (n, scope) in scopes.into_iter().enumerate() {
        assert_eq!(evenkeel.admin("POST", "/cache/purge", scope).status, 200, "{scope}");
        kill(evenkeel);
        evenkeel = cache.start(&origin, "true");
        assert!(!is_hit(&evenkeel.get("/a")), "{scope}");
        assert_eq!(is_hit(&evenkeel.get("/b")), n < 2, "{scope}");
        wait_on_disk(&evenkeel, 2);
    }
}

#[test]
fn what_a_request_has_changed_does_not_come_back() {
    for method in ["POST", "PUT", "DELETE"] {
        let (cache, origin) = (DiskCache::new(), origin());
        let evenkeel = cache.start(&origin, "true");
        for target in ["/a", "/b"] {
            evenkeel.get(target);
        }
        wait_on_disk(&evenkeel, 2);
        let request = format!("{method} /a HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(evenkeel.ask(request).status, 200);
        kill(evenkeel);
        let evenkeel = cache.start(&origin, "true");
        assert_eq!((is_hit(&evenkeel.get("/a")), is_hit(&evenkeel.get("/b"))), (false, true), "{method}");
    }
}

#[test]
fn a_soft_purge_outlives_a_restart() {
    let (cache, origin) = (DiskCache::new(), origin());
    let evenkeel = cache.start(&origin, "true");
    evenkeel.get("/a");
    wait_on_disk(&evenkeel, 1);
    assert_eq!(evenkeel.admin("POST", "/cache/purge", "{\"tag\": \"all\", \"soft\": true}").status, 200);
    kill(evenkeel);
    let evenkeel = cache.start(&origin, "true");
    wait_on_disk(&evenkeel, 1);
    let response = evenkeel.get("/a");
    assert!(response.header("cache-status").is_some_and(|said| said.contains("fwd=stale")), "{response:?}");
}
