//! One fetch that many requests read from while it arrives.

use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::chunks::Chunks;
use crate::flights::Flight;
use crate::head::Head;
use crate::object::Object;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, lock};

/// A fetch in progress: one writer, any number of readers, on any threads.
#[derive(Debug)]
pub(crate) struct Fill<M> {
    key: Box<[u8]>,
    /// The number of the newest purge when its request left.
    sequence: u64,
    /// The object that it revalidates.
    of: Option<Arc<Object<M>>>,
    /// Whether it asks the disk, and no server.
    loads: bool,
    state: Mutex<State<M>>,
    /// What all fills of the store occupy, in bytes.
    filling: Arc<AtomicU64>,
}

#[derive(Debug)]
struct State<M> {
    phase: Phase<M>,
    /// Until it is known what becomes of the response.
    flight: Option<Flight>,
    chunks: Chunks,
    /// What of `filling` is this fill's.
    counted: u64,
    /// It is longer than what may be stored: pieces are dropped when all readers have taken them.
    passing: bool,
    /// While the body passes, the writer is at most so many bytes ahead of the slowest reader.
    window: u64,
    readers: Vec<Option<Place>>,
    /// Which of them is the disk.
    spool: Option<usize>,
    writer: Option<Waker>,
    trailers: Bytes,
    stored: Option<Arc<Object<M>>>,
}

/// How far it has come.
#[derive(Debug)]
pub(crate) enum Phase<M> {
    /// The head has not come yet.
    Asked,
    /// Its readers must go on without it: nothing is to be shared, for this reason.
    Alone(Why),
    /// The object that it revalidates is as good as new.
    Instead(Arc<Object<M>>),
    /// The head is there, and the body arrives.
    Open(Arc<Head<M>>),
    /// The whole body is there.
    Whole(Arc<Head<M>>),
    /// It broke off after the head.
    Broken,
    /// What was on the disk is in memory now, or is not there: its readers have to look again.
    Again,
}

impl<M> Clone for Phase<M> {
    fn clone(&self) -> Self {
        match self {
            Self::Asked => Self::Asked,
            Self::Alone(why) => Self::Alone(*why),
            Self::Instead(object) => Self::Instead(Arc::clone(object)),
            Self::Open(head) => Self::Open(Arc::clone(head)),
            Self::Whole(head) => Self::Whole(Arc::clone(head)),
            Self::Broken => Self::Broken,
            Self::Again => Self::Again,
        }
    }
}

/// Why a request that waited for another's fetch gets nothing of it, and nearly always has to fetch for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The response may not be shared.
    Private,
    /// There was no response, or the one who fetched has given up.
    Failed,
    /// No server could be reached, so that the request need not try either: the status of the error for its client.
    Unreachable(u16),
}

/// A reader and how far it is.
#[derive(Debug, Default)]
struct Place {
    position: u64,
    waker: Option<Waker>,
}

/// A step of a reader.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// The next bytes.
    Chunk(Bytes),
    /// The body is complete. The trailer section as it was given, empty if there was none.
    End(Bytes),
    /// The fetch broke off: what was read so far must not pass for the whole.
    Failed,
}

/// What the writer learns when it has given a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It goes on.
    Going,
    /// No reader is left, and it may not be stored.
    Abandoned,
}

impl<M> Fill<M> {
    /// The window of a body that comes from a server.
    pub const WINDOW: u64 = 1 << 20;

    pub fn new(key: &[u8], flight: Flight, of: Option<Arc<Object<M>>>, filling: Arc<AtomicU64>) -> Self {
        let sequence = flight.sequence();
        let state = State {
            phase: Phase::Asked,
            flight: Some(flight),
            chunks: Chunks::default(),
            counted: 0,
            passing: false,
            window: Self::WINDOW,
            readers: Vec::new(),
            spool: None,
            writer: None,
            trailers: Bytes::new(),
            stored: None,
        };
        Self { key: key.into(), sequence, of, loads: false, state: Mutex::new(state), filling }
    }

    /// The same, but it asks the disk.
    pub fn for_load(mut self) -> Self {
        self.loads = true;
        self
    }

    pub fn loads(&self) -> bool {
        self.loads
    }

    pub fn key(&self) -> &[u8] {
        &self.key
    }

    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    pub fn of(&self) -> Option<&Arc<Object<M>>> {
        self.of.as_ref()
    }

    pub fn phase(&self) -> Phase<M> {
        lock(&self.state).phase.clone()
    }

    /// Adds a reader at the beginning; `None` if it is too late to read from there.
    pub fn join(&self) -> Option<usize> {
        let mut state = lock(&self.state);
        if state.passing || !matches!(state.phase, Phase::Asked | Phase::Open(_)) {
            return None;
        }
        Some(state.add_reader())
    }

    /// Takes a reader away.
    pub fn leave(&self, reader: usize) {
        let mut state = lock(&self.state);
        state.readers[reader] = None;
        let waker = state.moved(&self.filling);
        drop(state);
        wake(waker);
    }

    /// Notes that a reader is the disk.
    pub fn set_spool(&self, reader: usize) {
        lock(&self.state).spool = Some(reader);
    }

    /// Sends the disk away: it has nothing more to read. If only `slow`: unless others are slower. Returns whether it
    /// is gone.
    pub fn drop_spool(&self, slow: bool) -> bool {
        let mut state = lock(&self.state);
        let Some(spool) = state.spool else { return true };
        let position = state.readers[spool].as_ref().map(|place| place.position);
        if slow && position.is_some() && position != state.slowest() {
            return false;
        }
        state.spool = None;
        let waiting = state.readers[spool].take().and_then(|place| place.waker);
        let writer = state.moved(&self.filling);
        drop(state);
        wake(waiting.into_iter().chain(writer));
        true
    }

    /// Waits until it is known what becomes of the fetch.
    pub fn poll_phase(&self, reader: usize, cx: &Context<'_>) -> Poll<Phase<M>> {
        let mut state = lock(&self.state);
        if matches!(state.phase, Phase::Asked) {
            state.wait(reader, cx);
            return Poll::Pending;
        }
        Poll::Ready(state.phase.clone())
    }

    /// The next piece for a reader.
    pub fn poll_next(&self, reader: usize, cx: &Context<'_>) -> Poll<Piece> {
        let mut state = lock(&self.state);
        let Some(position) = state.readers[reader].as_ref().map(|place| place.position) else {
            return Poll::Ready(Piece::Failed);
        };
        match state.phase {
            Phase::Open(_) | Phase::Whole(_) => {}
            Phase::Asked => {
                state.wait(reader, cx);
                return Poll::Pending;
            }
            Phase::Alone(_) | Phase::Instead(_) | Phase::Broken | Phase::Again => {
                return Poll::Ready(Piece::Failed);
            }
        }
        if let Some(bytes) = state.chunks.at(position) {
            let waker = state.advance(reader, bytes.len() as u64, &self.filling);
            drop(state);
            wake(waker);
            return Poll::Ready(Piece::Chunk(bytes));
        }
        if matches!(state.phase, Phase::Whole(_)) {
            return Poll::Ready(Piece::End(state.trailers.clone()));
        }
        state.wait(reader, cx);
        // It may go on for this reader, although another one is slow.
        let writer = state.writer.take();
        drop(state);
        wake(writer);
        Poll::Pending
    }

    /// Lets a reader begin at a later offset.
    pub fn skip(&self, reader: usize, bytes: u64) {
        let mut state = lock(&self.state);
        let waker = state.advance(reader, bytes, &self.filling);
        drop(state);
        wake(waker);
    }

    /// Says what becomes of the fetch, and lets all readers know.
    pub fn set_phase(&self, phase: Phase<M>) {
        let mut state = lock(&self.state);
        if matches!(phase, Phase::Broken) {
            state.chunks.clear();
            state.recount(&self.filling);
        }
        let is_under_way = matches!(phase, Phase::Asked | Phase::Open(_));
        let over = state.flight.take_if(|_| !is_under_way);
        state.phase = phase;
        let wakers = state.take_wakers();
        drop(state);
        drop(over);
        wake(wakers);
    }

    /// Appends a piece of the body. The memory for it was counted in `filling`.
    pub fn push(&self, bytes: Bytes, counted: u64) -> Progress {
        let mut state = lock(&self.state);
        let merge = !state.passing;
        state.chunks.push(bytes, merge);
        state.counted += counted;
        state.recount(&self.filling);
        let mut wakers = state.take_wakers();
        wakers.extend(state.moved(&self.filling));
        let progress = state.progress();
        drop(state);
        wake(wakers);
        progress
    }

    /// From now on, the body passes by and is not kept.
    pub fn pass(&self, window: u64) {
        let mut state = lock(&self.state);
        (state.passing, state.window) = (true, window);
        let waker = state.moved(&self.filling);
        drop(state);
        wake(waker);
    }

    /// Waits until the slowest reader is near enough, or another one has nothing to read and `has_room` for more.
    pub fn poll_ready(&self, cx: &Context<'_>, has_room: impl FnOnce() -> bool) -> Poll<Progress> {
        let mut state = lock(&self.state);
        let end = state.chunks.end();
        let is_ahead = state.slowest().is_some_and(|slowest| end > slowest.saturating_add(state.window));
        if !state.passing || !is_ahead {
            return Poll::Ready(state.progress());
        }
        if state.is_awaited() && has_room() {
            return Poll::Ready(state.progress());
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// How much of the body has come, in bytes.
    pub fn body_len(&self) -> u64 {
        lock(&self.state).chunks.end()
    }

    /// The whole body for an object. `None` if it passes by.
    pub fn body(&self) -> Option<Vec<Bytes>> {
        let mut state = lock(&self.state);
        (!state.passing).then(|| state.chunks.finish())
    }

    /// Stops counting the memory of the body, because an object counts it from now on. Returns what it was.
    pub fn uncount(&self) -> u64 {
        let counted = std::mem::take(&mut lock(&self.state).counted);
        self.filling.fetch_sub(counted, Ordering::AcqRel);
        counted
    }

    /// Counts it again, because the object was not stored.
    pub fn recount(&self, counted: u64) {
        lock(&self.state).counted += counted;
        self.filling.fetch_add(counted, Ordering::AcqRel);
    }

    /// The whole body is there. `stored`: the object that has the same memory; it counts as held while the fetch is read.
    pub fn complete(&self, head: Arc<Head<M>>, trailers: Bytes, stored: Option<Arc<Object<M>>>) {
        let mut state = lock(&self.state);
        state.trailers = trailers;
        state.stored = stored;
        drop(state);
        self.set_phase(Phase::Whole(head));
    }
}

impl<M> Drop for Fill<M> {
    fn drop(&mut self) {
        let counted = lock(&self.state).counted;
        self.filling.fetch_sub(counted, Ordering::AcqRel);
    }
}

impl<M> State<M> {
    fn add_reader(&mut self) -> usize {
        if let Some(free) = self.readers.iter().position(Option::is_none) {
            self.readers[free] = Some(Place::default());
            return free;
        }
        self.readers.push(Some(Place::default()));
        self.readers.len() - 1
    }

    fn wait(&mut self, reader: usize, cx: &Context<'_>) {
        if let Some(place) = &mut self.readers[reader] {
            match &mut place.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
        }
    }

    /// Moves a reader on. Returns the writer if it waited for that.
    fn advance(&mut self, reader: usize, bytes: u64, filling: &AtomicU64) -> Option<Waker> {
        let place = self.readers[reader].as_mut()?;
        place.position = place.position.saturating_add(bytes);
        self.moved(filling)
    }

    /// While the body passes by, forgets what all readers have taken. Returns the writer if it may go on.
    fn moved(&mut self, filling: &AtomicU64) -> Option<Waker> {
        if !self.passing {
            return None;
        }
        let slowest = self.slowest().unwrap_or(u64::MAX);
        self.chunks.drop_before(slowest);
        self.recount(filling);
        let is_near = self.chunks.end() <= slowest.saturating_add(self.window);
        if is_near || self.is_awaited() { self.writer.take() } else { None }
    }

    /// Gives back what was counted for pieces that are gone.
    fn recount(&mut self, filling: &AtomicU64) {
        let memory = self.chunks.memory();
        if memory < self.counted {
            filling.fetch_sub(self.counted - memory, Ordering::AcqRel);
            self.counted = memory;
        }
    }

    /// True if a reader has taken all that there is.
    fn is_awaited(&self) -> bool {
        self.readers.iter().flatten().any(|place| place.position >= self.chunks.end())
    }

    fn slowest(&self) -> Option<u64> {
        self.readers.iter().flatten().map(|place| place.position).min()
    }

    fn progress(&self) -> Progress {
        let alone = self.readers.iter().all(Option::is_none);
        if self.passing && alone { Progress::Abandoned } else { Progress::Going }
    }

    fn take_wakers(&mut self) -> Vec<Waker> {
        self.readers.iter_mut().flatten().filter_map(|place| place.waker.take()).collect()
    }
}

/// Wakes tasks, for which no lock may be held.
fn wake(wakers: impl IntoIterator<Item = Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}

#[cfg(test)]
mod tests;
