//! The rest of a request on its way to a server: its body as it comes in, piece by piece, and its trailers.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io::IoSlice;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use evenkeel_net::Io;
use evenkeel_types::{Clock, Time};

use super::h1::Ours;
use crate::body::{Advance, Body, BodyError};
use crate::http::chunks::Malformed;
use crate::http::framing::Framing;
use crate::http::head::HeadLimits;
use crate::http::{trailers, write};
use crate::http2::Exchange;
use crate::worker::buffers::Buffers;
use crate::worker::timer::{Limit, Timer};

/// By whose doing a request could not be sent.
#[derive(Debug)]
pub enum UploadError {
    /// The client did not send its body.
    Client(BodyError),
    /// The server did not take it. It may have answered all the same.
    Server,
}

/// What a body needs on its way, whatever it is sent over.
#[derive(Debug, Clone, Copy)]
pub struct Passage<'x> {
    /// Where buffers come from and go to.
    pub buffers: &'x Buffers,
    /// Names that its trailers may not have.
    pub ours: Ours<'x>,
    /// What its trailers may measure.
    pub heads: HeadLimits,
    /// How long the server may take none of it.
    pub stall: Limit,
}

/// A request on its way to a server, beside which the answer is waited for.
#[derive(Debug)]
pub enum Sending<'x, 'c> {
    /// It has ended, like this.
    Done(Result<(), UploadError>),
    /// In a box, because most requests are nothing but a head.
    Going(Box<Upload<'x, 'c>>),
}

impl Sending<'_, '_> {
    /// True while it goes on.
    pub fn goes_on(&self) -> bool {
        matches!(self, Self::Going(_))
    }

    /// How it ended; `None` while it goes on.
    pub fn result(&self) -> Option<&Result<(), UploadError>> {
        match self {
            Self::Done(result) => Some(result),
            Self::Going(_) => None,
        }
    }

    /// Sends what can be sent now.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Self::Going(upload) = self {
            *self = Self::Done(ready!(upload.poll(cx)));
        }
        Poll::Ready(())
    }

    /// Goes on until all is sent, `None`, or `other` is ready before that.
    pub async fn beside<F: Future>(&mut self, mut other: Pin<&mut F>) -> Option<F::Output> {
        poll_fn(|cx| {
            if self.poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            other.as_mut().poll(cx).map(Some)
        })
        .await
    }

    /// Goes on until `other` is ready.
    pub async fn until<F: Future>(&mut self, mut other: Pin<&mut F>) -> F::Output {
        poll_fn(|cx| {
            // Whether or not all is sent: `other` decides.
            let _ = self.poll(cx);
            other.as_mut().poll(cx)
        })
        .await
    }
}

/// A body that is being sent.
#[derive(Debug)]
pub struct Upload<'x, 'c> {
    body: &'x RefCell<Body<'c>>,
    out: Out,
    passage: Passage<'x>,
    step: Step,
    timer: Timer,
    clock: Clock,
    /// When the server has taken nothing for too long; known while it takes nothing.
    due: Option<Time>,
}

/// Where a body goes.
#[derive(Debug)]
pub enum Out {
    /// Over a connection of its own, behind these bytes.
    Http1(Rc<Io>, Vec<u8>),
    /// Over a stream that its head has opened.
    Http2(Rc<Exchange>),
}

/// What is done next.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The body's next piece is looked for.
    Next,
    /// The piece is sent, of which, with what goes in front of it, so many bytes have been.
    Piece { sent: usize },
    /// What waits is sent before more is read.
    Flush { sent: usize },
    /// More is read.
    Read,
    /// The end is sent.
    End { sent: usize },
}

impl<'x, 'c> Upload<'x, 'c> {
    /// The body that follows a head.
    pub fn new(body: &'x RefCell<Body<'c>>, out: Out, passage: Passage<'x>, clock: Clock) -> Self {
        let timer = Timer::new(clock);
        Self { body, out, passage, step: Step::Next, timer, clock, due: None }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UploadError>> {
        loop {
            self.step = match self.step {
                Step::Next => self.advance()?,
                Step::Piece { .. } => {
                    ready!(self.poll_send(cx, true))?;
                    Step::Next
                }
                Step::Flush { .. } => {
                    ready!(self.poll_send(cx, false))?;
                    Step::Read
                }
                Step::Read => {
                    ready!(self.body.borrow_mut().poll_read(cx)).map_err(UploadError::Client)?;
                    Step::Next
                }
                Step::End { .. } => return self.poll_send(cx, false),
            };
        }
    }

    /// Looks at what there is of the body, and makes it ready to be sent.
    fn advance(&mut self) -> Result<Step, UploadError> {
        let body = &mut *self.body.borrow_mut();
        Ok(match (body.advance().map_err(UploadError::Client)?, &mut self.out) {
            (Advance::Piece, _) => Step::Piece { sent: 0 },
            (Advance::MustRead, Out::Http1(_, waiting)) if !waiting.is_empty() => Step::Flush { sent: 0 },
            (Advance::MustRead, _) => Step::Read,
            (Advance::End, out) => {
                let trailers = pass_trailers(body, &self.passage)?;
                end(out, &trailers, body.framing() == Framing::Chunked)?;
                Step::End { sent: 0 }
            }
        })
    }

    /// Sends what waits, and the body's piece behind it if there is a `piece`.
    fn poll_send(&mut self, cx: &mut Context<'_>, piece: bool) -> Poll<Result<(), UploadError>> {
        loop {
            let (is_sent, has_moved) = self.try_send(piece)?;
            if is_sent {
                self.due = None;
                return Poll::Ready(Ok(()));
            }
            if has_moved {
                self.due = None;
            }
            let room = match &mut self.out {
                Out::Http1(io, _) => io.poll_writable(cx).map_err(|_| UploadError::Server),
                // When there is room, the connection's task has this one be polled.
                Out::Http2(stream) => stream.poll_failed(cx).map(|()| Err(UploadError::Server)),
            };
            if let Poll::Ready(room) = room {
                room?;
                continue;
            }
            let Limit { after, at_most, .. } = self.passage.stall;
            let due = *self.due.get_or_insert_with(|| {
                let due = self.clock.now() + after;
                at_most.map_or(due, |at_most| due.min(at_most))
            });
            return self.timer.poll_until(cx, due).map(|()| Err(UploadError::Server));
        }
    }

    /// Sends what can be sent at once: whether that is all, and whether it is anything.
    fn try_send(&mut self, piece: bool) -> Result<(bool, bool), UploadError> {
        let (Step::Piece { sent } | Step::Flush { sent } | Step::End { sent }) = &mut self.step else {
            return Ok((true, false));
        };
        let (io, waiting) = match &mut self.out {
            Out::Http1(io, waiting) => (io, waiting),
            Out::Http2(_) if !piece => return Ok((true, false)),
            Out::Http2(stream) => {
                let body = self.body.borrow();
                let left = &body.piece()[*sent..];
                let taken = stream.send(left, false).map_err(|_| UploadError::Server)?;
                *sent += taken;
                return Ok((taken == left.len(), taken > 0));
            }
        };
        let body = self.body.borrow();
        let (buffers, has_waited) = (self.passage.buffers, !waiting.is_empty());
        let (mut line, mut parts) = ([0; 18], [&waiting[..], b"", b"", b""]);
        if piece {
            parts[2] = body.piece();
            if body.framing() == Framing::Chunked {
                (parts[1], parts[3]) = (write::chunk_size(parts[2].len(), &mut line), b"\r\n");
            }
        }
        let whole: usize = parts.iter().map(|part| part.len()).sum();
        let mut slices = parts.map(IoSlice::new);
        let mut left = &mut slices[..];
        IoSlice::advance_slices(&mut left, *sent);
        let is_sent = io.write_some(&mut left).map_err(|_| UploadError::Server)?;
        let now_sent = whole - left.iter().map(|slice| slice.len()).sum::<usize>();
        let has_moved = now_sent > std::mem::replace(sent, now_sent);
        if is_sent && has_waited {
            // A body that comes slowly holds no buffer meanwhile.
            buffers.give(std::mem::take(waiting));
        }
        Ok((is_sent, has_moved))
    }
}

impl Drop for Upload<'_, '_> {
    fn drop(&mut self) {
        if let Out::Http1(_, waiting) = &mut self.out {
            self.passage.buffers.give(std::mem::take(waiting));
        }
    }
}

/// Makes the end of a body ready to be sent.
fn end(out: &mut Out, trailers: &[u8], is_chunked: bool) -> Result<(), UploadError> {
    match out {
        Out::Http1(_, waiting) if is_chunked => {
            waiting.extend_from_slice(b"0\r\n");
            waiting.extend_from_slice(if trailers.is_empty() { b"\r\n" } else { trailers });
            Ok(())
        }
        Out::Http1(..) => Ok(()),
        Out::Http2(stream) if trailers.is_empty() => {
            stream.send(b"", true).map(drop).map_err(|_| UploadError::Server)
        }
        Out::Http2(stream) => stream.send_trailers(trailers).map_err(|_| UploadError::Server),
    }
}

fn pass_trailers(body: &Body<'_>, passage: &Passage<'_>) -> Result<Vec<u8>, UploadError> {
    let malformed = |_| UploadError::Client(BodyError::Malformed(Malformed("malformed trailers")));
    trailers::pass(body.trailers(), passage.heads, |name| passage.ours.holds(name)).map_err(malformed)
}
