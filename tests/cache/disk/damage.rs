//! Damage to the directory costs hits, and nothing else.

use std::fs;
use std::path::Path;

use crate::support::cache::{fresh, is_hit};
use crate::support::disk::{DiskCache, content, end, wait_on_disk};
use crate::support::{Evenkeel, Fault, Origin, eventually};

const LENGTHS: [usize; 5] = [0, 100, 70_000, 300_000, 1_000_000];

fn origin(version: usize) -> Origin {
    Origin::answering(move |request| {
        let number: usize = request.target()[1..].parse().unwrap();
        fresh("", &content(request.target(), version, LENGTHS[number % 5] + number))
    })
}

/// Asks for it, and asserts that the answer is whole and right, or was visibly cut. Returns whether it came from the cache.
#[track_caller]
fn ask(evenkeel: &Evenkeel, number: usize, versions: &[usize]) -> bool {
    let target = format!("/{number}");
    let mut client = evenkeel.client();
    client.send(format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n"));
    let response = match client.response("GET") {
        Ok(response) => response,
        Err(Fault::Cut | Fault::Reset) => return false,
        Err(fault) => panic!("{target}: {fault:?}"),
    };
    let len = LENGTHS[number % 5] + number;
    let text = response.text();
    let is_right = versions.iter().any(|version| content(&target, *version, len) == text);
    assert!(response.status == 200 && is_right, "{target}: {} {} bytes", response.status, text.len());
    is_hit(&response)
}

/// Flips a bit, cuts, lengthens, empties or removes a file, or leaves it.
fn damage(file: &Path, rng: &mut fastrand::Rng) {
    let mut bytes = fs::read(file).unwrap();
    if bytes.is_empty() {
        return;
    }
    match rng.u32(..7) {
        0 => return,
        1 => bytes.truncate(rng.usize(..bytes.len())),
        2 => bytes.extend(b"more"),
        3 => bytes.clear(),
        4 => return fs::remove_file(file).unwrap(),
        5 => {
            let at = rng.usize(..bytes.len().min(400));
            bytes[at] ^= 1 << rng.u32(..8);
        }
        _ => {
            let at = rng.usize(..bytes.len());
            bytes[at] ^= 1 << rng.u32(..8);
        }
    }
    fs::write(file, bytes).unwrap();
}

#[test]
fn damaged_files_cost_hits_alone() {
    let cache = DiskCache::new();
    let mut rng = fastrand::Rng::with_seed(5);
    for round in 0..6 {
        let origin = origin(round);
        let evenkeel = cache.start(&origin, "true");
        eventually("purged", || evenkeel.admin("POST", "/cache/purge", "{\"all\": true}").status == 200);
        for number in 0..30 {
            assert!(!ask(&evenkeel, number, &[round]), "round {round}: {number}");
        }
        wait_on_disk(&evenkeel, 30);
        end(evenkeel);
        cache.files().iter().for_each(|file| damage(file, &mut rng));
        // Files that are not the cache's, and some that look as if they were.
        let file = cache.files().pop().unwrap();
        fs::write(file.with_file_name("garbage"), "garbage").unwrap();
        fs::write(file.with_extension("head"), "garbage").unwrap();
        fs::create_dir_all(file.with_file_name("0".repeat(82))).unwrap();
        let other = cache.files().first().unwrap().file_name().unwrap().to_owned();
        fs::copy(&file, file.with_file_name(other)).unwrap();
        let evenkeel = cache.start(&origin, "true");
        let mut hits = 0;
        for number in 0..30 {
            hits += usize::from(ask(&evenkeel, number, &[round]));
        }
        assert!((1..30).contains(&hits), "round {round}: {hits}");
        for number in 0..30 {
            ask(&evenkeel, number, &[round]);
        }
        end(evenkeel);
    }
}

#[test]
fn a_body_that_breaks_off_on_the_disk_is_not_passed_off_as_whole() {
    let cache = DiskCache::new();
    let origin = origin(0);
    let evenkeel = cache.start(&origin, "true");
    ask(&evenkeel, 4, &[0]);
    end(evenkeel);
    let file = cache.files().pop().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    // Its head and its beginning are sound.
    bytes[600_000] ^= 1;
    fs::write(&file, bytes).unwrap();
    let evenkeel = cache.start(&origin, "true");
    wait_on_disk(&evenkeel, 1);
    let mut client = evenkeel.client();
    client.send("GET /4 HTTP/1.1\r\nhost: test\r\n\r\n");
    let fault = client.response("GET").unwrap_err();
    assert!(matches!(fault, Fault::Cut | Fault::Reset), "{fault:?}");
    // It is fetched anew, and kept.
    assert!(!ask(&evenkeel, 4, &[0]) && ask(&evenkeel, 4, &[0]));
    assert_eq!(origin.count(), 2);
}

#[test]
fn a_body_whose_beginning_is_damaged_is_fetched_instead() {
    let cache = DiskCache::new();
    let origin = origin(0);
    let evenkeel = cache.start(&origin, "true");
    ask(&evenkeel, 4, &[0]);
    end(evenkeel);
    let file = cache.files().pop().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    bytes[2_000] ^= 1;
    fs::write(&file, bytes).unwrap();
    let evenkeel = cache.start(&origin, "true");
    wait_on_disk(&evenkeel, 1);
    let response = evenkeel.get("/4");
    assert!((response.status, is_hit(&response)) == (200, false));
    assert!(response.text() == content("/4", 0, LENGTHS[4] + 4));
    assert_eq!(origin.count(), 2);
}

#[test]
fn a_directory_that_vanishes_costs_hits_alone() {
    let cache = DiskCache::new();
    let origin = origin(0);
    let evenkeel = cache.start(&origin, "true");
    for number in 0..10 {
        ask(&evenkeel, number, &[0]);
    }
    wait_on_disk(&evenkeel, 10);
    end(evenkeel);
    let evenkeel = cache.start(&origin, "true");
    wait_on_disk(&evenkeel, 10);
    fs::remove_dir_all(cache.path()).unwrap();
    for number in 0..10 {
        assert!(!ask(&evenkeel, number, &[0]), "{number}");
    }
    for number in 0..10 {
        assert!(ask(&evenkeel, number, &[0]), "{number} is kept in memory");
    }
    evenkeel.stderr.wait_for("the fault", |line| line.contains("the disk cache cannot write a response"));
}
