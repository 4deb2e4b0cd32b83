//! Bytes both ways between two connections, until both sides have ended or nothing moves any more.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use evenkeel_net::Io;
use evenkeel_types::Time;

use crate::stage::record::Trail;
use crate::timer::Timer;
use crate::worker::Worker;

/// Runs a tunnel between a client and a server. `early` is what the client has sent already.
pub async fn run(
    worker: &Worker,
    client: &Io,
    early: [&[u8]; 2],
    server: &Io,
    idle: Duration,
    trail: &mut Trail,
) {
    worker.metrics.tunnels.increment();
    let moved = Cell::new(worker.clock.now());
    let (up_bytes, down_bytes) = (Cell::new(0), Cell::new(0));
    let mut up = pin!(copy(worker, early, client, server, &moved, &up_bytes));
    let mut down = pin!(copy(worker, [b"", b""], server, client, &moved, &down_bytes));
    let mut done = [false; 2];
    let mut timer = Timer::new(worker.clock);
    poll_fn(|cx| {
        for (half, done) in [up.as_mut(), down.as_mut()].into_iter().zip(&mut done) {
            if *done {
                continue;
            }
            // A half that has ended leaves the other one open; one that has failed takes it along.
            match half.poll(cx) {
                Poll::Ready(Ok(())) => *done = true,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
        if done == [true; 2] { Poll::Ready(()) } else { timer.poll_until(cx, moved.get() + idle) }
    })
    .await;
    trail.tunnelled(up_bytes.get(), down_bytes.get());
    worker.metrics.tunnels.decrement();
}

/// One direction, up to its end, which is passed on.
async fn copy(
    worker: &Worker,
    early: [&[u8]; 2],
    from: &Io,
    to: &Io,
    moved: &Cell<Time>,
    bytes: &Cell<u64>,
) -> io::Result<()> {
    to.write_all(&mut early.map(IoSlice::new)).await?;
    bytes.set(early.iter().map(|part| part.len() as u64).sum());
    loop {
        // Without a buffer as long as there is nothing to read: most tunnels are silent most of the time.
        let mut buf = Vec::new();
        let read = poll_fn(|cx| worker.buffers.poll_medium(from, cx, &mut buf)).await?;
        if read == 0 {
            worker.buffers.give(buf);
            return to.shutdown();
        }
        let written = to.write_all(&mut [IoSlice::new(&buf)]).await;
        worker.buffers.give(buf);
        written?;
        moved.set(worker.clock.now());
        bytes.set(bytes.get() + read as u64);
    }
}
