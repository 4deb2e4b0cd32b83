//! A body on its way through an encoder: compressed as it comes, flushed when nothing more is there.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::task::Poll;

use evenkeel_cache::Recorder;
use evenkeel_observe::Ended;

use super::encoder::Operation;
use super::pool::Lease;
use super::turns::Looked;
use crate::body::Advance;
use crate::cache::store::Meta;
use crate::http::field::is_digest;
use crate::server::upload::Sending;
use crate::stream::{Stream, StreamError};
use crate::worker::Worker;
use crate::worker::buffers::ReadSize;

/// After this many bytes of input the worker turns to its other connections: 0.6 ms of gzip at level 4.
const TURN: usize = 64 * 1024;

/// Where the bytes come from.
#[derive(Debug)]
pub enum Source<'x, 'c> {
    /// They come piece by piece.
    Stream(Stream<'x, 'c>),
    /// They are there.
    Bytes(Cow<'x, [u8]>),
}

/// A body that is compressed as it is sent.
#[derive(Debug)]
pub struct Compressed<'x, 'c> {
    source: Source<'x, 'c>,
    lease: Lease<'x>,
    worker: &'x Worker,
    /// Keeps what it becomes for later requests.
    recorder: Option<Recorder<Meta>>,
    /// What the encoder has let go of.
    out: Vec<u8>,
    state: State,
    /// Bytes that the encoder has taken of the source's piece.
    at: usize,
    /// The encoder may hold something back.
    holds_back: bool,
    /// Bytes of input in this turn.
    turn: usize,
    bytes_in: u64,
    bytes_out: u64,
}

/// What is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Go to the source's next piece.
    Next,
    /// Compress the source's piece.
    Piece,
    /// Let go of what the encoder holds back.
    Flush,
    /// Wait for a turn, and compress the source's piece then.
    Pause,
    /// End the compressed body.
    Finish,
    /// It has ended.
    Done,
}

impl<'x, 'c> Compressed<'x, 'c> {
    /// The body that `source` becomes, recorded as it is sent if there is a recorder.
    pub fn new(
        source: Source<'x, 'c>,
        lease: Lease<'x>,
        worker: &'x Worker,
        recorder: Option<Recorder<Meta>>,
    ) -> Self {
        let state = match &source {
            Source::Stream(_) => State::Next,
            Source::Bytes(_) => State::Piece,
        };
        Self {
            source,
            lease,
            worker,
            recorder,
            out: Vec::new(),
            state,
            at: 0,
            holds_back: false,
            turn: 0,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// The rest of the request, which must be sent while the response is.
    pub fn take_sending(&mut self) -> Sending<'x, 'c> {
        match &mut self.source {
            Source::Stream(stream) => stream.take_sending(),
            Source::Bytes(_) => Sending::Done(Ok(())),
        }
    }

    /// Goes to the next piece of the compressed body, if what it is made of has been read already.
    ///
    /// # Errors
    /// The source ends here, before its end; or the encoder failed.
    pub fn advance(&mut self) -> Result<Advance, StreamError> {
        self.out.clear();
        if self.out.capacity() == 0 {
            self.out = self.worker.buffers.medium();
        }
        loop {
            match self.state {
                State::Next => {
                    let Source::Stream(stream) = &mut self.source else {
                        self.state = State::Finish;
                        continue;
                    };
                    match stream.advance()? {
                        Advance::Piece => (self.at, self.state) = (0, State::Piece),
                        Advance::End => self.state = State::Finish,
                        Advance::MustRead => return Ok(Advance::MustRead),
                    }
                }
                State::Piece if self.turn >= TURN => self.state = State::Pause,
                State::Piece => self.compress_piece()?,
                State::Flush => self.let_go(Operation::Flush, State::Next)?,
                State::Finish => self.let_go(Operation::Finish, State::Done)?,
                // What is there goes out meanwhile.
                State::Pause => return Ok(Advance::MustRead),
                State::Done => {
                    self.recorder.take().map(Recorder::finish);
                    return Ok(Advance::End);
                }
            }
            if !self.out.is_empty() {
                self.bytes_out += self.out.len() as u64;
                if let Some(recorder) = &mut self.recorder {
                    recorder.push(&self.out);
                }
                return Ok(Advance::Piece);
            }
        }
    }

    fn compress_piece(&mut self) -> Result<(), StreamError> {
        let piece = match &self.source {
            Source::Stream(stream) => stream.piece(),
            Source::Bytes(bytes) => bytes,
        };
        let left = &piece[self.at..];
        let input = &left[..left.len().min(TURN - self.turn)];
        let is_last = input.len() == left.len();
        let progress =
            self.lease.encode(input, Operation::Go, &mut self.out).map_err(StreamError::Encoder)?;
        self.at += progress.taken;
        self.turn += progress.taken;
        self.bytes_in += progress.taken as u64;
        self.holds_back = true;
        if is_last && progress.taken == input.len() {
            self.state = State::Next;
        }
        Ok(())
    }

    fn let_go(&mut self, operation: Operation, then: State) -> Result<(), StreamError> {
        if self.lease.encode(b"", operation, &mut self.out).map_err(StreamError::Encoder)?.is_done {
            (self.holds_back, self.state) = (false, then);
        }
        Ok(())
    }

    /// The piece that [`advance`](Self::advance) came to.
    pub fn piece(&self) -> &[u8] {
        &self.out
    }

    /// Waits for more to be read of the source, `size` at a time; or, if that is not there yet, comes back at once with what
    /// the encoder held back, so that a client of an event stream waits for nothing that has been sent.
    ///
    /// # Errors
    /// There will be no more, or not in time.
    pub async fn read(&mut self, size: ReadSize) -> Result<(), StreamError> {
        if self.state == State::Pause {
            let mut looked = Looked::default();
            tokio::task::yield_now().await;
            while !self.lease.may_go_on(&mut looked) {
                tokio::task::yield_now().await;
            }
            (self.turn, self.state) = (0, State::Piece);
            return Ok(());
        }
        // What waits holds no buffer.
        self.worker.buffers.give(std::mem::take(&mut self.out));
        let Source::Stream(stream) = &mut self.source else { return Ok(()) };
        // In a box, because it is a stream's reading within a stream's.
        let mut read = Box::pin(stream.read(size));
        let (mut holds_back, mut has_waited) = (self.holds_back, false);
        let ended = poll_fn(|cx| match read.as_mut().poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending if std::mem::take(&mut holds_back) => Poll::Ready(None),
            Poll::Pending => {
                has_waited = true;
                Poll::Pending
            }
        });
        let ended = ended.await;
        if has_waited {
            self.turn = 0;
        }
        match ended {
            Some(ended) => ended,
            None => {
                self.state = State::Flush;
                Ok(())
            }
        }
    }

    /// The trailer section of the source, at its end, without what tells of the bytes as they came.
    ///
    /// # Errors
    /// It is malformed.
    pub fn trailers(&self) -> Result<Vec<u8>, StreamError> {
        let Source::Stream(stream) = &self.source else { return Ok(Vec::new()) };
        let section = stream.trailers()?;
        let name = |line: &[u8]| memchr::memchr(b':', line).unwrap_or(0);
        let stays = |line: &&[u8]| {
            let name = &line[..name(line)];
            !is_digest(name) && !name.eq_ignore_ascii_case(b"etag")
        };
        let kept: Vec<u8> =
            section.split_inclusive(|b| *b == b'\n').filter(stays).flatten().copied().collect();
        // The empty line alone is no section.
        Ok(if kept == b"\r\n" { Vec::new() } else { kept })
    }

    /// All of it has been sent on, and of the request this much to the server.
    pub fn finish(mut self, sending: &Sending<'_, '_>) {
        let source = std::mem::replace(&mut self.source, Source::Bytes(Cow::Borrowed(b"")));
        if let Source::Stream(stream) = source {
            stream.finish(sending);
        }
    }

    /// It broke off after a part of it had gone to the client. Tells how the request ended.
    pub fn broke_off(&self, error: &StreamError) -> Ended {
        match &self.source {
            Source::Stream(stream) => stream.broke_off(error),
            Source::Bytes(_) => Ended::Refused,
        }
    }
}

impl Drop for Compressed<'_, '_> {
    fn drop(&mut self) {
        self.worker.metrics.compressed(self.lease.encoding(), self.bytes_in, self.bytes_out);
        self.worker.buffers.give(std::mem::take(&mut self.out));
    }
}
