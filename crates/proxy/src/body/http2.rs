//! A body of HTTP/2: the data of a stream, whose window opens again only when the data has been passed on.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;

use super::error::BodyError;
use crate::http::chunks::Malformed;
use crate::http::lines;

/// Where the body comes from, and how far it was read.
#[derive(Debug)]
pub struct FromHttp2 {
    /// `None` when there is no body at all.
    stream: Option<RecvStream>,
    left: Option<u64>,
    /// Read, and not handed on.
    next: Bytes,
    /// Handed on.
    piece: Bytes,
    /// Bytes of the stream's window that are to be given back.
    owed: usize,
    trailers: Vec<u8>,
    is_done: bool,
}

impl FromHttp2 {
    /// The body that follows a head; `length` is what the head says of it.
    pub fn new(stream: Option<RecvStream>, length: Option<u64>) -> Self {
        let is_done = stream.as_ref().is_none_or(RecvStream::is_end_stream);
        let (next, piece) = (Bytes::new(), Bytes::new());
        Self { stream, left: length, next, piece, owed: 0, trailers: Vec::new(), is_done }
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
        self.piece = std::mem::take(&mut self.next);
        if let Some(left) = &mut self.left {
            // The `h2` crate holds a body to its `content-length`, but lets one follow a head that has none.
            *left = left
                .checked_sub(self.piece.len() as u64)
                .ok_or(BodyError::Malformed(Malformed("more than was announced")))?;
        }
        Ok(!self.piece.is_empty())
    }

    /// Lets go of what was read, and has the peer send more in its place.
    pub fn release(&mut self) {
        self.piece = Bytes::new();
        let owed = std::mem::take(&mut self.owed);
        if let Some(stream) = self.stream.as_mut().filter(|_| owed > 0) {
            // It fails only for a stream that has ended, whose window is not needed.
            let _ = stream.flow_control().release_capacity(owed);
        }
    }

    /// Reads more. True when there was something, false at the end.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, BodyError>> {
        while let Some(stream) = self.stream.as_mut().filter(|_| !self.is_done) {
            match ready!(stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    self.owed += data.len();
                    self.is_done = stream.is_end_stream();
                    if !data.is_empty() {
                        self.next = data;
                        return Poll::Ready(Ok(true));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => {
                    if let Some(trailers) = ready!(stream.poll_trailers(cx)).map_err(broken)? {
                        self.trailers = lines::of_trailers(&trailers);
                    }
                    self.is_done = true;
                }
            }
        }
        Poll::Ready(Ok(false))
    }
}

fn broken(error: h2::Error) -> BodyError {
    BodyError::Io(io::Error::other(error))
}
