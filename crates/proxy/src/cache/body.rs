//! The body of a response that is not read from a server's connection by the task that sends it: kept in memory or on the disk, or
//! on its way there.

use std::future::poll_fn;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use evenkeel_cache::{Coded, Piece, Reader};
use evenkeel_core::encoding::Encoding;
use evenkeel_net::MemoryFile;
use tokio::sync::mpsc;

use super::disk::{DISK_MAX, DiskBody};
use super::store::{Meta, Object};
use crate::body::Advance;

/// Pieces that are sent in one call at most: some 2 MiB.
const PIECES_MAX: usize = 16;

/// Where the bytes are.
#[derive(Debug)]
pub enum Origin {
    /// In memory, whole.
    Kept(Arc<Object>),
    /// On the disk.
    Disk(DiskBody),
    /// In memory, whole and compressed.
    Coded {
        /// The compressed body.
        coded: Arc<Coded>,
        /// What it belongs to: while this is held, the store counts the memory of both.
        _object: Arc<Object>,
    },
    /// On their way into memory.
    Filling(Reader<Meta>),
    /// On their way to this client alone.
    Private(mpsc::Receiver<PrivatePiece>),
}

impl Origin {
    /// The bytes from `start` on, as far as they lie in memory in one piece; none of a body on its way.
    fn chunk_at(&self, start: u64) -> Option<Bytes> {
        match self {
            Self::Kept(object) => object.chunk_at(start),
            Self::Coded { coded, .. } => coded.chunk_at(start),
            Self::Disk(_) | Self::Filling(_) | Self::Private(_) => None,
        }
    }

    /// The bytes from `start` on, or the end, if all of it is in memory.
    fn in_memory(&self, start: u64) -> Option<Piece> {
        let trailers = match self {
            Self::Kept(object) => object.trailers(),
            // Only a body without trailers is kept compressed.
            Self::Coded { .. } => &[],
            Self::Disk(_) | Self::Filling(_) | Self::Private(_) => return None,
        };
        let end = || Piece::End(Bytes::copy_from_slice(trailers));
        Some(self.chunk_at(start).map_or_else(end, Piece::Chunk))
    }
}

/// A step of a body that one client alone gets.
#[derive(Debug)]
pub enum PrivatePiece {
    /// The next bytes.
    Chunk(Bytes),
    /// It is complete; the trailer section, empty if there was none.
    End(Bytes),
}

/// What is sent, in order.
#[derive(Debug)]
pub enum Segment {
    /// Text of our own: the head of a part.
    Text(Bytes),
    /// This much of the body. Over a body that is on its way, they follow one another.
    Body(Range<u64>),
}

/// A body that is sent from memory.
#[derive(Debug)]
pub struct CachedBody {
    origin: Origin,
    /// What is sent, the next one last.
    segments: Vec<Segment>,
    /// How much of the body was taken from its origin.
    offset: u64,
    piece: Bytes,
    trailers: Bytes,
    /// What was read and is not sent yet.
    read: Option<Piece>,
}

/// The fetch that a body comes from has broken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokeOff;

impl CachedBody {
    /// All of it.
    pub fn whole(origin: Origin) -> Self {
        Self::of(origin, vec![Segment::Body(0..u64::MAX)])
    }

    /// These parts of it.
    pub fn of(origin: Origin, mut segments: Vec<Segment>) -> Self {
        segments.reverse();
        Self { origin, segments, offset: 0, piece: Bytes::new(), trailers: Bytes::new(), read: None }
    }

    /// What it is all of, if that is kept in memory as it came.
    pub fn kept(&self) -> Option<&Arc<Object>> {
        match (&self.origin, &self.segments[..]) {
            (Origin::Kept(object), [Segment::Body(range)]) if *range == (0..u64::MAX) => Some(object),
            _ => None,
        }
    }

    /// Sends the compressed form of what is kept instead, if there is one in this coding of this level or a higher one.
    /// Returns the lengths of the body and of that form, in bytes.
    pub fn take_coded(&mut self, encoding: Encoding, level_min: u32) -> Option<(u64, u64)> {
        let object = self.kept()?;
        let coded = object.coded(encoding).filter(|coded| coded.level() >= level_min)?;
        let lengths = (object.body_len(), coded.body_len());
        self.origin = Origin::Coded { coded, _object: Arc::clone(object) };
        Some(lengths)
    }

    /// Goes to the next piece, if it is there.
    ///
    /// # Errors
    /// The fetch that it comes from has broken off.
    pub fn advance(&mut self) -> Result<Advance, BrokeOff> {
        loop {
            match self.segments.last_mut() {
                None => return Ok(Advance::End),
                Some(Segment::Text(text)) => {
                    self.piece = std::mem::take(text);
                    self.segments.pop();
                    return Ok(Advance::Piece);
                }
                Some(Segment::Body(range)) if range.is_empty() => {
                    self.segments.pop();
                }
                Some(Segment::Body(range)) => {
                    let wanted = range.clone();
                    match self.poll_from(wanted.start, &mut Context::from_waker(Waker::noop())) {
                        Poll::Pending => return Ok(Advance::MustRead),
                        Poll::Ready(Piece::Failed) => return Err(BrokeOff),
                        Poll::Ready(Piece::End(trailers)) if wanted.end == u64::MAX => {
                            self.trailers = trailers;
                            self.segments.pop();
                        }
                        // Shorter than its head said.
                        Poll::Ready(Piece::End(_)) => return Err(BrokeOff),
                        Poll::Ready(Piece::Chunk(mut bytes)) => {
                            let left = usize::try_from(wanted.end - wanted.start).unwrap_or(usize::MAX);
                            if bytes.len() > left {
                                self.read = Some(Piece::Chunk(bytes.split_off(left)));
                            }
                            if let Some(Segment::Body(range)) = self.segments.last_mut() {
                                range.start += bytes.len() as u64;
                            }
                            self.offset += bytes.len() as u64;
                            self.piece = bytes;
                            return Ok(Advance::Piece);
                        }
                    }
                }
            }
        }
    }

    /// The piece that [`advance`](Self::advance) came to.
    pub fn piece(&self) -> &[u8] {
        &self.piece
    }

    /// True if it lies in memory in more than one piece.
    pub fn is_long(&self) -> bool {
        match &self.origin {
            Origin::Kept(object) => object.is_in_pieces(),
            Origin::Coded { coded, .. } => coded.is_in_pieces(),
            Origin::Disk(_) | Origin::Filling(_) | Origin::Private(_) => false,
        }
    }

    /// A file in memory, and what of it comes next; `None` if the body is not in one, or a text of our own comes next.
    pub fn next_of_file(&self) -> Option<(Arc<MemoryFile>, Range<u64>)> {
        let (file, length) = match &self.origin {
            Origin::Kept(object) => (object.memory_file()?, object.body_len()),
            Origin::Coded { coded, .. } => (coded.memory_file()?, coded.body_len()),
            Origin::Disk(_) | Origin::Filling(_) | Origin::Private(_) => return None,
        };
        let Some(Segment::Body(range)) = self.segments.last() else { return None };
        Some((Arc::clone(file), range.start..range.end.min(length)))
    }

    /// The next pieces of a part, as far as they lie in memory: at most [`PIECES_MAX`]. None of a text of our own.
    pub fn next_pieces(&self) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        let Some(Segment::Body(range)) = self.segments.last() else { return pieces };
        let mut offset = range.start;
        while pieces.len() < PIECES_MAX && offset < range.end {
            let Some(mut piece) = self.origin.chunk_at(offset) else { break };
            piece.truncate(usize::try_from(range.end - offset).unwrap_or(usize::MAX));
            offset += piece.len() as u64;
            pieces.push(piece);
        }
        pieces
    }

    /// Goes on behind so many bytes of [`next_pieces`](Self::next_pieces) or [`next_of_file`](Self::next_of_file).
    pub fn skip(&mut self, bytes: u64) {
        if let Some(Segment::Body(range)) = self.segments.last_mut() {
            range.start += bytes;
        }
    }

    /// The trailer section with its empty line; empty if there is none.
    pub fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// Waits until there is more.
    pub async fn read(&mut self) {
        self.piece = Bytes::new();
        let Some(Segment::Body(range)) = self.segments.last() else { return };
        let from = range.start;
        self.read_from(from).await;
    }

    async fn read_from(&mut self, from: u64) {
        let is_on_disk = matches!(self.origin, Origin::Disk(_));
        let reading = poll_fn(|cx| self.poll_from(from, cx));
        let piece = if is_on_disk {
            tokio::time::timeout(DISK_MAX, reading).await.unwrap_or(Piece::Failed)
        } else {
            reading.await
        };
        self.read = Some(piece);
    }

    /// Reads the first piece that is needed. Returns whether it is there; nothing has been sent then.
    pub async fn begin(&mut self) -> bool {
        let first = self.segments.iter().rev().find_map(|segment| match segment {
            Segment::Body(range) => Some(range.start),
            Segment::Text(_) => None,
        });
        let Some(first) = first else { return true };
        self.read_from(first).await;
        self.read != Some(Piece::Failed)
    }

    /// The bytes from `start` on, which is not before what was taken of a body on its way.
    fn poll_from(&mut self, start: u64, cx: &mut Context<'_>) -> Poll<Piece> {
        if let Some(piece) = self.origin.in_memory(start) {
            self.offset = start;
            return Poll::Ready(piece);
        }
        if start < self.offset && matches!(self.origin, Origin::Disk(_)) {
            self.read = None;
        }
        loop {
            let piece = match self.read.take() {
                Some(piece) => piece,
                None => match &mut self.origin {
                    Origin::Kept(_) | Origin::Coded { .. } => return Poll::Ready(Piece::Failed),
                    Origin::Disk(body) => {
                        self.offset = start;
                        std::task::ready!(body.poll_from(start, cx))
                    }
                    Origin::Filling(reader) => {
                        if self.offset < start {
                            reader.skip(start - self.offset);
                            self.offset = start;
                        }
                        std::task::ready!(reader.poll_next(cx))
                    }
                    Origin::Private(pieces) => match std::task::ready!(pieces.poll_recv(cx)) {
                        Some(PrivatePiece::Chunk(bytes)) => Piece::Chunk(bytes),
                        Some(PrivatePiece::End(trailers)) => Piece::End(trailers),
                        None => Piece::Failed,
                    },
                },
            };
            // What lies before the part that is wanted.
            match piece {
                Piece::Chunk(mut bytes) if self.offset < start => {
                    let before = usize::try_from(start - self.offset).unwrap_or(usize::MAX).min(bytes.len());
                    self.offset += before as u64;
                    let rest = bytes.split_off(before);
                    if !rest.is_empty() {
                        return Poll::Ready(Piece::Chunk(rest));
                    }
                }
                piece => return Poll::Ready(piece),
            }
        }
    }
}
