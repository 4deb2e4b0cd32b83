//! Fetches and their readers under thousands of schedules, with `shuttle` as the scheduler: a lost wake-up is a deadlock there.
//!
//! `cargo test -p evenkeel-cache --features shuttle --lib schedules`

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use evenkeel_core::cache::{HostId, UrlId};
use shuttle::future::block_on;
use shuttle::sync::atomic::AtomicU64;
use shuttle::thread;

use super::*;
use crate::head::NewHead;
use crate::reader::{Joined, Piece};

/// Schedules of each test, half of them at random and half with few, well-placed preemptions (PCT, Burckhardt et al. 2010).
const SCHEDULES: usize = 4_000;

const NOW: Time = Time::from_millis(1_000);

type Task = Box<dyn FnOnce() + Send>;

fn on_all_schedules(test: fn()) {
    shuttle::check_random(test, SCHEDULES / 2);
    shuttle::check_pct(test, SCHEDULES / 2, 3);
}

/// Runs them all at once, and to their end.
fn together(all: Vec<Task>) {
    let threads: Vec<_> = all.into_iter().map(thread::spawn).collect();
    threads.into_iter().for_each(|thread| thread.join().expect("it ends"));
}

fn store(capacity: u64) -> Arc<Store<()>> {
    Store::new(Limits { capacity, policy: Policy::Fifo })
}

fn new() -> NewHead<'static, ()> {
    NewHead { url: UrlId(1), host: HostId(2), path: "", tags: &[], vary: b"", response: b"200", meta: () }
}

/// Writes pieces of this length.
fn write(leader: Leader<()>, pieces: usize, length: usize, body_max: u64) {
    static ZEROS: [u8; 1 << 20] = [0; 1 << 20];
    let mut writer = leader.publish(new(), body_max).expect("it is short");
    for _ in 0..pieces {
        if block_on(poll_fn(|cx| writer.poll_ready(cx))).is_err() {
            return;
        }
        if writer.push(Bytes::from_static(&ZEROS[..length]), NOW).is_err() {
            return;
        }
    }
    writer.finish(Bytes::new(), NOW);
}

/// Reads to the end, or a number of pieces; the length of what it read.
fn read(reader: &mut Reader<()>, pieces: usize) -> Option<usize> {
    let mut length = 0;
    for _ in 0..pieces {
        match block_on(poll_fn(|cx| reader.poll_next(cx))) {
            Piece::Chunk(bytes) => length += bytes.len(),
            Piece::End(_) => return Some(length),
            Piece::Failed => return None,
        }
    }
    None
}

#[test]
fn one_fetches_and_all_get_the_whole() {
    on_all_schedules(|| {
        let (store, fetches) = (store(1 << 20), Arc::new(AtomicU64::new(0)));
        let ask = |_| {
            let (store, fetches) = (Arc::clone(&store), Arc::clone(&fetches));
            Box::new(move || match store.lookup(b"k", NOW, |_| true) {
                Found::Nothing(leader) => {
                    fetches.fetch_add(1, Ordering::SeqCst);
                    write(leader, 3, 100, 1_000);
                }
                Found::Filling(mut reader) => {
                    let joined = block_on(poll_fn(|cx| reader.poll_head(cx)));
                    assert!(matches!(joined, Joined::Head(_)));
                    assert_eq!(read(&mut reader, usize::MAX), Some(300));
                }
                Found::Object(hit) => assert_eq!(hit.object.body_len(), 300),
                Found::Marked(_) | Found::Loading(_) => panic!("it may be shared"),
            }) as Task
        };
        together((0..3).map(ask).collect());
        assert_eq!(fetches.load(Ordering::SeqCst), 1);
        assert_eq!((store.figures().objects, store.figures().filling), (1, 0));
    });
}

#[test]
fn a_writer_that_waits_for_readers_goes_on_when_they_read_or_leave() {
    on_all_schedules(|| {
        let store = store(1 << 20);
        let Found::Nothing(leader) = store.lookup(b"k", NOW, |_| true) else { panic!("it is cold") };
        let (mut whole, mut part) =
            (leader.reader().expect("it is early"), leader.reader().expect("it is early"));
        together(vec![
            Box::new(move || write(leader, 5, 600_000, 10)),
            Box::new(move || assert_eq!(read(&mut whole, usize::MAX), Some(3_000_000))),
            Box::new(move || {
                read(&mut part, 2);
            }),
        ]);
        assert_eq!((store.figures().objects, store.figures().filling), (0, 0));
    });
}

#[test]
fn a_writer_whose_readers_all_leave_ends() {
    on_all_schedules(|| {
        let store = store(1 << 20);
        let Found::Nothing(leader) = store.lookup(b"k", NOW, |_| true) else { panic!("it is cold") };
        let mut readers = [leader.reader().expect("it is early"), leader.reader().expect("it is early")];
        let [one, two] = &mut readers;
        let (mut one, mut two) = (std::mem::replace(one, leader.reader().expect("early")), {
            std::mem::replace(two, leader.reader().expect("early"))
        });
        drop(readers);
        together(vec![
            Box::new(move || write(leader, 9, 600_000, 10)),
            Box::new(move || {
                read(&mut one, 1);
            }),
            Box::new(move || {
                read(&mut two, 2);
            }),
        ]);
        assert_eq!((store.figures().objects, store.figures().filling), (0, 0));
    });
}

#[test]
fn no_request_waits_for_a_leader_that_gave_up() {
    on_all_schedules(|| {
        let store = store(1 << 20);
        let ask = |n: u64| {
            let store = Arc::clone(&store);
            Box::new(move || match store.lookup(b"k", NOW, |_| true) {
                Found::Nothing(leader) if n == 0 => leader.private(NOW, std::time::Duration::from_secs(1)),
                Found::Nothing(leader) | Found::Marked(leader) => drop(leader),
                Found::Filling(mut reader) => {
                    let joined = block_on(poll_fn(|cx| reader.poll_head(cx)));
                    assert!(matches!(joined, Joined::Alone(_)));
                }
                Found::Object(_) | Found::Loading(_) => panic!("none was stored"),
            }) as Task
        };
        together((0..4).map(ask).collect());
    });
}

#[test]
fn one_revalidates_and_the_others_get_the_result() {
    on_all_schedules(|| {
        let store = store(1 << 20);
        let Found::Nothing(leader) = store.lookup(b"k", NOW, |_| true) else { panic!("it is cold") };
        write(leader, 1, 100, 1_000);
        let Found::Object(hit) = store.lookup(b"k", NOW, |_| true) else { panic!("it was stored") };
        let ask = |_| {
            let (store, object) = (Arc::clone(&store), Arc::clone(&hit.object));
            Box::new(move || match store.revalidate(&object) {
                Revalidation::Leader(leader) => drop(leader.freshen(new(), NOW)),
                Revalidation::Running(mut reader) => {
                    let joined = block_on(poll_fn(|cx| reader.poll_head(cx)));
                    assert!(matches!(joined, Joined::Object(fresh) if fresh.body_len() == 100));
                }
            }) as Task
        };
        together((0..3).map(ask).collect());
        assert_eq!(store.figures().objects, 1);
    });
}

#[test]
fn what_is_stored_evicted_and_invalidated_at_once_leaves_nothing_behind() {
    on_all_schedules(|| {
        // Room for one of the objects.
        let store = store(5_000);
        let put = |key: &'static [u8]| {
            let store = Arc::clone(&store);
            Box::new(move || {
                if let Found::Nothing(leader) = store.lookup(key, NOW, |_| true) {
                    write(leader, 1, 2_400, 10_000);
                }
            }) as Task
        };
        let theirs = Arc::clone(&store);
        let invalidate = Box::new(move || theirs.invalidate(b"b"));
        let theirs = Arc::clone(&store);
        let purge = Box::new(move || {
            theirs.purge(&Scope::All, Strength::Hard);
            theirs.sweep(10, |()| false);
        });
        together(vec![put(b"a"), put(b"b"), put(b"a"), invalidate, purge]);
        let there = [b"a", b"b"]
            .iter()
            .filter(|key| matches!(store.lookup(&key[..], NOW, |_| true), Found::Object(_)));
        let there = there.count() as u64;
        let figures = store.figures();
        assert_eq!((figures.objects, figures.filling), (there, 0), "what is in the order is in the table");
        assert!(figures.bytes <= 5_000);
    });
}
