//! Waiting for a client's TLS hello, which stays in the socket: what comes after is read as if nothing had been looked at.

use std::future::poll_fn;
use std::time::Duration;

use evenkeel_core::l4::{self, Hello, HelloFault};
use evenkeel_net::Io;
use evenkeel_observe::StreamEnded;

use crate::worker::Worker;
use crate::worker::buffers::MEDIUM;
use crate::worker::timer::Timer;

/// The server name that a client asks for; `None` if it asks for none, or speaks no TLS.
///
/// # Errors
/// There is no telling, and the connection is to be closed: how it ended, and why.
pub async fn read_hello(
    worker: &Worker,
    io: &Io,
    limit: Duration,
) -> Result<Option<String>, (StreamEnded, String)> {
    let mut timer = Timer::new(worker.clock);
    let mut buf = Vec::new();
    let mut found = Hello::Partial;
    let peeking = poll_fn(|cx| {
        if buf.capacity() == 0 {
            // A client that says nothing holds no buffer.
            std::task::ready!(io.poll_readable(cx))?;
            buf = worker.buffers.medium();
        }
        io.poll_peek(cx, &mut buf, |bytes| {
            found = l4::read_hello(bytes);
            found != Hello::Partial || bytes.len() >= MEDIUM
        })
    });
    let peeked = Box::pin(timer.within(limit.into(), peeking)).await;
    let had = buf.len();
    worker.buffers.give(buf);
    match (peeked, found) {
        (Ok(Ok(_)), Hello::Complete(hello)) => Ok(hello.name),
        (Ok(Ok(_)), Hello::NotTls) => Ok(None),
        (Ok(Ok(_)), Hello::Refused(fault)) => Err((StreamEnded::HelloFailed, fault.to_string())),
        (Ok(Ok(true)), Hello::Partial) => Err((StreamEnded::HelloFailed, HelloFault::TooLong.to_string())),
        (Ok(Ok(false)), Hello::Partial) if had == 0 => {
            Err((StreamEnded::ClientLeft, "the client sent nothing".into()))
        }
        (Ok(Ok(false)), Hello::Partial) => {
            Err((StreamEnded::HelloFailed, "the client left within its TLS hello".into()))
        }
        (Ok(Err(error)), _) => Err((StreamEnded::ClientLeft, error.to_string())),
        (Err(_), _) => Err((StreamEnded::HelloFailed, "no TLS hello within timeout.head".into())),
    }
}
