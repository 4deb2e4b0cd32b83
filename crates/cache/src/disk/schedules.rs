//! The disk as a reader of a fetch, under thousands of schedules: it may be slow, hang, or be all that is left.
//!
//! `cargo test -p evenkeel-cache --features shuttle --lib schedules`

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use evenkeel_core::cache::{HostId, UrlId};
use shuttle::future::block_on;
use shuttle::thread;

use crate::fill::{Fill, Phase, Progress};
use crate::flights::Flights;
use crate::head::{Head, NewHead};
use crate::purge::Purges;
use crate::reader::{Piece, Reader};
use crate::sync::{Arc, Mutex, lock};

/// Schedules of each test, half of them at random and half with few, well-placed preemptions.
const SCHEDULES: usize = 4_000;
const PIECES: usize = 5;
const PIECE: usize = 100;

fn on_all_schedules(test: fn()) {
    shuttle::check_random(test, SCHEDULES / 2);
    shuttle::check_pct(test, SCHEDULES / 2, 3);
}

/// A fetch that passes by a client and the disk, whose writer waits for both.
fn passing() -> (Arc<Fill<()>>, Arc<Head<()>>, Reader<()>, Reader<()>) {
    let (flights, purges) = (Arc::new(Flights::default()), Arc::new(Purges::default()));
    let fill = Arc::new(Fill::new(b"k", flights.begin(|| 0), None, Arc::default()));
    let new = NewHead {
        url: UrlId(1),
        host: HostId(2),
        path: "",
        tags: &[],
        vary: b"",
        response: b"200",
        meta: (),
    };
    let head = Arc::new(Head::new(b"k", 0, new).expect("it is short"));
    fill.set_phase(Phase::Open(Arc::clone(&head)));
    let client = Reader::join(&fill, &purges).expect("it is early");
    let disk = Reader::spool(&fill, &purges).expect("it is early");
    fill.pass(PIECE as u64);
    (fill, head, client, disk)
}

/// Writes all pieces. `leaves`: a disk that is slower than the client is left behind.
fn write(fill: &Fill<()>, head: Arc<Head<()>>, leaves: bool) {
    for _ in 0..PIECES {
        if fill.push(Bytes::from_static(&[7; PIECE]), 0) == Progress::Abandoned {
            return;
        }
        if leaves {
            while fill.poll_ready(&Context::from_waker(Waker::noop()), || false).is_pending() {
                fill.drop_spool(true);
                thread::yield_now();
            }
        } else {
            block_on(poll_fn(|cx| fill.poll_ready(cx, || false)));
        }
    }
    fill.complete(head, Bytes::new(), None);
}

/// Reads to the end; the length of what it read.
fn read(reader: &mut Reader<()>) -> Option<usize> {
    let mut length = 0;
    loop {
        match block_on(poll_fn(|cx| reader.poll_next(cx))) {
            Piece::Chunk(bytes) => length += bytes.len(),
            Piece::End(_) => return Some(length),
            Piece::Failed => return None,
        }
    }
}

#[test]
fn a_disk_that_keeps_up_has_the_whole_although_the_client_leaves() {
    on_all_schedules(|| {
        let (fill, head, mut client, mut disk) = passing();
        let writer = thread::spawn(move || write(&fill, head, false));
        let leaving = thread::spawn(move || drop(block_on(poll_fn(|cx| client.poll_next(cx)))));
        assert_eq!(read(&mut disk), Some(PIECES * PIECE));
        writer.join().expect("it ends");
        leaving.join().expect("it ends");
    });
}

#[test]
fn a_disk_that_hangs_is_left_and_knows_it() {
    on_all_schedules(|| {
        let (fill, head, mut client, mut disk) = passing();
        let writer = thread::spawn(move || write(&fill, head, true));
        // It takes one piece at most, and no more until the client has the whole.
        let hung = Arc::new(Mutex::new(None));
        let hanging = Arc::clone(&hung);
        let taking = thread::spawn(move || {
            let first = disk.poll_next(&mut Context::from_waker(Waker::noop()));
            assert!(!matches!(first, Poll::Ready(Piece::End(_))));
            *lock(&hanging) = Some(disk);
        });
        assert_eq!(read(&mut client), Some(PIECES * PIECE), "the client does not wait for the disk");
        writer.join().expect("it ends");
        taking.join().expect("it ends");
        let mut disk = lock(&hung).take().expect("it was put there");
        // Either it was left, or it was never what the writer waited for: nothing between.
        let rest = read(&mut disk);
        assert!(rest.is_none() || rest.is_some_and(|length| length >= (PIECES - 1) * PIECE), "{rest:?}");
    });
}
