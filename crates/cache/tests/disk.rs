//! The disk behind the memory: what it finds again, what it must not find again, and what damage does.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use evenkeel_cache::Found;
use evenkeel_core::cache::evict::Policy;
use evenkeel_core::cache::{Scope, Strength, TagId, Wall};
use support::{Dir, NOW, Stored, body, content, find, look, open, publish, put, wait};

const MIB: u64 = 1 << 20;
const SIZES: [usize; 7] = [0, 1, 65_536, 65_537, 262_144, 262_145, 1_500_000];

fn on_disk(store: &Stored) -> u64 {
    store.figures().disk.unwrap().objects
}

#[test]
fn a_restart_finds_everything_again_and_long_bodies_are_not_loaded() {
    let dir = Dir::new("restart");
    let store = open(&dir.0, 64 * MIB, 64 * MIB);
    for len in SIZES {
        assert!(put(&store, &format!("/{len}"), 7, &[], &content("x", 7, len)));
    }
    wait(|| on_disk(&store) == SIZES.len() as u64);
    drop(store);
    let store = open(&dir.0, 64 * MIB, 64 * MIB);
    assert_eq!((on_disk(&store), store.figures().objects), (SIZES.len() as u64, 0));
    for len in SIZES {
        let object = find(&store, &format!("/{len}")).unwrap();
        let whole = content("x", 7, len);
        assert_eq!((*object.head().meta(), object.head().response()), (7, &b"200 OK"[..]));
        assert_eq!(object.is_on_disk(), len > 262_144);
        assert_eq!(object.body_len(), len as u64);
        for offset in [0, len / 3, len.saturating_sub(1)] {
            assert!(body(&store, &object, offset as u64).unwrap() == whole[offset..], "{len} from {offset}");
        }
    }
    let figures = store.figures();
    assert!(figures.filling == 0 && figures.bytes < 500_000, "{figures:?}");
}

#[test]
fn what_memory_has_no_room_for_is_found_on_the_disk() {
    let dir = Dir::new("evicted");
    let store = open(&dir.0, 200_000, 64 * MIB);
    for n in 0..50 {
        assert!(put(&store, &format!("/{n}"), n, &[], &content("x", n, 20_000)));
        wait(|| on_disk(&store) == n + 1);
    }
    assert!(store.figures().objects < 10);
    for n in 0..50 {
        let object = find(&store, &format!("/{n}")).unwrap();
        assert_eq!(body(&store, &object, 0).unwrap(), content("x", n, 20_000));
    }
    assert!(store.figures().bytes <= 200_000);
}

#[test]
fn the_disk_is_bounded_in_bytes_and_a_smaller_size_takes_effect_at_once() {
    let dir = Dir::new("bounded");
    let store = open(&dir.0, 64 * MIB, MIB);
    for n in 0..200 {
        assert!(put(&store, &format!("/{n}"), n, &[], &content("x", n, 20_000)));
    }
    let used =
        || dir.files().iter().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum::<u64>();
    wait(|| {
        let disk = store.figures().disk.unwrap();
        assert!(disk.bytes <= MIB);
        disk.objects > 30 && disk.objects == dir.files().len() as u64
    });
    store.set_disk_size(MIB / 4);
    wait(|| used() <= MIB / 4 && on_disk(&store) == dir.files().len() as u64);
    store.set_limits(evenkeel_cache::Limits { capacity: MIB, policy: Policy::Lru });
    assert!(on_disk(&store) > 5);
}

#[test]
fn a_newer_version_replaces_the_older_one_for_good() {
    let dir = Dir::new("newer");
    let store = open(&dir.0, 64 * MIB, 64 * MIB);
    for version in 0..20 {
        assert!(put(&store, "/x", version, &[], &content("x", version, 1_000)));
    }
    wait(|| on_disk(&store) == 1 && dir.files().len() == 1);
    drop(store);
    let store = open(&dir.0, 64 * MIB, 64 * MIB);
    assert_eq!(*find(&store, "/x").unwrap().head().meta(), 19);
}

#[test]
fn what_was_purged_or_invalidated_does_not_come_back() {
    let scopes = [
        Scope::tag("red"),
        Scope::url("a.test", "/red", None),
        Scope::prefix("a.test", "/r"),
        Scope::host("a.test").unwrap(),
        Scope::All,
    ];
    for (n, scope) in scopes.iter().enumerate() {
        let dir = Dir::new(&format!("purged-{n}"));
        let store = open(&dir.0, 64 * MIB, 64 * MIB);
        assert!(put(&store, "/red", 1, &[TagId::of(b"red")], b"red"));
        assert!(put(&store, "/blue", 1, &[TagId::of(b"blue")], b"blue"));
        wait(|| on_disk(&store) == 2);
        drop(store);
        let store = open(&dir.0, 64 * MIB, 64 * MIB);
        // Nothing of it is in memory: it is purged all the same.
        store.purge(scope, Strength::Hard);
        drop(store);
        let store = open(&dir.0, 64 * MIB, 64 * MIB);
        assert!(find(&store, "/red").is_none(), "{scope:?}");
        assert_eq!(find(&store, "/blue").is_some(), n < 3, "{scope:?}");
        assert!(put(&store, "/red", 2, &[TagId::of(b"red")], b"red"));
        wait(|| on_disk(&store) == 1 + u64::from(n < 3));
        drop(store);
        let store = open(&dir.0, 64 * MIB, 64 * MIB);
        assert_eq!(*find(&store, "/red").unwrap().head().meta(), 2, "what came after the purge stays");
        store.invalidate(b"/red");
        wait(|| dir.files().len() as u64 == u64::from(n < 3));
        assert!(find(&store, "/red").is_none());
    }
}

#[test]
fn a_damaged_log_of_purges_or_seed_empties_the_cache() {
    for file in ["purges", "seed"] {
        let dir = Dir::new(&format!("damaged-{file}"));
        let store = open(&dir.0, 64 * MIB, 64 * MIB);
        assert!(put(&store, "/x", 1, &[], b"x"));
        wait(|| on_disk(&store) == 1);
        store.purge(&Scope::tag("red"), Strength::Hard);
        drop(store);
        fs::write(dir.0.join("other"), "not ours").unwrap();
        let mut bytes = fs::read(dir.0.join(file)).unwrap();
        bytes.pop();
        fs::write(dir.0.join(file), bytes).unwrap();
        let store = open(&dir.0, 64 * MIB, 64 * MIB);
        assert_eq!((on_disk(&store), dir.files().len()), (0, 0));
        assert!(find(&store, "/x").is_none());
        assert!(dir.0.join("other").exists(), "what is not ours stays");
    }
}

#[test]
fn whatever_is_damaged_is_never_served() {
    let dir = Dir::new("flipped");
    let mut rng = fastrand::Rng::with_seed(7);
    for round in 0..40 {
        let store = open(&dir.0, 64 * MIB, 64 * MIB);
        let sizes = [0, 100, 70_000, 400_000];
        for len in sizes {
            assert!(put(&store, &format!("/{len}"), round, &[], &content("x", round, len)));
        }
        wait(|| on_disk(&store) == 4 && dir.files().len() == 4);
        drop(store);
        let mut sound = 4;
        for file in dir.files() {
            let mut bytes = fs::read(&file).unwrap();
            match rng.u32(..4) {
                0 => continue,
                1 => bytes.truncate(rng.usize(..bytes.len())),
                2 => bytes.extend([0; 3]),
                _ => {
                    let at =
                        if rng.bool() { rng.usize(..bytes.len()) } else { rng.usize(..300.min(bytes.len())) };
                    bytes[at] ^= 1 << rng.u32(..8);
                }
            }
            sound -= 1;
            fs::write(&file, bytes).unwrap();
        }
        let store = open(&dir.0, 64 * MIB, 64 * MIB);
        let whole = sizes.iter().filter(|len| {
            let Some(object) = find(&store, &format!("/{len}")) else { return false };
            assert_eq!(*object.head().meta(), round, "{len}");
            let read = body(&store, &object, 0);
            assert!(read.is_none() || read == Some(content("x", round, **len)), "round {round}: {len}");
            read.is_some()
        });
        assert_eq!(whole.count(), sound, "round {round}");
    }
}

#[test]
fn a_disk_that_fails_costs_only_hits() {
    let dir = Dir::new("fails");
    let store = open(&dir.0, 64 * MIB, 64 * MIB);
    fs::remove_dir_all(dir.0.join("tmp")).unwrap();
    assert!(put(&store, "/x", 1, &[], b"x"));
    wait(|| store.figures().disk.unwrap().failures == 1);
    assert!(find(&store, "/x").is_some());
    assert_eq!((on_disk(&store), store.figures().objects), (0, 1));
    fs::create_dir(dir.0.join("tmp")).unwrap();
    assert!(put(&store, "/y", 1, &[], b"y"));
    wait(|| on_disk(&store) == 1);
}

#[test]
fn a_body_whose_file_made_room_for_others_is_not_there() {
    let dir = Dir::new("gone");
    let store = open(&dir.0, 64 * MIB, 64 * MIB);
    assert!(put(&store, "/x", 1, &[], &content("x", 1, 1_000_000)));
    wait(|| on_disk(&store) == 1);
    drop(store);
    let store = open(&dir.0, 64 * MIB, 64 * MIB);
    let object = find(&store, "/x").unwrap();
    let mut reader = store.read(&object, 0).unwrap();
    assert!(matches!(support::block(|cx| reader.poll_head(cx)), evenkeel_cache::Joined::Head(_)));
    store.set_disk_size(0);
    assert!(store.read(&object, 0).is_none());
    assert!(find(&store, "/x").is_none());
    // What has left the store counts for as long as it is held.
    drop((reader, object));
    wait(|| store.figures().filling == 0);
}

#[test]
fn a_body_that_memory_has_no_room_for_goes_to_the_disk_alone() {
    let dir = Dir::new("spooled");
    let store = open(&dir.0, MIB, 64 * MIB);
    for (version, len) in [200_000, 65_536 * 10, 3_000_001].into_iter().enumerate() {
        let whole = content("x", version as u64, len);
        assert!(!put(&store, "/x", version as u64, &[], &whole), "it is not in memory");
        wait(|| find(&store, "/x").is_some_and(|object| *object.head().meta() == version as u64));
        let object = find(&store, "/x").unwrap();
        assert_eq!((object.body_len(), object.is_on_disk()), (len as u64, len > 262_144));
        for offset in [0, len / 2, len - 1] {
            assert!(body(&store, &object, offset as u64).unwrap() == whole[offset..], "{len} from {offset}");
        }
        assert_eq!((on_disk(&store), dir.files().len()), (1, 1));
    }
    drop(store);
    let store = open(&dir.0, MIB, 64 * MIB);
    let object = find(&store, "/x").unwrap();
    assert!(body(&store, &object, 0).unwrap() == content("x", 2, 3_000_001));
}

#[test]
fn a_body_that_is_too_long_breaks_off_or_was_purged_is_not_kept_on_the_disk() {
    let dir = Dir::new("not-spooled");
    let store = open(&dir.0, MIB, 16 * MIB);
    // Longer than a half of the disk.
    assert!(!put(&store, "/long", 1, &[], &content("x", 1, 9_000_000)));
    let mut writer = publish(&store, "/cut", u64::MAX);
    (0..20).for_each(|_| writer.push(vec![7; 100_000].into(), NOW).unwrap());
    writer.fail();
    let mut writer = publish(&store, "/max", 1_000_000);
    let pushed = (0..20).take_while(|_| writer.push(vec![7; 100_000].into(), NOW).is_ok()).count();
    assert!((10..20).contains(&pushed), "{pushed}: no request reads it, and it is too long");
    drop(writer);
    let mut writer = publish(&store, "/purged", u64::MAX);
    (0..20).for_each(|_| writer.push(vec![7; 100_000].into(), NOW).unwrap());
    store.purge(&Scope::All, Strength::Hard);
    assert!(writer.finish(bytes::Bytes::new(), NOW).is_none());
    store.settle(std::time::Duration::from_secs(10));
    wait(|| fs::read_dir(dir.0.join("tmp")).unwrap().count() == 0);
    for key in ["/long", "/cut", "/max", "/purged"] {
        assert!(find(&store, key).is_none(), "{key}");
    }
    wait(|| store.figures().filling == 0);
    assert_eq!((on_disk(&store), dir.files().len()), (0, 0));
    // The room was given back.
    assert!(!put(&store, "/fits", 1, &[], &content("x", 1, 6_000_000)));
    wait(|| on_disk(&store) == 1);
}

#[test]
fn a_purge_of_a_url_is_written_down_if_the_disk_has_it() {
    let dir = Dir::new("urls");
    let url = |path: &str| Scope::url("a.test", path, None);
    let logged = || fs::metadata(dir.0.join("purges")).unwrap().len();
    let store = open(&dir.0, 64 * MIB, 64 * MIB);
    for key in ["/x", "/y", "/z"] {
        assert!(put(&store, key, 1, &[], b"short"));
    }
    wait(|| on_disk(&store) == 3);
    for n in 0..1_000 {
        store.purge(&url(&format!("/{n}")), Strength::Hard);
    }
    assert_eq!((logged(), on_disk(&store)), (0, 3));
    store.purge(&url("/x"), Strength::Hard);
    store.purge(&url("/y"), Strength::Soft(Wall::from_secs(100)));
    assert!(logged() > 0);
    wait(|| dir.files().len() == 2);
    // Rules that speak of nothing in memory any more are forgotten.
    while !store.sweep(100, |_| false) {}
    assert!(find(&store, "/x").is_none());
    drop(store);
    for _ in 0..2 {
        let store = open(&dir.0, 64 * MIB, 64 * MIB);
        assert!(find(&store, "/x").is_none());
        let Found::Object(soft) = look(&store, "/y") else { panic!("it is there") };
        assert_eq!(soft.purged, Some(Wall::from_secs(100)));
        let Found::Object(untouched) = look(&store, "/z") else { panic!("it is there") };
        assert_eq!(untouched.purged, None);
        while !store.sweep(100, |_| false) {}
    }
}

#[test]
fn what_is_purged_while_it_is_written_does_not_come_to_the_disk() {
    let dir = Dir::new("while");
    let store = open(&dir.0, 64 * MIB, 64 * MIB);
    let mut rng = fastrand::Rng::with_seed(1);
    for version in 0..300 {
        assert!(put(&store, "/x", version, &[], &content("x", version, 70_000)));
        if rng.bool() {
            std::thread::sleep(std::time::Duration::from_micros(rng.u64(..300)));
        }
        store.purge(&Scope::url("a.test", "/x", None), Strength::Hard);
        while !store.sweep(100, |_| false) {}
        assert!(find(&store, "/x").is_none(), "version {version}");
    }
    store.settle(std::time::Duration::from_secs(10));
    assert!(find(&store, "/x").is_none());
    drop(store);
    let store = open(&dir.0, 64 * MIB, 64 * MIB);
    assert!(find(&store, "/x").is_none());
}
