//! A whole response of HTTP/1, head and body in one piece, goes out.

use std::io::IoSlice;
use std::time::Duration;

use evenkeel_net::Io;

use super::wait::{ClientWait, Progress};
use crate::worker::Worker;
use crate::worker::timer::{Timer, WriteError};

/// Sends a response whose body is the last `body` bytes of `response`. The client may take nothing for as long as `stall`.
///
/// # Errors
/// The client is gone, or takes it too slowly.
pub async fn send_whole(
    worker: &Worker,
    io: &Io,
    stall: Duration,
    response: &[u8],
    body: u64,
) -> Result<(), WriteError> {
    let mut wait = ClientWait::new(Timer::new(worker.clock), stall);
    wait.write_all(Progress { worker, bytes: body }, io, &mut [IoSlice::new(response)]).await
}
