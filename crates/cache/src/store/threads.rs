//! The store under threads that do everything at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use bytes::Bytes;
use evenkeel_core::cache::{HostId, TagId, UrlId};

use super::*;
use crate::head::NewHead;
use crate::reader::{Joined, Piece};

const NOW: Time = Time::from_millis(1_000);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread. A wake-up that was lost is a test that does not end.
fn block<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

fn new(tags: &[TagId]) -> NewHead<'_, ()> {
    let (url, host) = (UrlId::whole("a.test", "/", None), HostId::of("a.test"));
    NewHead { url, host, path: "/", tags, vary: b"", response: b"200", meta: () }
}

/// The body of a key: as long as no other's, and of one byte.
fn body(key: u8) -> Vec<u8> {
    vec![key; 50_000 + usize::from(key) * 1_001]
}

fn write(leader: Leader<()>, key: u8, tags: &[TagId]) {
    let Ok(mut writer) = leader.publish(new(tags), u64::MAX) else { return };
    for piece in body(key).chunks(10_000) {
        if block(|cx| writer.poll_ready(cx)).is_err() {
            return;
        }
        if writer.push(Bytes::copy_from_slice(piece), NOW).is_err() {
            return;
        }
    }
    writer.finish(Bytes::new(), NOW);
}

/// Reads to the end; `None` if the fetch was not to be shared, failed, or was purged.
fn read(mut reader: Reader<()>) -> Option<Vec<u8>> {
    let Joined::Head(_) = block(|cx| reader.poll_head(cx)) else { return None };
    let mut whole = Vec::new();
    loop {
        match block(|cx| reader.poll_next(cx)) {
            Piece::Chunk(bytes) => whole.extend_from_slice(&bytes),
            Piece::End(_) => return Some(whole),
            Piece::Failed => return None,
        }
    }
}

#[test]
fn a_hundred_threads_on_a_cold_key_make_one_fetch() {
    let store = Store::new(Limits { capacity: 1 << 20, policy: Policy::Lru });
    let (fetches, begin) = (AtomicU64::new(0), std::sync::Barrier::new(100));
    thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                begin.wait();
                match store.lookup(b"k", NOW, |_| true) {
                    Found::Nothing(leader) => {
                        fetches.fetch_add(1, Ordering::SeqCst);
                        write(leader, 9, &[]);
                    }
                    Found::Filling(reader) => assert_eq!(read(reader), Some(body(9))),
                    Found::Object(hit) => assert_eq!(hit.object.body_len(), body(9).len() as u64),
                    Found::Marked(_) | Found::Loading(_) => panic!("it may be shared"),
                }
            });
        }
    });
    assert_eq!(fetches.into_inner(), 1);
}

#[test]
fn everything_at_once_leaves_the_store_whole() {
    let store = Store::new(Limits { capacity: 1_500_000, policy: Policy::S3Fifo });
    thread::scope(|scope| {
        for seed in 0..6 {
            let store = &store;
            scope.spawn(move || {
                let mut rng = fastrand::Rng::with_seed(seed);
                for _ in 0..1_500 {
                    step(store, &mut rng);
                }
            });
        }
    });
    let figures = store.figures();
    assert!(figures.filling == 0 && figures.bytes <= figures.capacity, "{figures:?}");
    let found = |key: u8| matches!(store.lookup(&[key], NOW, |_| true), Found::Object(_));
    let there = (0..100).filter(|&key| found(key)).count() as u64;
    assert_eq!(there, store.figures().objects, "what is in the order is in the table");
    store.set_limits(Limits { capacity: 0, policy: Policy::Lru });
    assert!(!(0..100).any(found) && store.figures().bytes == 0);
}

fn step(store: &Arc<Store<()>>, rng: &mut fastrand::Rng) {
    let key = rng.u8(..40).min(rng.u8(..100));
    match rng.u32(..100) {
        0 => store.invalidate(&[key]),
        1 => {
            let strength = if rng.bool() { Strength::Hard } else { Strength::Soft(Wall::from_secs(1)) };
            store.purge(&Scope::Tag(TagId::of(&[key % 5])), strength);
        }
        2..5 => {
            store.sweep(20, |()| false);
        }
        5 => {
            let policy = Policy::ALL[rng.usize(..4)];
            store.set_limits(Limits { capacity: rng.u64(1_000_000..2_000_000), policy });
        }
        _ => match store.lookup(&[key], NOW, |_| true) {
            Found::Object(hit) => {
                assert_eq!(hit.object.body_len(), body(key).len() as u64);
                assert!(hit.object.chunk_at(40_000).is_some_and(|bytes| bytes[0] == key));
                if let Revalidation::Leader(leader) = store.revalidate(&hit.object)
                    && rng.bool()
                {
                    drop(leader.freshen(new(&[]), NOW));
                }
            }
            Found::Filling(mut reader) if rng.u32(..4) == 0 => {
                drop(block(|cx| reader.poll_head(cx)));
            }
            Found::Filling(reader) => assert!(read(reader).is_none_or(|whole| whole == body(key))),
            Found::Loading(_) => panic!("there is no disk"),
            Found::Nothing(leader) | Found::Marked(leader) => match rng.u32(..10) {
                0 => leader.fail(),
                1 => leader.private(NOW, Duration::from_secs(u64::from(rng.bool()))),
                _ => write(leader, key, &[TagId::of(&[key % 5])]),
            },
        },
    }
}
