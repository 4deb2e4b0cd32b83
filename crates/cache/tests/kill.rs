//! A process that is killed in the middle of writes, a hundred times: the cache opens, and serves no body that is wrong or cut,
//! and nothing that was purged.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use evenkeel_core::cache::{Scope, Strength, TagId};
use support::{Dir, Version, body, content, find, open, put, wait};

const MIB: u64 = 1 << 20;
const KILLS: u64 = 100;
const KEYS: u64 = 40;
const TAGS: u64 = 4;
/// Where the child finds its directory.
const VARIABLE: &str = "EVENKEEL_TEST_KILLED_IN";

fn len(key: u64) -> usize {
    [0, 10, 3_000, 65_536, 70_000, 300_000, 900_000][key as usize % 7] + key as usize
}

fn tag(key: u64) -> TagId {
    TagId::of(&[(key % TAGS) as u8])
}

/// What the child has purged: in the n-th line, a tag and the newest version that had been stored then.
fn purges(dir: &Path) -> PathBuf {
    dir.join("purged")
}

/// Not a test by itself: it stores and purges until it is killed.
#[test]
fn stores_until_it_is_killed() {
    let Some(dir) = std::env::var_os(VARIABLE) else { return };
    let dir = PathBuf::from(dir);
    let store = open(&dir.join("cache"), 2 * MIB, 16 * MIB);
    let mut purged = OpenOptions::new().append(true).create(true).open(purges(&dir)).unwrap();
    let mut rng = fastrand::Rng::new();
    // Versions grow over all runs, because the time does.
    let began = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let mut version = began as Version;
    fs::write(dir.join("begun"), "").unwrap();
    loop {
        version += 1;
        let key = rng.u64(..KEYS);
        if rng.u32(..50) == 0 {
            store.purge(&Scope::Tag(tag(key)), Strength::Hard);
            writeln!(purged, "{} {version}", key % TAGS).unwrap();
        } else {
            put(
                &store,
                &format!("/{key}"),
                version,
                &[tag(key)],
                &content(&key.to_string(), version, len(key)),
            );
        }
    }
}

/// The newest version of a tag that was purged.
fn purged(dir: &Path, tag: u64) -> Version {
    let text = fs::read_to_string(purges(dir)).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let lines = whole.lines().filter_map(|line| line.split_once(' '));
    lines
        .filter(|(of, _)| *of == tag.to_string())
        .filter_map(|(_, version)| version.parse().ok())
        .max()
        .unwrap_or(0)
}

#[test]
fn a_hundred_kills_leave_nothing_wrong_behind() {
    let dir = Dir::new("killed");
    fs::create_dir_all(&dir.0).unwrap();
    let mut rng = fastrand::Rng::with_seed(3);
    let mut found = 0;
    for kill in 0..KILLS {
        drop(fs::remove_file(dir.0.join("begun")));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "stores_until_it_is_killed"])
            .env(VARIABLE, &dir.0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait(|| dir.0.join("begun").exists());
        // When it is killed is the point of the test: anywhere in what it does.
        std::thread::sleep(Duration::from_micros(rng.u64(..40_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let store = open(&dir.0.join("cache"), 2 * MIB, 16 * MIB);
        let unfinished = fs::read_dir(dir.0.join("cache/tmp")).unwrap().count();
        assert_eq!(unfinished, 0, "kill {kill}");
        for key in 0..KEYS {
            let Some(object) = find(&store, &format!("/{key}")) else { continue };
            let version = *object.head().meta();
            assert!(version > purged(&dir.0, key % TAGS), "kill {kill}: {key} was purged");
            let whole = body(&store, &object, 0).expect("a kill damages no file");
            assert!(whole == content(&key.to_string(), version, len(key)), "kill {kill}: {key}");
            found += 1;
        }
    }
    assert!(found > 10 * KILLS, "{found} bodies were compared");
}
