//! Sending data over a stream, as its windows allow.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::SendStream;

use crate::worker::timer::{Elapsed, Limit, Timer, WriteError};

/// Sends all of `data`, and the end of the stream behind it if it `ends`.
///
/// # Errors
/// The peer is gone or has given the stream up, or has opened no window for as long as `stall` allows.
pub async fn send(
    stream: &mut SendStream<Bytes>,
    data: &[u8],
    ends: bool,
    timer: &mut Timer,
    stall: Limit,
) -> Result<(), WriteError> {
    let mut left = Bytes::copy_from_slice(data);
    while !try_send(stream, &mut left, ends)? {
        // In a box, because most windows are open.
        match Box::pin(timer.within(stall, poll_fn(|cx| poll_room(stream, cx)))).await {
            Ok(room) => room?,
            Err(Elapsed) => return Err(WriteError::Stalled),
        }
    }
    Ok(())
}

/// Sends of `left` what the windows allow, and the end of the stream behind the last of it if it `ends`; true when
/// nothing is left, false when [`poll_room`] must be ready first.
///
/// # Errors
/// The peer is gone or has given the stream up.
pub fn try_send(stream: &mut SendStream<Bytes>, left: &mut Bytes, ends: bool) -> Result<bool, WriteError> {
    loop {
        if !left.is_empty() {
            stream.reserve_capacity(left.len());
            if stream.capacity() == 0 {
                return Ok(false);
            }
        }
        let part = left.split_to(stream.capacity().min(left.len()));
        let is_last = left.is_empty();
        stream.send_data(part, ends && is_last).map_err(|_| WriteError::Failed)?;
        if is_last {
            return Ok(true);
        }
    }
}

/// Ready when the windows have room for what was reserved.
///
/// # Errors
/// The peer is gone or has given the stream up.
pub fn poll_room(stream: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
    loop {
        match ready!(stream.poll_capacity(cx)) {
            Some(Ok(0)) => {}
            Some(Ok(_)) => return Poll::Ready(Ok(())),
            Some(Err(_)) | None => return Poll::Ready(Err(WriteError::Failed)),
        }
    }
}
