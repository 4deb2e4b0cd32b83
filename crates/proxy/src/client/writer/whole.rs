//! A whole response of HTTP/1, head and body in one piece, goes out.

use std::io::IoSlice;
use std::time::Duration;

use evenkeel_net::Io;

use super::wait::{ClientWait, Progress};
use crate::http::version::Version;
use crate::http::write;
use crate::request::log::Delivered;
use crate::response::WholeResponse;
use crate::worker::Worker;
use crate::worker::timer::{Timer, WriteError};

/// Sends a response that is there whole to a client of `version`, whose connection stays open or not. The client may take nothing
/// for as long as `stall`. Tells what it has got.
pub async fn send_whole(
    worker: &Worker,
    io: &Io,
    (stall, version, keep_alive): (Duration, Version, bool),
    response: WholeResponse,
) -> (Result<(), WriteError>, Delivered) {
    let WholeResponse { head, framing, answer, body, bytes, permit, .. } = response;
    let status = head.status;
    let mut out = head.into_bytes();
    write::framing(&mut out, framing);
    write::end_head(&mut out, version, keep_alive);
    out.extend_from_slice(&answer[body..]);
    worker.buffers.give(answer);
    let mut left = &out[..];
    let sent = match io.write_piece(&mut left) {
        Ok(true) => Ok(()),
        Ok(false) => {
            let mut wait = ClientWait::new(Timer::new(worker.clock), stall);
            // In a box, because the kernel takes most responses at once.
            Box::pin(wait.write_all(Progress { worker, bytes }, io, &mut [IoSlice::new(left)])).await
        }
        Err(_) => Err(WriteError::Failed),
    };
    if sent == Err(WriteError::TooSlow) {
        io.reset_on_close();
    }
    worker.buffers.give(out);
    drop(permit);
    (sent, Delivered { status, bytes, is_whole: true })
}
