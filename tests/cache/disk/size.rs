//! The directory stays within its size, and a reload changes that.

use crate::support::cache::{fresh, is_hit};
use crate::support::disk::{DiskCache, content, wait_on_disk};
use crate::support::{Origin, eventually};

const MIB: u64 = 1 << 20;

fn origin() -> Origin {
    Origin::answering(|request| {
        let number: usize = request.target()[1..].parse().unwrap();
        let len = [10, 5_000, 70_000, 300_000, 900_000][number % 5] + number;
        fresh("", &content(request.target(), 0, len))
    })
}

#[test]
fn the_directory_stays_within_its_size() {
    let (cache, origin) = (DiskCache::of_size("8MiB", "16MiB"), origin());
    let evenkeel = cache.start(&origin, "true");
    let mut client = evenkeel.client();
    for number in 0..300 {
        client.get(&format!("/{number}"));
        assert!(cache.used() <= 16 * MIB, "{} after {number}", cache.used());
    }
    eventually("the disk is nearly full", || {
        let used = cache.used();
        assert!(used <= 16 * MIB, "{used}");
        used > 10 * MIB
    });
    assert_eq!(evenkeel.metric("evenkeel_cache_disk_limit_bytes", &[]), (16 * MIB) as f64);
}

#[test]
fn a_reload_makes_it_smaller_and_larger() {
    let (mut cache, origin) = (DiskCache::of_size("8MiB", "64MiB"), origin());
    let evenkeel = cache.start(&origin, "true");
    let mut client = evenkeel.client();
    for number in 0..100 {
        client.get(&format!("/{number}"));
    }
    wait_on_disk(&evenkeel, 100);
    assert!(cache.used() > 17 * MIB, "{}", cache.used());
    cache.resize("16MiB");
    assert_eq!(evenkeel.reload(&cache.text(&origin, "true")).status, 200);
    eventually("what has no room is removed", || cache.used() <= 16 * MIB);
    cache.resize("64MiB");
    assert_eq!(evenkeel.reload(&cache.text(&origin, "true")).status, 200);
    assert_eq!(evenkeel.metric("evenkeel_cache_disk_limit_bytes", &[]), (64 * MIB) as f64);
    assert_eq!(evenkeel.stderr.count(|line| line.contains("requires a restart")), 0);
}

#[test]
fn another_directory_requires_a_restart() {
    let (cache, origin) = (DiskCache::new(), origin());
    let evenkeel = cache.start(&origin, "true");
    evenkeel.get("/1");
    let (text, other) = (cache.text(&origin, "true"), cache.path().with_file_name("other"));
    let elsewhere = text.replace(cache.path().to_str().unwrap(), other.to_str().unwrap());
    assert_eq!(evenkeel.reload(&elsewhere).status, 200);
    evenkeel.stderr.wait_for("a warning", |line| {
        line.contains("changing [cache.disk.path] requires a restart or an upgrade")
            && line.contains("; the reload has left it as it was")
    });
    assert!(is_hit(&evenkeel.get("/1")) && !other.exists());
    wait_on_disk(&evenkeel, 1);
}
