//! Readers and the writer of a fetch, step by step.

use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll, Wake, Waker};

use evenkeel_core::cache::{HostId, UrlId};

use super::*;
use crate::flights::Flights;
use crate::head::NewHead;

/// Counts how often it is woken.
#[derive(Default)]
struct Alarm(AtomicUsize);

impl Wake for Alarm {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Alarm {
    fn rung(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }
}

fn alarm() -> (std::sync::Arc<Alarm>, Waker) {
    let alarm = std::sync::Arc::new(Alarm::default());
    (std::sync::Arc::clone(&alarm), Waker::from(alarm))
}

fn head() -> Arc<Head<()>> {
    let (url, host) = (UrlId(1), HostId(2));
    let new = NewHead { url, host, path: "", tags: &[], vary: b"", response: b"200", meta: () };
    Arc::new(Head::new(b"k", 0, new).unwrap())
}

fn fill() -> (Arc<Fill<()>>, Arc<AtomicU64>) {
    let filling = Arc::new(AtomicU64::new(0));
    (Arc::new(Fill::new(b"k", Arc::new(Flights::default()).begin(|| 0), None, Arc::clone(&filling))), filling)
}

fn open() -> (Arc<Fill<()>>, Arc<AtomicU64>) {
    let (fill, filling) = fill();
    fill.set_phase(Phase::Open(head()));
    (fill, filling)
}

/// Pushes as the writer does.
fn push(fill: &Fill<()>, bytes: impl Into<Bytes>) -> Progress {
    let bytes = bytes.into();
    let counted = bytes.len() as u64 + Chunks::OVERHEAD;
    fill.filling.fetch_add(counted, Ordering::SeqCst);
    fill.push(bytes, counted)
}

fn next(fill: &Fill<()>, reader: usize) -> Poll<Piece> {
    fill.poll_next(reader, &Context::from_waker(Waker::noop()))
}

fn chunk(bytes: impl Into<Bytes>) -> Poll<Piece> {
    Poll::Ready(Piece::Chunk(bytes.into()))
}

#[test]
fn readers_are_woken_by_the_head_by_each_piece_and_by_the_end() {
    let (fill, _) = fill();
    let (alarm, waker) = alarm();
    let cx = Context::from_waker(&waker);
    let reader = fill.join().unwrap();
    assert!(fill.poll_phase(reader, &cx).is_pending());
    fill.set_phase(Phase::Open(head()));
    assert_eq!(alarm.rung(), 1);
    assert!(fill.poll_next(reader, &cx).is_pending());
    push(&fill, "one");
    push(&fill, "two");
    assert_eq!(alarm.rung(), 1, "once until it looks again");
    assert_eq!(fill.poll_next(reader, &cx), chunk("one"));
    assert_eq!(fill.poll_next(reader, &cx), chunk("two"));
    assert!(fill.poll_next(reader, &cx).is_pending());
    fill.complete(head(), Bytes::from_static(b"x: y"), None);
    assert_eq!(alarm.rung(), 1);
    assert_eq!(fill.poll_next(reader, &cx), Poll::Ready(Piece::End(Bytes::from_static(b"x: y"))));
}

#[test]
fn a_late_reader_gets_all_of_it_and_a_fast_one_waits_for_no_other() {
    let (fill, _) = open();
    let slow = fill.join().unwrap();
    push(&fill, "one");
    let late = fill.join().unwrap();
    push(&fill, "two");
    assert_eq!((next(&fill, late), next(&fill, late)), (chunk("one"), chunk("two")));
    push(&fill, "three");
    assert_eq!(next(&fill, late), chunk("three"));
    assert_eq!(next(&fill, slow), chunk("one"));
    fill.skip(slow, 4);
    assert_eq!(next(&fill, slow), chunk("hree"), "a range begins later");
}

#[test]
fn small_pieces_become_large_ones_and_readers_do_not_notice() {
    let (fill, filling) = open();
    let reader = fill.join().unwrap();
    let whole: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
    let mut read = Vec::new();
    for (n, piece) in whole.chunks(1_400).enumerate() {
        assert_eq!(push(&fill, Bytes::copy_from_slice(piece)), Progress::Going);
        if n % 7 == 0
            && let Poll::Ready(Piece::Chunk(bytes)) = next(&fill, reader)
        {
            read.extend_from_slice(&bytes);
        }
    }
    while let Poll::Ready(Piece::Chunk(bytes)) = next(&fill, reader) {
        read.extend_from_slice(&bytes);
    }
    assert_eq!(read, whole);
    let pieces = fill.body().unwrap();
    assert!(pieces.len() <= 5, "{}", pieces.len());
    assert_eq!(pieces.concat(), whole);
    assert!(filling.load(Ordering::SeqCst) < 310_000, "what the merged pieces took is given back");
    drop(fill);
    assert_eq!(filling.load(Ordering::SeqCst), 0);
}

#[test]
fn the_writer_of_a_body_that_passes_waits_for_its_slowest_reader() {
    let (fill, filling) = open();
    let (fast, slow) = (fill.join().unwrap(), fill.join().unwrap());
    let (alarm, waker) = alarm();
    let cx = Context::from_waker(&waker);
    fill.pass(Fill::<()>::WINDOW);
    assert_eq!(fill.join(), None, "what is dropped cannot be read from its beginning");
    for _ in 0..33 {
        assert_eq!(fill.poll_ready(&cx, || false), Poll::Ready(Progress::Going));
        push(&fill, vec![0; 32 << 10]);
    }
    assert!(fill.poll_ready(&cx, || false).is_pending());
    (0..33).for_each(|_| assert!(next(&fill, fast).is_ready()));
    assert_eq!(alarm.rung(), 1, "it looks whether there is room for the fast one");
    assert!(fill.poll_ready(&cx, || false).is_pending());
    assert!(filling.load(Ordering::SeqCst) > 1 << 20, "all is still there for the slow one");
    assert!(next(&fill, slow).is_ready());
    assert_eq!(alarm.rung(), 1);
    assert_eq!(fill.poll_ready(&cx, || false), Poll::Ready(Progress::Going));
    assert!(filling.load(Ordering::SeqCst) < (1 << 20) + 33 * Chunks::OVERHEAD, "what both have is dropped");
    push(&fill, vec![0; 1]);
    assert!(fill.poll_ready(&cx, || false).is_pending());
    fill.leave(slow);
    assert_eq!(alarm.rung(), 1, "a reader that leaves holds no other one back");
    assert_eq!(filling.load(Ordering::SeqCst), 1 + Chunks::OVERHEAD);
    fill.leave(fast);
    assert_eq!(fill.poll_ready(&cx, || false), Poll::Ready(Progress::Abandoned));
    assert_eq!(push(&fill, "more"), Progress::Abandoned);
    assert_eq!(filling.load(Ordering::SeqCst), 0);
}

#[test]
fn a_body_that_may_be_stored_goes_on_without_readers() {
    let (fill, _) = open();
    fill.leave(fill.join().unwrap());
    assert_eq!(push(&fill, "one"), Progress::Going);
    assert_eq!(fill.poll_ready(&Context::from_waker(Waker::noop()), || false), Poll::Ready(Progress::Going));
}

#[test]
fn a_body_that_breaks_off_is_whole_for_no_reader() {
    let (fill, filling) = open();
    let (alarm, waker) = alarm();
    let reader = fill.join().unwrap();
    push(&fill, "one");
    assert_eq!(next(&fill, reader), chunk("one"));
    assert!(fill.poll_next(reader, &Context::from_waker(&waker)).is_pending());
    fill.set_phase(Phase::Broken);
    assert_eq!(alarm.rung(), 1);
    assert_eq!(next(&fill, reader), Poll::Ready(Piece::Failed));
    assert_eq!(filling.load(Ordering::SeqCst), 0);
    assert_eq!(fill.join(), None);
}

#[test]
fn a_slow_reader_holds_no_other_back_while_there_is_room() {
    let (fill, _) = open();
    let (fast, slow) = (fill.join().unwrap(), fill.join().unwrap());
    let (alarm, waker) = alarm();
    let cx = Context::from_waker(&waker);
    fill.pass(Fill::<()>::WINDOW);
    (0..33).for_each(|_| assert_eq!(push(&fill, vec![0; 32 << 10]), Progress::Going));
    assert!(fill.poll_ready(&cx, || true).is_pending(), "none wants more");
    (0..33).for_each(|_| assert!(next(&fill, fast).is_ready()));
    assert!(next(&fill, fast).is_pending());
    assert_eq!(alarm.rung(), 1, "the writer looks again");
    assert!(fill.poll_ready(&cx, || false).is_pending(), "there is no room");
    assert_eq!(fill.poll_ready(&cx, || true), Poll::Ready(Progress::Going));
    push(&fill, "more");
    assert_eq!(next(&fill, fast), chunk("more"));
    assert!(next(&fill, slow).is_ready());
}
