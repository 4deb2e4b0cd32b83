//! The close of a connection whose client may still be sending.

use std::future::poll_fn;
use std::time::Duration;

use evenkeel_net::Io;

use crate::worker::Worker;
use crate::worker::timer::{Limit, Timer};

/// A client that has sent nothing for so long after our last answer has either read it or will not.
const LINGER_PAUSE: Duration = Duration::from_secs(5);
/// How long a client may go on sending after our last answer, which it reads only when it has sent everything.
const LINGER: Duration = Duration::from_secs(30);
/// From when on such a client must send as fast as a request's body: one that only keeps the connection is cut off.
const LINGER_GRACE: Duration = Duration::from_secs(10);

/// Closes in a way that lets the client read our last answer: a close with unread input would reset the connection,
/// and the client would lose the answer. So what still comes is read and thrown away, until the client closes or has
/// had time enough (RFC 9112, 9.6); it must average `rate_min` bytes a second.
pub async fn linger(worker: &Worker, io: &Io, timer: &mut Timer, rate_min: u64) {
    if io.shutdown().is_err() {
        return;
    }
    let begun = worker.clock.now();
    let (mut buf, mut bytes) = (Vec::new(), 0);
    loop {
        let limit = Limit { at_most: Some(begun + LINGER), ..LINGER_PAUSE.into() };
        let read = timer.within(limit, poll_fn(|cx| worker.buffers.poll_large(io, cx, &mut buf))).await;
        worker.buffers.give(std::mem::take(&mut buf));
        let Ok(Ok(read @ 1..)) = read else { return };
        bytes += read as u64;
        let took = worker.clock.now() - begun;
        if took >= LINGER || took > LINGER_GRACE && bytes < rate_min.saturating_mul(took.as_secs()) {
            return;
        }
    }
}
