//! A body of HTTP/1.1: bytes of its connection, decoded in place.

use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use evenkeel_net::Io;

use super::error::BodyError;
use crate::http::chunks::{Decoder, Malformed, Step};
use crate::http::framing::Framing;
use crate::worker::buffers::{Buffers, ReadSize};
use crate::worker::pipes::{Lent, Pipes};

/// Where the body comes from, and how far it was read.
#[derive(Debug)]
pub struct FromHttp1<'a> {
    io: Rc<Io>,
    buffers: &'a Buffers,
    framing: Framing,
    trailers_max: usize,
    decoder: Decoder,
    /// What was read along with the head, and how much of it has been used.
    early: &'a [u8],
    early_used: usize,
    /// What was read since, and how much of it has been used. Takes a buffer only when there is need.
    own: Vec<u8>,
    own_used: usize,
    piece: Piece,
    /// How much is read at a time.
    pub read_size: ReadSize,
}

#[derive(Debug, Clone)]
enum Piece {
    Early(Range<usize>),
    Own(Range<usize>),
}

impl<'a> FromHttp1<'a> {
    /// The body that follows a head, of which `early` has been read already.
    pub fn new(
        io: &Rc<Io>,
        buffers: &'a Buffers,
        framing: Framing,
        early: &'a [u8],
        trailers_max: usize,
    ) -> Self {
        Self {
            io: Rc::clone(io),
            buffers,
            framing,
            trailers_max,
            decoder: Decoder::new(framing, trailers_max),
            early,
            early_used: 0,
            own: Vec::new(),
            own_used: 0,
            piece: Piece::Early(0..0),
            read_size: ReadSize::Large,
        }
    }

    /// The body that follows a head in a buffer of its own, of which the first `head` bytes are the head.
    pub fn behind(
        io: &Rc<Io>,
        buffers: &'a Buffers,
        framing: Framing,
        (buf, head): (Vec<u8>, usize),
        trailers_max: usize,
    ) -> Self {
        let mut body = Self::new(io, buffers, framing, b"", trailers_max);
        (body.own, body.own_used) = (buf, head);
        body
    }

    /// True when all of it was read.
    pub fn is_done(&self) -> bool {
        self.decoder.is_done()
    }

    /// Bytes of data still to come, when that is known.
    pub fn left(&self) -> Option<u64> {
        self.decoder.left()
    }

    /// The trailer section with its empty line, at the end of a body that had one.
    pub fn trailers(&self) -> &[u8] {
        self.decoder.trailers()
    }

    /// What was read beyond the end of the body.
    pub fn surplus(&self) -> [&[u8]; 2] {
        [&self.early[self.early_used..], &self.own[self.own_used..]]
    }

    /// Goes back to the start; nothing may have been read but what came with the head.
    pub fn rewind(&mut self) {
        self.decoder = Decoder::new(self.framing, self.trailers_max);
        self.early_used = 0;
    }

    /// The piece that [`advance`](Self::advance) came to.
    pub fn piece(&self) -> &[u8] {
        match &self.piece {
            Piece::Early(range) => &self.early[range.clone()],
            Piece::Own(range) => &self.own[range.clone()],
        }
    }

    /// Goes to the next piece of what has been read; false if there is none.
    pub fn advance(&mut self) -> Result<bool, Malformed> {
        while self.early_used < self.early.len() {
            match self.decoder.step(&self.early[self.early_used..])? {
                Step::Data { start, end } => {
                    self.piece = Piece::Early(self.early_used + start..self.early_used + end);
                    self.early_used += end;
                    return Ok(true);
                }
                Step::More => self.early_used = self.early.len(),
                Step::End(used) => {
                    self.early_used += used;
                    return Ok(false);
                }
            }
        }
        while self.own_used < self.own.len() {
            match self.decoder.step(&self.own[self.own_used..])? {
                Step::Data { start, end } => {
                    self.piece = Piece::Own(self.own_used + start..self.own_used + end);
                    self.own_used += end;
                    return Ok(true);
                }
                Step::More => self.own_used = self.own.len(),
                Step::End(used) => {
                    self.own_used += used;
                    return Ok(false);
                }
            }
        }
        if !self.is_done() {
            // What was read may wait for a client that takes none of it: the buffer need not wait with it.
            self.release();
        }
        Ok(false)
    }

    /// Lets go of what was read, before more is.
    pub fn release(&mut self) {
        self.buffers.give(std::mem::take(&mut self.own));
        self.own_used = 0;
    }

    /// Bytes of data that the kernel may move from the connection, since all of them are still to be read, are in clear, and of a
    /// known number.
    pub fn left_unseen(&self) -> u64 {
        let has_unused = self.early_used < self.early.len() || self.own_used < self.own.len();
        if has_unused || !self.io.splices() { 0 } else { self.left().unwrap_or(0) }
    }

    /// Moves what has come, and no more than is [left](Self::left_unseen), into a pipe of `pipes`; `None` if there is none.
    pub fn poll_fill<'p>(
        &mut self,
        cx: &mut Context<'_>,
        pipes: &'p Pipes,
    ) -> Poll<Result<Option<Lent<'p>>, BodyError>> {
        let max = usize::try_from(self.left_unseen()).unwrap_or(usize::MAX);
        loop {
            ready!(self.io.poll_readable(cx)).map_err(BodyError::Io)?;
            let Some(mut lent) = pipes.lend() else { return Poll::Ready(Ok(None)) };
            match lent.fill(&self.io, max) {
                Ok(0) => return Poll::Ready(Err(BodyError::Cut)),
                Ok(bytes) => {
                    self.decoder.pass(bytes as u64);
                    return Poll::Ready(Ok(Some(lent)));
                }
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Poll::Ready(Err(BodyError::Io(error))),
            }
        }
    }

    /// True if something has come that was not read yet, as the last poll of the kernel says; never over TLS.
    pub fn is_ready(&self) -> bool {
        self.io.is_ready_to_read()
    }

    /// Reads more. True when there was something, false at the end.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, BodyError>> {
        let read = ready!(self.buffers.poll_sized(self.read_size, &self.io, cx, &mut self.own));
        Poll::Ready(match read {
            Err(error) => Err(BodyError::Io(error)),
            Ok(0) => self.decoder.finish().map(|()| false).map_err(|_| BodyError::Cut),
            Ok(_) => Ok(true),
        })
    }
}

impl Drop for FromHttp1<'_> {
    fn drop(&mut self) {
        self.release();
    }
}
