//! A disk that is full costs hits, and the log says so once.

use crate::support::cache::{fresh, is_hit};
use crate::support::disk::{DiskCache, content};
use crate::support::{Evenkeel, Origin, eventually};

#[test]
fn a_full_disk_costs_hits_alone_and_is_logged_once() {
    let cache = DiskCache::of_size("64MiB", "64MiB");
    let origin = Origin::answering(|request| {
        let len = if request.target().starts_with("/short") { 100 } else { 200_000 };
        fresh("", &content(request.target(), 0, len))
    });
    // A file system of its own, which is smaller than the cache may be.
    std::fs::create_dir(cache.path()).unwrap();
    let mount = format!("mount -t tmpfs -o size=2m none {}", cache.path().display());
    let evenkeel = Evenkeel::start_after(&mount, &cache.text(&origin, "true"));
    let mut client = evenkeel.client();
    for round in 0..2 {
        for number in 0..40 {
            let target = format!("/{number}");
            let response = client.get(&target);
            assert!(response.text() == content(&target, 0, 200_000), "{target}");
            assert_eq!(is_hit(&response), round == 1, "{target} is in memory");
        }
    }
    eventually("writes fail", || evenkeel.metric("evenkeel_cache_disk_failures_total", &[]) > 10.0);
    evenkeel.stderr.wait_for("the fault", |line| {
        line.contains("the disk cache cannot write a response") && line.contains("No space left")
    });
    // To the last block.
    let failures = evenkeel.metric("evenkeel_cache_disk_failures_total", &[]);
    for number in 0..100 {
        client.get(&format!("/short/{number}"));
    }
    eventually("short ones fail", || {
        evenkeel.metric("evenkeel_cache_disk_failures_total", &[]) > failures + 10.0
    });
    // A purge cannot be written down: what is on the disk must not come back, and what is in memory is purged.
    let purges = || evenkeel.admin("POST", "/cache/purge", "{\"url\": \"http://test/1\"}").status;
    assert_eq!(purges(), 200);
    assert!(!is_hit(&client.get("/1")));
    assert!(is_hit(&client.get("/1")));
    assert_eq!(evenkeel.stderr.count(|line| line.contains("the disk cache cannot write")), 1);
    evenkeel
        .stderr
        .wait_for("the end of it", |line| line.contains("the disk cache is empty and in use again"));
    assert_eq!(evenkeel.stderr.count(|line| line.contains("the disk cache is being emptied")), 1);
    let before = evenkeel.metric("evenkeel_cache_disk_written_total", &[]);
    client.get("/new");
    eventually("it writes again", || evenkeel.metric("evenkeel_cache_disk_written_total", &[]) > before);
}
