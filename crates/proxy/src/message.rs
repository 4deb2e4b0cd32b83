//! A body as it comes in from either side: read on demand, decoded in place, handed on piece by piece.
//!
//! Nobody reads ahead of what was handed on. That is the back-pressure, and the bound on memory.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::time::Duration;

use evenkeel_net::Io;
use evenkeel_types::{Clock, Time};

use crate::buffer::Buffers;
use crate::h1::body::{Decoder, Malformed, Step};
use crate::h1::framing::Framing;
use crate::timer::{Limit, Timer};

/// From when on the average rate of a body counts: a slow start is no attack.
const RATE_GRACE: Duration = Duration::from_secs(10);

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
    /// Bytes of trailers.
    pub trailers_max: usize,
}

/// Why a body ends before its end.
#[derive(Debug)]
pub enum BodyError {
    /// Its framing is broken.
    Malformed(Malformed),
    /// The connection closed within it.
    Cut,
    /// The connection failed within it.
    Io(io::Error),
    /// Nothing came for too long, or too little.
    Timeout,
    /// The time for the whole exchange was up.
    Deadline,
    /// It has more bytes than allowed.
    TooLarge,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(m) => write!(f, "malformed body: {m}"),
            Self::Cut => f.write_str("connection closed within the body"),
            Self::Io(e) => write!(f, "connection failed within the body: {e}"),
            Self::Timeout => f.write_str("body too slow"),
            Self::Deadline => f.write_str("request timeout"),
            Self::TooLarge => f.write_str("body too large"),
        }
    }
}

/// A body on its way in.
#[derive(Debug)]
pub struct Body<'a> {
    io: &'a Io,
    buffers: &'a Buffers,
    clock: Clock,
    limits: BodyLimits,
    framing: Framing,
    decoder: Decoder,
    /// What was read along with the head, and how much of it has been used.
    early: &'a [u8],
    early_used: usize,
    /// What was read since, and how much of it has been used. Takes a buffer only when there is need.
    own: Vec<u8>,
    own_used: usize,
    piece: Piece,
    /// Cleared at the first piece: whoever waits for it to be asked for waits no more.
    pub awaited: Option<&'a Cell<bool>>,
    /// True once anything was read that did not come with the head.
    has_read: bool,
    timer: Timer,
    since: Option<Time>,
    bytes: u64,
}

/// What [`Body::advance`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advance {
    /// The next piece is [`Body::piece`].
    Piece,
    /// There is none left.
    End,
    /// The next piece must be read first. Whoever holds something back should let go of it now.
    MustRead,
}

#[derive(Debug, Clone)]
enum Piece {
    Early(Range<usize>),
    Own(Range<usize>),
}

impl<'a> Body<'a> {
    /// The body that follows a head, of which `early` has been read already.
    pub fn new(
        io: &'a Io,
        buffers: &'a Buffers,
        clock: Clock,
        framing: Framing,
        early: &'a [u8],
        limits: BodyLimits,
    ) -> Self {
        Self {
            io,
            buffers,
            clock,
            limits,
            framing,
            decoder: Decoder::new(framing, limits.trailers_max),
            early,
            early_used: 0,
            own: Vec::new(),
            own_used: 0,
            piece: Piece::Early(0..0),
            awaited: None,
            has_read: false,
            timer: Timer::new(clock),
            since: None,
            bytes: 0,
        }
    }

    /// Sets when all of it must be there.
    pub fn end_by(&mut self, at_most: Option<Time>) {
        self.limits.at_most = at_most;
    }

    /// How it is delimited.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// True while the client may be waiting to be asked for it, and never send it otherwise.
    pub fn is_awaited(&self) -> bool {
        self.awaited.is_some_and(Cell::get)
    }

    /// True when all of it was read.
    pub fn is_done(&self) -> bool {
        self.decoder.is_done()
    }

    /// Bytes of data so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
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

    /// Goes back to the start, which is possible as long as nothing was read but what came with the head.
    pub fn rewind(&mut self) -> bool {
        if self.has_read {
            return false;
        }
        self.decoder = Decoder::new(self.framing, self.limits.trailers_max);
        self.early_used = 0;
        self.bytes = 0;
        true
    }

    /// The piece that [`advance`](Self::advance) came to.
    pub fn piece(&self) -> &[u8] {
        match &self.piece {
            Piece::Early(range) => &self.early[range.clone()],
            Piece::Own(range) => &self.own[range.clone()],
        }
    }

    /// Goes to the next piece, if it has been read already.
    ///
    /// # Errors
    /// The body ends here, before its end.
    pub fn advance(&mut self) -> Result<Advance, BodyError> {
        if let Some(piece) = self.decode().map_err(BodyError::Malformed)? {
            self.bytes += piece.len() as u64;
            if self.limits.bytes_max.is_some_and(|max| self.bytes > max) {
                return Err(BodyError::TooLarge);
            }
            self.piece = piece;
            if let Some(awaited) = self.awaited {
                awaited.set(false);
            }
            return Ok(Advance::Piece);
        }
        Ok(if self.is_done() { Advance::End } else { Advance::MustRead })
    }

    /// The next piece of what has been read.
    fn decode(&mut self) -> Result<Option<Piece>, Malformed> {
        while self.early_used < self.early.len() {
            match self.decoder.step(&self.early[self.early_used..])? {
                Step::Data { start, end } => {
                    let piece = Piece::Early(self.early_used + start..self.early_used + end);
                    self.early_used += end;
                    return Ok(Some(piece));
                }
                Step::More => self.early_used = self.early.len(),
                Step::End(used) => {
                    self.early_used += used;
                    return Ok(None);
                }
            }
        }
        while self.own_used < self.own.len() {
            match self.decoder.step(&self.own[self.own_used..])? {
                Step::Data { start, end } => {
                    let piece = Piece::Own(self.own_used + start..self.own_used + end);
                    self.own_used += end;
                    return Ok(Some(piece));
                }
                Step::More => self.own_used = self.own.len(),
                Step::End(used) => {
                    self.own_used += used;
                    return Ok(None);
                }
            }
        }
        Ok(None)
    }

    /// Waits for more to be read. May be dropped while it waits without losing anything.
    ///
    /// # Errors
    /// There will be no more, or not in time.
    pub async fn read(&mut self) -> Result<(), BodyError> {
        self.buffers.give(std::mem::take(&mut self.own));
        self.own_used = 0;
        self.check_rate()?;
        let Self { io, buffers, own, .. } = self;
        let stall = Limit { at_most: self.limits.at_most, ..self.limits.stall.into() };
        match self.timer.within(stall, poll_fn(|cx| buffers.poll_large(io, cx, own))).await {
            Err(_) if self.limits.at_most.is_some_and(|at_most| self.clock.now() >= at_most) => {
                Err(BodyError::Deadline)
            }
            Err(_) => Err(BodyError::Timeout),
            Ok(Err(error)) => Err(BodyError::Io(error)),
            Ok(Ok(0)) => self.decoder.finish().map_err(|_| BodyError::Cut),
            Ok(Ok(_)) => {
                self.has_read = true;
                Ok(())
            }
        }
    }

    fn check_rate(&mut self) -> Result<(), BodyError> {
        if self.limits.rate_min == 0 {
            return Ok(());
        }
        if self.bytes == 0 {
            // A client that waits for a 100 is not slow.
            return Ok(());
        }
        let now = self.clock.now();
        let took = now - *self.since.get_or_insert(now);
        let expected = self.limits.rate_min.saturating_mul(took.as_secs());
        if took > RATE_GRACE && self.bytes < expected { Err(BodyError::Timeout) } else { Ok(()) }
    }
}

impl Drop for Body<'_> {
    fn drop(&mut self) {
        self.buffers.give(std::mem::take(&mut self.own));
    }
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Early(range) | Self::Own(range) => range.len(),
        }
    }
}
