//! What is kept on the disk is served after a restart, as if there had been none.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::cache::{assert_said, fresh, is_hit, stale};
use crate::support::disk::{DiskCache, content, end, kill, wait_on_disk};
use crate::support::{Evenkeel, Origin, answer, eventually};

fn origin(len: usize) -> Origin {
    Origin::answering(move |request| fresh("etag: \"one\"\r\nage: 7\r\n", &content(request.target(), 0, len)))
}

#[track_caller]
fn assert_kept(evenkeel: &Evenkeel, target: &str, len: usize) {
    let response = evenkeel.get(target);
    assert!(is_hit(&response), "{response:?}");
    assert!(response.text() == content(target, 0, len));
    let age: u32 = response.header("age").unwrap().parse().unwrap();
    assert!((7..60).contains(&age), "{age}");
}

#[test]
fn a_response_is_a_hit_after_a_restart_and_its_age_counts_on() {
    for len in [5, 100_000, 300_000] {
        let (cache, origin) = (DiskCache::new(), origin(len));
        let evenkeel = cache.start(&origin, "true");
        evenkeel.get("/a");
        evenkeel.get("/b");
        wait_on_disk(&evenkeel, 2);
        end(evenkeel);
        let evenkeel = cache.start(&origin, "true");
        wait_on_disk(&evenkeel, 2);
        origin.stop();
        for target in ["/a", "/b", "/a"] {
            assert_kept(&evenkeel, target, len);
        }
        assert_eq!(origin.count(), 2);
        assert!(evenkeel.metric("evenkeel_cache_disk_read_total", &[]) >= 2.0);
        let disk = &evenkeel.status()["cache"]["disk"];
        assert_eq!((&disk["objects"], &disk["failures"]), (&2.into(), &0.into()), "{disk}");
    }
}

#[test]
fn a_killed_process_leaves_what_it_has_written() {
    let (cache, origin) = (DiskCache::new(), origin(10));
    let evenkeel = cache.start(&origin, "true");
    evenkeel.get("/");
    wait_on_disk(&evenkeel, 1);
    kill(evenkeel);
    let evenkeel = cache.start(&origin, "true");
    wait_on_disk(&evenkeel, 1);
    assert_kept(&evenkeel, "/", 10);
    assert_eq!(origin.count(), 1);
}

#[test]
fn what_was_fetched_last_is_written_before_the_process_ends() {
    let (cache, origin) = (DiskCache::new(), origin(1_000_000));
    let evenkeel = cache.start(&origin, "true");
    let targets = ["/1", "/2", "/3", "/4"];
    for target in targets {
        evenkeel.get(target);
    }
    end(evenkeel);
    let evenkeel = cache.start(&origin, "true");
    wait_on_disk(&evenkeel, 4);
    for target in targets {
        assert_kept(&evenkeel, target, 1_000_000);
    }
    assert_eq!(origin.count(), 4);
}

#[test]
fn what_memory_has_no_room_for_comes_from_the_disk() {
    let (cache, origin) = (DiskCache::of_size("1MiB", "64MiB"), origin(100_000));
    let evenkeel = cache.start(&origin, "true");
    let targets: Vec<_> = (0..30).map(|n| format!("/{n}")).collect();
    for target in &targets {
        evenkeel.get(target);
    }
    wait_on_disk(&evenkeel, 30);
    for target in &targets {
        assert_kept(&evenkeel, target, 100_000);
    }
    assert_eq!(origin.count(), 30);
    assert!(evenkeel.metric("evenkeel_cache_memory_bytes", &[]) <= f64::from(1 << 20));
}

#[test]
fn a_client_that_wants_no_server_asked_is_served_from_the_disk() {
    let (cache, origin) = (DiskCache::new(), origin(5));
    let evenkeel = cache.start(&origin, "true");
    evenkeel.get("/");
    end(evenkeel);
    let evenkeel = cache.start(&origin, "true");
    wait_on_disk(&evenkeel, 1);
    let only = |target| evenkeel.client().get_with(target, "cache-control: only-if-cached\r\n");
    assert_eq!((only("/").status, only("/other").status), (200, 504));
    assert_eq!(origin.count(), 1);
}

#[test]
fn variants_are_told_apart_after_a_restart() {
    let cache = DiskCache::new();
    let origin = Origin::answering(|request| {
        fresh("vary: accept-language\r\n", request.header("accept-language").unwrap_or("none"))
    });
    let evenkeel = cache.start(&origin, "true");
    let get = |evenkeel: &Evenkeel, language: &str| {
        evenkeel.client().get_with("/", &format!("accept-language: {language}\r\n"))
    };
    get(&evenkeel, "de");
    get(&evenkeel, "en");
    end(evenkeel);
    let evenkeel = cache.start(&origin, "true");
    wait_on_disk(&evenkeel, 2);
    for language in ["en", "de"] {
        let response = get(&evenkeel, language);
        assert_eq!((is_hit(&response), response.text().as_str()), (true, language));
    }
    assert!(!is_hit(&get(&evenkeel, "fr")));
}

#[test]
fn a_response_that_a_server_confirmed_stays_fresh_over_a_restart() {
    for len in [100, 600_000] {
        let cache = DiskCache::new();
        let confirmed = AtomicUsize::new(0);
        let origin = Origin::answering(move |request| match request.header("if-none-match") {
            Some(_) => {
                let count = confirmed.fetch_add(1, Ordering::SeqCst) + 1;
                let fields =
                    format!("cache-control: max-age=600\r\netag: \"one\"\r\nx-confirmed: {count}\r\n");
                answer(304, &fields, "")
            }
            None => stale("", "one", &content("/", 0, len)),
        });
        let mut evenkeel = cache.start(&origin, "true");
        evenkeel.get("/");
        wait_on_disk(&evenkeel, 1);
        // A long body is in memory when it is confirmed first, and on the disk alone later.
        for round in 1..4 {
            let written = evenkeel.metric("evenkeel_cache_disk_written_total", &[]);
            let response = evenkeel.client().get_with("/", "cache-control: no-cache\r\n");
            assert_said(&response, "fwd-status=304");
            assert!(response.text() == content("/", 0, len));
            eventually("the new head is on the disk", || {
                evenkeel.metric("evenkeel_cache_disk_written_total", &[]) > written
            });
            kill(evenkeel);
            evenkeel = cache.start(&origin, "true");
            wait_on_disk(&evenkeel, 1);
            let response = evenkeel.get("/");
            let confirmed = response.header("x-confirmed").map(str::to_owned);
            assert_eq!((is_hit(&response), confirmed), (true, Some(round.to_string())), "{len}");
            assert!(response.text() == content("/", 0, len));
            assert_eq!(origin.count(), 1 + round);
        }
    }
}
