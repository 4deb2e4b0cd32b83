//! Sending data over a stream, as its windows allow.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::SendStream;

use crate::worker::timer::WriteError;

/// Sends of `left` what the windows allow, which is all that is copied of it, and the end of the stream behind the last of it if it `ends`; true when
/// nothing is left, false when [`poll_room`] must be ready first.
///
/// # Errors
/// The peer is gone or has given the stream up.
pub fn try_send(stream: &mut SendStream<Bytes>, left: &mut &[u8], ends: bool) -> Result<bool, WriteError> {
    loop {
        if !left.is_empty() {
            stream.reserve_capacity(left.len());
            if stream.capacity() == 0 {
                return Ok(false);
            }
        }
        let (part, rest) = left.split_at(stream.capacity().min(left.len()));
        *left = rest;
        let (part, is_last) = (Bytes::copy_from_slice(part), rest.is_empty());
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
