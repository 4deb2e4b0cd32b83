//! A body as it comes in from either side: read on demand, decoded in place, handed on piece by piece.
//!
//! Nothing is read ahead of what was handed on. That is the back-pressure, and the bound on memory.

mod bytes;
mod error;
mod http1;
mod replay;
mod stream;

use std::cell::Cell;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use evenkeel_types::{Clock, Time};

pub use self::bytes::FromBytes;
pub use self::error::BodyError;
pub use self::http1::FromHttp1;
use self::replay::Kept;
pub use self::stream::FromStream;
use crate::http::framing::Framing;
use crate::worker::buffers::ReadSize;
use crate::worker::pipes::{Lent, Pipes};
use crate::worker::timer::Timer;

/// From when on the average rate of a body counts, in either direction: a slow start is no attack.
pub const RATE_GRACE: Duration = Duration::from_secs(10);
/// How much of an unread body is read after the response so that its connection can go on.
const DRAIN_MAX: u64 = 64 * 1024;

/// What a body may cost.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Between two reads.
    pub stall: Duration,
    /// When all of it must be there.
    pub at_most: Option<Time>,
    /// Bytes a second that it must average; 0 is no minimum.
    pub rate_min: u64,
    /// Bytes of data in all.
    pub bytes_max: Option<u64>,
}

/// A body on its way in.
#[derive(Debug)]
pub struct Body<'a> {
    source: Source<'a>,
    clock: Clock,
    limits: BodyLimits,
    framing: Framing,
    /// Cleared at the first piece: a client that sends it waits for no 100 any more.
    pub awaited: Option<&'a Cell<bool>>,
    /// True once anything was read that did not come with the head.
    has_read: bool,
    /// In a box, because most bodies have none.
    kept: Option<Box<Kept>>,
    timer: Timer,
    /// More is waited for.
    is_reading: bool,
    /// When the wait for more is over; known once there is something to wait for.
    due: Option<Time>,
    since: Option<Time>,
    bytes: u64,
    copy: Option<Box<Copied>>,
}

/// What has passed of a body that is copied.
#[derive(Debug)]
struct Copied {
    bytes: Vec<u8>,
    max: usize,
    overflows: bool,
}

impl Copied {
    fn add(&mut self, piece: &[u8]) {
        self.overflows |= self.bytes.len() + piece.len() > self.max;
        if self.overflows {
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(piece);
        }
    }
}

/// Where a body comes from.
#[derive(Debug)]
pub enum Source<'a> {
    /// A connection of its own.
    Http1(FromHttp1<'a>),
    /// A stream among others.
    Stream(FromStream),
    /// Memory.
    Bytes(FromBytes),
}

/// One call on whichever source it is.
macro_rules! source {
    ($self:ident, $source:ident => $call:expr) => {
        match $self.source {
            Source::Http1(ref $source) => $call,
            Source::Stream(ref $source) => $call,
            Source::Bytes(ref $source) => $call,
        }
    };
    ($self:ident, mut $source:ident => $call:expr) => {
        match $self.source {
            Source::Http1(ref mut $source) => $call,
            Source::Stream(ref mut $source) => $call,
            Source::Bytes(ref mut $source) => $call,
        }
    };
}

/// What [`Body::advance`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advance {
    /// The next piece is [`Body::piece`].
    Piece,
    /// There is none left.
    End,
    /// The next piece must be read first. The caller should send what it holds back.
    MustRead,
}

impl<'a> Body<'a> {
    /// The body that follows a head.
    pub fn new(source: Source<'a>, framing: Framing, clock: Clock, limits: BodyLimits) -> Self {
        let timer = Timer::new(clock);
        Self {
            source,
            clock,
            limits,
            framing,
            awaited: None,
            has_read: false,
            kept: None,
            timer,
            is_reading: false,
            due: None,
            since: None,
            bytes: 0,
            copy: None,
        }
    }

    /// Sets when all of it must be there.
    pub fn end_by(&mut self, at_most: Option<Time>) {
        self.limits.at_most = at_most;
        self.is_reading = false;
    }

    /// Sets how many bytes of data it may have in all.
    pub fn limit_bytes(&mut self, max: Option<u64>) {
        self.limits.bytes_max = max;
    }

    /// Copies what passes from here on, up to so many bytes of data.
    pub fn copy_up_to(&mut self, max: usize) {
        self.copy = Some(Box::new(Copied { bytes: Vec::new(), max, overflows: false }));
    }

    /// What has passed since [`copy_up_to`](Self::copy_up_to); `None` if that was more than asked for.
    pub fn take_copy(&mut self) -> Option<Vec<u8>> {
        self.copy.take().filter(|copy| !copy.overflows).map(|copy| copy.bytes)
    }

    /// Lets it go on for as long as it likes: it has become a tunnel.
    pub fn lift_limits(&mut self) {
        self.limits = BodyLimits { stall: Duration::MAX, at_most: None, rate_min: 0, bytes_max: None };
        self.is_reading = false;
    }

    /// How it is delimited.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// True while the client may be waiting to be asked for it, and never send it otherwise.
    pub fn is_awaited(&self) -> bool {
        self.awaited.is_some_and(Cell::get)
    }

    /// True when all of it was read, and handed on.
    pub fn is_done(&self) -> bool {
        source!(self, s => s.is_done()) && !self.kept.as_ref().is_some_and(|kept| kept.is_due())
    }

    /// Bytes of data so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of data still to come, when that is known.
    pub fn left(&self) -> Option<u64> {
        source!(self, s => s.left())
    }

    /// The trailer section with its empty line, at the end of a body that had one.
    pub fn trailers(&self) -> &[u8] {
        source!(self, s => s.trailers())
    }

    /// What was read beyond the end of the body.
    pub fn surplus(&self) -> [&[u8]; 2] {
        match &self.source {
            Source::Http1(source) => source.surplus(),
            Source::Stream(_) | Source::Bytes(_) => [b"", b""],
        }
    }

    /// Keeps up to `max` bytes of it as it is read, so that it can be [rewound](Self::rewind) later than otherwise. One
    /// that is known to be longer is not kept at all.
    pub fn keep(&mut self, max: usize) {
        if self.left().is_none_or(|left| left <= max as u64) {
            self.kept = Some(Box::new(Kept::new(max)));
        }
    }

    /// True if it can go back to the start: nothing was read but what came with the head, or all that was is kept.
    pub fn can_rewind(&self) -> bool {
        !self.has_read || self.kept.is_some()
    }

    /// Goes back to the start, if that is possible.
    pub fn rewind(&mut self) {
        debug_assert!(self.can_rewind());
        if self.has_read {
            if let Some(kept) = &mut self.kept {
                kept.rewind();
            }
            return;
        }
        match &mut self.source {
            Source::Http1(source) => source.rewind(),
            Source::Bytes(source) => source.rewind(),
            Source::Stream(_) => {}
        }
        if let Some(kept) = &mut self.kept {
            kept.clear();
        }
        self.bytes = 0;
        if let Some(copy) = &mut self.copy {
            (copy.bytes, copy.overflows) = (Vec::new(), false);
        }
    }

    /// Passes what came with the head: it has been sent.
    pub fn skip_early(&mut self) {
        while !self.is_done() && matches!(self.advance(), Ok(Advance::Piece)) {}
    }

    /// The piece that [`advance`](Self::advance) came to.
    pub fn piece(&self) -> &[u8] {
        let kept = self.kept.as_ref().and_then(|kept| kept.piece());
        kept.unwrap_or_else(|| source!(self, s => s.piece()))
    }

    /// Goes to the next piece, if it has been read already.
    ///
    /// # Errors
    /// The body ends here, before its end.
    pub fn advance(&mut self) -> Result<Advance, BodyError> {
        if self.kept.as_mut().is_some_and(|kept| kept.advance()) {
            return Ok(Advance::Piece);
        }
        let has_piece = match &mut self.source {
            Source::Http1(source) => source.advance().map_err(BodyError::Malformed)?,
            Source::Stream(source) => source.advance()?,
            Source::Bytes(source) => source.advance(),
        };
        if has_piece {
            self.bytes += self.piece().len() as u64;
            if self.limits.bytes_max.is_some_and(|max| self.bytes > max) {
                return Err(BodyError::TooLarge);
            }
            if let Some(copy) = &mut self.copy {
                copy.add(source!(self, s => s.piece()));
            }
            if let Some(awaited) = self.awaited {
                awaited.set(false);
            }
            if let Some(kept) = self.kept.take() {
                self.kept = self.keep_piece(kept);
            }
            return Ok(Advance::Piece);
        }
        Ok(if self.is_done() { Advance::End } else { Advance::MustRead })
    }

    /// Keeps the piece of the moment, unless that makes too much of it.
    fn keep_piece(&self, mut kept: Box<Kept>) -> Option<Box<Kept>> {
        let came_along = !self.has_read && kept.is_empty() && source!(self, s => s.is_done());
        // What came with the head lies there still, and need not be copied if nothing follows.
        (came_along || kept.add(source!(self, s => s.piece()))).then_some(kept)
    }

    /// Sets how much is read at a time, which over HTTP/2 the window says.
    pub fn read_in(&mut self, size: ReadSize) {
        if let Source::Http1(source) = &mut self.source {
            source.read_size = size;
        }
    }

    /// True if something has come that was not read yet, as the last poll of the kernel says. That is known of connections in clear
    /// that are its own.
    pub fn is_ready(&self) -> bool {
        matches!(&self.source, Source::Http1(source) if source.is_ready())
    }

    /// Waits for more to be read. May be dropped while it waits without losing anything.
    ///
    /// # Errors
    /// There will be no more, or not in time.
    pub async fn read(&mut self) -> Result<(), BodyError> {
        poll_fn(|cx| self.poll_read(cx)).await
    }

    /// The same, polled.
    ///
    /// # Errors
    /// There will be no more, or not in time.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        let read = ready!(self.poll_in_time(cx, |source, cx| match source {
            Source::Http1(source) => source.poll_read(cx),
            Source::Stream(source) => source.poll_read(cx),
            Source::Bytes(_) => Poll::Ready(Ok(false)),
        }))?;
        self.has_read |= read;
        Poll::Ready(Ok(()))
    }

    /// Bytes of data that are all still to come and may be moved on without our seeing them; 0 if we must.
    pub fn left_unseen(&self) -> u64 {
        let is_looked_at = self.copy.is_some() || self.kept.is_some() || self.limits.bytes_max.is_some();
        match &self.source {
            Source::Http1(source) if !is_looked_at => source.left_unseen(),
            _ => 0,
        }
    }

    /// Waits for more of what is [left unseen](Self::left_unseen), and has the kernel move it into a pipe; `None` if there is no
    /// pipe. May be dropped while it waits without losing anything.
    ///
    /// # Errors
    /// There will be no more, or not in time.
    pub async fn fill<'p>(&mut self, pipes: &'p Pipes) -> Result<Option<Lent<'p>>, BodyError> {
        let filled = poll_fn(|cx| {
            self.poll_in_time(cx, |source, cx| match source {
                Source::Http1(source) => source.poll_fill(cx, pipes),
                Source::Stream(_) | Source::Bytes(_) => Poll::Ready(Ok(None)),
            })
        });
        let filled = filled.await?;
        if let Some(lent) = &filled {
            self.bytes += lent.held() as u64;
            self.has_read = true;
        }
        Ok(filled)
    }

    /// Polls the source for more, which must come in time.
    fn poll_in_time<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Source<'a>, &mut Context<'_>) -> Poll<Result<T, BodyError>>,
    ) -> Poll<Result<T, BodyError>> {
        if !self.is_reading {
            source!(self, mut s => s.release());
            self.check_rate()?;
            (self.is_reading, self.due) = (true, None);
        }
        if let Poll::Ready(read) = poll(&mut self.source, cx) {
            self.is_reading = false;
            return Poll::Ready(read);
        }
        let BodyLimits { stall, at_most, .. } = self.limits;
        let due = *self.due.get_or_insert_with(|| {
            let due = self.clock.now() + stall;
            at_most.map_or(due, |at_most| due.min(at_most))
        });
        ready!(self.timer.poll_until(cx, due));
        self.is_reading = false;
        let is_over = at_most.is_some_and(|at_most| self.clock.now() >= at_most);
        Poll::Ready(Err(if is_over { BodyError::Deadline } else { BodyError::Timeout }))
    }

    /// True unless it is known that [`drain`](Self::drain) would give up.
    pub fn is_worth_draining(&self) -> bool {
        self.left().is_none_or(|left| left <= DRAIN_MAX)
    }

    /// Reads what is left of it, which the answer did not wait for; false if that is too much, or may never come.
    pub async fn drain(&mut self) -> bool {
        if self.is_done() {
            return true;
        }
        if self.is_awaited() {
            return false;
        }
        // The exchange that had a time to keep is over.
        self.end_by(None);
        let before = self.bytes;
        while self.bytes - before <= DRAIN_MAX {
            match self.advance() {
                Ok(Advance::Piece) => {}
                Ok(Advance::End) => return true,
                Ok(Advance::MustRead) if self.read().await.is_ok() => {}
                Ok(Advance::MustRead) | Err(_) => return false,
            }
        }
        false
    }

    fn check_rate(&mut self) -> Result<(), BodyError> {
        if self.limits.rate_min == 0 {
            return Ok(());
        }
        if self.bytes == 0 && !self.has_read {
            // A client that waits for a 100 is not slow. One that sends chunk extensions and no chunk is.
            return Ok(());
        }
        let now = self.clock.now();
        let took = now - *self.since.get_or_insert(now);
        let expected = self.limits.rate_min.saturating_mul(took.as_secs());
        if took > RATE_GRACE && self.bytes < expected { Err(BodyError::Timeout) } else { Ok(()) }
    }
}
