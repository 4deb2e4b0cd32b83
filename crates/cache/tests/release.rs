//! A directory that goes to another process, while the one that had it goes on for a while.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::time::Duration;

use evenkeel_core::cache::{Scope, Strength};

use self::support::{Dir, find, open, put, wait};

const MIB: u64 = 1 << 20;
const SETTLE_MAX: Duration = Duration::from_secs(10);

#[test]
fn purges_that_come_after_the_release_reach_the_other_process() {
    let dir = Dir::new("released");
    let store = open(&dir.0, 64 * MIB, 64 * MIB);
    for key in ["/red", "/blue", "/green"] {
        assert!(put(&store, key, 1, &[], b"body"));
    }
    wait(|| store.figures().disk.unwrap().objects == 3);
    let outgoing = store.hand_over_purges();
    store.purge(&Scope::url("a.test", "/green", None), Strength::Hard);
    store.release_disk(SETTLE_MAX).unwrap();
    store.purge(&Scope::url("a.test", "/red", None), Strength::Hard);
    let other = open(&dir.0, 64 * MIB, 64 * MIB);
    assert!(find(&other, "/green").is_none(), "it was written down");
    outgoing.next(SETTLE_MAX).unwrap().iter().for_each(|purge| other.take_purge(purge));
    assert!(find(&other, "/red").is_none());
    assert!(find(&other, "/blue").is_some());
    // It comes to an end by itself.
    drop(outgoing);
    store.finish_purges(SETTLE_MAX);
}

#[test]
fn what_another_process_has_in_the_directory_is_not_touched() {
    let dir = Dir::new("touched");
    let store = open(&dir.0, 64 * MIB, 64 * MIB);
    let in_the_way = dir.0.join("purges.new");
    fs::create_dir(&in_the_way).unwrap();
    store.purge(&Scope::All, Strength::Hard);
    assert!(store.is_disk_closed(), "the purge cannot be written down");
    fs::remove_dir(&in_the_way).unwrap();
    store.release_disk(SETTLE_MAX).unwrap();
    let other = open(&dir.0, 64 * MIB, 64 * MIB);
    assert!(put(&other, "/x", 1, &[], b"x"));
    wait(|| other.figures().disk.unwrap().objects == 1);
    let seed = fs::read(dir.0.join("seed")).unwrap();
    store.reopen_disk();
    store.settle(SETTLE_MAX);
    assert_eq!(dir.files().len(), 1);
    assert_eq!(fs::read(dir.0.join("seed")).unwrap(), seed);
}
