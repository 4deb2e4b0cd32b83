//! A whole response, head and body in one piece, goes out.

use std::io::IoSlice;
use std::rc::Rc;
use std::time::Duration;

use evenkeel_http2::Code;
use evenkeel_net::Io;

use super::http2::ToHttp2;
use super::wait::{ClientWait, Progress};
use crate::http::chunks::keep_data;
use crate::http::framing::Framing;
use crate::http::version::Version;
use crate::http::write;
use crate::http2::Exchange;
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

/// The same over a stream.
pub async fn send_whole_over(
    worker: &Worker,
    exchange: &Rc<Exchange>,
    stall: Duration,
    response: WholeResponse,
) -> (Result<(), WriteError>, Delivered) {
    let WholeResponse { mut head, framing, mut answer, body, bytes, permit, .. } = response;
    let status = head.status;
    match framing {
        // The end of the stream says how long it is.
        Framing::Chunked => keep_data(&mut answer, body),
        framing => write::framing(head.out(), framing),
    }
    let begun = exchange.respond_whole(status, head.lines(), &answer[body..]);
    worker.buffers.give(head.into_bytes());
    let sent = match begun {
        Err(_) => Err(WriteError::Failed),
        Ok(taken) if taken < answer.len() - body => {
            let left = answer[body + taken..].to_vec();
            // What waits for the client holds no buffer.
            worker.buffers.give(answer);
            let progress = Progress { worker, bytes };
            // In a box, because most windows are open.
            Box::pin(send_rest(exchange, stall, progress, left)).await
        }
        Ok(_) => {
            worker.buffers.give(answer);
            Ok(())
        }
    };
    drop(permit);
    (sent, Delivered { status, bytes, is_whole: true })
}

/// Sends the last bytes of a body, as the windows allow.
async fn send_rest(
    exchange: &Rc<Exchange>,
    stall: Duration,
    progress: Progress<'_>,
    left: Vec<u8>,
) -> Result<(), WriteError> {
    let mut wait = ClientWait::new(Timer::new(progress.worker.clock), stall);
    let sent = ToHttp2::new(Rc::clone(exchange)).send(&left, true, &mut wait, progress).await;
    if sent.is_err() {
        exchange.reset(Code::CANCEL);
    }
    sent
}
