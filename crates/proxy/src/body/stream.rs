//! A body that comes over HTTP/2: what its stream has received, whose window opens again only when it has been passed on.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::error::BodyError;
use crate::http::chunks::Malformed;
use crate::http2::{Exchange, Failure};

/// Where the body comes from, and how far it was read.
#[derive(Debug)]
pub struct FromStream {
    exchange: Rc<Exchange>,
    left: Option<u64>,
    /// Read, and not handed on.
    next: Vec<u8>,
    /// Handed on.
    piece: Vec<u8>,
    /// Bytes of the stream's window that are to be given back.
    owed: usize,
    trailers: Vec<u8>,
    is_done: bool,
}

impl FromStream {
    /// The body that follows a head; `length` is what the head says of it.
    pub fn new(exchange: Rc<Exchange>, length: Option<u64>, has_ended: bool) -> Self {
        let (next, piece, trailers) = <_>::default();
        Self { exchange, left: length, next, piece, owed: 0, trailers, is_done: has_ended }
    }

    /// True when all of it was read.
    pub fn is_done(&self) -> bool {
        self.is_done && self.next.is_empty()
    }

    /// Bytes of data still to come, when that is known.
    pub fn left(&self) -> Option<u64> {
        self.left
    }

    /// The trailers as a section of lines.
    pub fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// The piece that [`advance`](Self::advance) came to.
    pub fn piece(&self) -> &[u8] {
        &self.piece
    }

    /// Goes to the next piece, if one has been read.
    ///
    /// # Errors
    /// There is more than the head allows for.
    pub fn advance(&mut self) -> Result<bool, BodyError> {
        self.piece.clear();
        std::mem::swap(&mut self.piece, &mut self.next);
        if let Some(left) = &mut self.left {
            *left = left
                .checked_sub(self.piece.len() as u64)
                .ok_or(BodyError::Malformed(Malformed("more than was announced")))?;
        }
        Ok(!self.piece.is_empty())
    }

    /// Lets go of what was read, and has the peer send more in its place.
    pub fn release(&mut self) {
        self.piece.clear();
        let owed = std::mem::take(&mut self.owed);
        if owed > 0 {
            self.exchange.consume(owed);
        }
    }

    /// Reads more. True when there was something, false at the end.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, BodyError>> {
        if self.is_done {
            return Poll::Ready(Ok(false));
        }
        let has_read = ready!(self.exchange.poll_data(cx, &mut self.next)).map_err(broken)?;
        self.owed += self.next.len();
        self.is_done = self.exchange.is_drained();
        if self.is_done {
            self.trailers = self.exchange.take_trailers();
        }
        Poll::Ready(Ok(has_read))
    }
}

fn broken(failure: Failure) -> BodyError {
    match failure {
        Failure::Oversized => BodyError::Malformed(Malformed("trailers larger than the limits")),
        failure => BodyError::Io(failure.into()),
    }
}
