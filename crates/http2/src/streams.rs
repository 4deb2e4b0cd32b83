//! The streams of a connection: those that are open, in slots that are used again, and what is known of closed ones.

use std::ops::{Index, IndexMut};

use crate::flow::{ReceiveWindow, SendWindow};
use crate::priority::Priority;
use crate::schedule::Queue;

/// Bytes of a body whose length is not known.
pub(crate) const UNKNOWN: u64 = u64::MAX;
/// No slot.
pub(crate) const NONE: u32 = u32::MAX;
/// Closed streams of which is known how they came to be that.
const REMEMBERED: usize = 1024;

/// A stream of a connection. Its slot is free again once it has ended, and then is that of another stream: a caller may
/// keep what it knows of a stream in an array by slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamId {
    pub(crate) number: u32,
    pub(crate) slot: u32,
}

impl StreamId {
    /// The id by which the peer knows it (RFC 9113, 5.1.1).
    pub fn number(self) -> u32 {
        self.number
    }

    /// Where it is kept: a small number that no other open stream of the connection has.
    pub fn slot(self) -> usize {
        self.slot as usize
    }
}

/// One direction of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    /// Its head, or a final one, is still to come.
    Head,
    /// Data may come.
    Body,
    /// It has ended.
    Closed,
}

/// An open stream.
#[derive(Debug)]
pub(crate) struct Stream {
    /// 0 in a free slot.
    pub(crate) number: u32,
    pub(crate) local: Half,
    pub(crate) remote: Half,
    pub(crate) send: SendWindow,
    pub(crate) receive: ReceiveWindow,
    /// What the peer's `content-length` leaves to come.
    pub(crate) body_left: u64,
    /// True if the response has no body whatever its head says, since it answers HEAD.
    pub(crate) is_bodiless: bool,
    /// True if it asks for a tunnel or is one.
    pub(crate) is_tunnel: bool,
    /// What the peer has said, if it has.
    pub(crate) priority: Option<Priority>,
    /// True if there is data that was not taken.
    pub(crate) wants: bool,
    /// True if it has ended, and only holds data that was not consumed.
    is_retired: bool,
    /// True while it is in the queue.
    pub(crate) is_queued: bool,
    pub(crate) prev: u32,
    pub(crate) next: u32,
    /// The pace of what comes and of what goes.
    pub(crate) pace: [crate::pace::Progress; 2],
}

impl Stream {
    pub(crate) fn new(number: u32, send: u32, receive: u32) -> Self {
        Self {
            number,
            local: Half::Head,
            remote: Half::Head,
            send: SendWindow::new(send),
            receive: ReceiveWindow::new(receive),
            body_left: UNKNOWN,
            is_bodiless: false,
            is_tunnel: false,
            priority: None,
            wants: false,
            is_retired: false,
            is_queued: false,
            prev: NONE,
            next: NONE,
            pace: <_>::default(),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.local == Half::Closed && self.remote == Half::Closed
    }

    /// Takes `bytes` off what `content-length` announces; false if they are more than that, or if they are the last and
    /// fewer.
    pub(crate) fn count_body(&mut self, bytes: usize, ends: bool) -> bool {
        if self.body_left == UNKNOWN {
            return true;
        }
        let Some(left) = self.body_left.checked_sub(bytes as u64) else { return false };
        self.body_left = left;
        !ends || left == 0
    }
}

/// The streams of a connection.
#[derive(Debug)]
pub(crate) struct Streams {
    slots: Vec<Stream>,
    /// The first free slot; the others follow by `next`.
    free: u32,
    /// Slots by stream number, with open addressing: numbers and slots, 0 for nothing.
    index: Vec<(u32, u32)>,
    active: u32,
    /// Those that have ended and are still kept.
    held: u32,
    /// Those with data that was not taken.
    wanting: u32,
    /// The last stream that was opened, by its number.
    pub(crate) last: u32,
    pub(crate) queue: Queue,
    /// Those of the last numbers that were opened at all, and those that we reset, once there is one.
    opened: Bits,
    reset: Option<Box<Bits>>,
}

/// A bit for each of the last numbers.
#[derive(Debug, Default)]
struct Bits([u64; REMEMBERED / 64]);

impl Bits {
    fn set(&mut self, at: usize, value: bool) {
        let word = &mut self.0[at % REMEMBERED / 64];
        *word = *word & !(1 << (at % 64)) | u64::from(value) << (at % 64);
    }

    fn get(&self, at: usize) -> bool {
        self.0[at % REMEMBERED / 64] >> (at % 64) & 1 != 0
    }
}

impl Default for Streams {
    fn default() -> Self {
        let (queue, opened, reset) = <_>::default();
        Self {
            slots: Vec::new(),
            free: NONE,
            index: Vec::new(),
            active: 0,
            held: 0,
            wanting: 0,
            last: 0,
            queue,
            opened,
            reset,
        }
    }
}

impl Index<u32> for Streams {
    type Output = Stream;

    #[inline]
    fn index(&self, slot: u32) -> &Stream {
        &self.slots[slot as usize]
    }
}

impl IndexMut<u32> for Streams {
    #[inline]
    fn index_mut(&mut self, slot: u32) -> &mut Stream {
        &mut self.slots[slot as usize]
    }
}

impl Streams {
    /// How many are open.
    pub(crate) fn active(&self) -> u32 {
        self.active
    }

    /// Notes whether a stream has data that was not taken.
    #[inline]
    pub(crate) fn set_wants(&mut self, slot: u32, wants: bool) {
        let before = std::mem::replace(&mut self[slot].wants, wants);
        self.wanting = self.wanting + u32::from(wants) - u32::from(before);
    }

    /// True if other streams have data that was not taken.
    #[inline]
    pub(crate) fn others_want(&self, slot: u32) -> bool {
        self.wanting > u32::from(self[slot].wants)
    }

    /// The slot of a stream if it is still open.
    #[inline]
    pub(crate) fn slot(&self, stream: StreamId) -> Option<u32> {
        let found = self.slots.get(stream.slot())?;
        (found.number == stream.number).then_some(stream.slot)
    }

    /// The slot of an open stream by its number.
    #[inline]
    pub(crate) fn find(&self, number: u32) -> Option<u32> {
        if self.index.is_empty() || number == 0 {
            return None;
        }
        let mask = self.index.len() - 1;
        let mut at = place(number) & mask;
        loop {
            match self.index[at] {
                (found, slot) if found == number => return Some(slot),
                (0, _) => return None,
                _ => at = (at + 1) & mask,
            }
        }
    }

    /// What callers know a stream by.
    pub(crate) fn id(&self, slot: u32) -> StreamId {
        StreamId { number: self[slot].number, slot }
    }

    /// Open streams, in no order.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Stream)> {
        (0..).zip(&mut self.slots).filter(|(_, stream)| stream.number != 0)
    }

    /// The first open stream from a slot on that is `like` this.
    pub(crate) fn next_slot(&self, from: u32, like: impl Fn(&Stream) -> bool) -> Option<u32> {
        (from..self.slots.len() as u32).find(|slot| self[*slot].number != 0 && like(&self[*slot]))
    }

    /// The peer, or we, have used a number: the ones that were left out before it count as closed.
    pub(crate) fn reach(&mut self, number: u32) {
        let (from, to) = (ordinal(self.last) + 1, ordinal(number));
        for at in from.max(to.saturating_sub(REMEMBERED - 1))..=to {
            self.opened.set(at, at == to);
            if let Some(reset) = &mut self.reset {
                reset.set(at, false);
            }
        }
        self.last = number;
    }

    /// Opens a stream, whose number has been reached.
    pub(crate) fn insert(&mut self, stream: Stream) -> u32 {
        let number = stream.number;
        let slot = if self.free == NONE {
            self.slots.push(stream);
            self.slots.len() as u32 - 1
        } else {
            let slot = self.free;
            self.free = self[slot].next;
            self[slot] = stream;
            slot
        };
        self.active += 1;
        if (self.active + self.held) as usize * 2 > self.index.len() {
            self.grow_index();
        }
        self.enter(number, slot);
        slot
    }

    /// Forgets a stream that has ended.
    pub(crate) fn remove(&mut self, slot: u32) {
        self.dequeue(slot);
        self.set_wants(slot, false);
        let number = std::mem::replace(&mut self[slot].number, 0);
        self[slot].next = self.free;
        self.free = slot;
        self.active -= u32::from(!self[slot].is_retired);
        self.held -= u32::from(self[slot].is_retired);
        self.leave(number);
    }

    /// Counts a stream as ended that is still kept.
    pub(crate) fn retire(&mut self, slot: u32) {
        if !std::mem::replace(&mut self[slot].is_retired, true) {
            self.active -= 1;
            self.held += 1;
        }
    }

    /// Remembers that we reset a stream: frames of it may still be under way, and are no fault of the peer.
    pub(crate) fn remember_reset(&mut self, number: u32) {
        let at = ordinal(number);
        if ordinal(self.last) - at < REMEMBERED {
            self.reset.get_or_insert_default().set(at, true);
        }
    }

    /// True if we may have reset a stream that is closed: so many may be under way that it is no longer known of the old ones.
    pub(crate) fn may_be_reset(&self, number: u32) -> bool {
        let at = ordinal(number);
        ordinal(self.last) - at >= REMEMBERED || self.reset.as_ref().is_some_and(|reset| reset.get(at))
    }

    /// True unless a number that is not beyond the last was left out, not too long ago.
    pub(crate) fn was_opened(&self, number: u32) -> bool {
        let at = ordinal(number);
        ordinal(self.last) - at >= REMEMBERED || self.opened.get(at)
    }

    /// Lets go of memory that no open stream needs.
    pub(crate) fn shrink(&mut self) {
        if self.active + self.held == 0 {
            (self.slots, self.index, self.free) = (Vec::new(), Vec::new(), NONE);
        }
    }

    /// Bytes of memory on the heap.
    pub(crate) fn memory(&self) -> usize {
        let reset = self.reset.as_ref().map_or(0, |_| size_of::<Bits>());
        self.slots.capacity() * size_of::<Stream>() + self.index.capacity() * size_of::<(u32, u32)>() + reset
    }

    fn enter(&mut self, number: u32, slot: u32) {
        let mask = self.index.len() - 1;
        let mut at = place(number) & mask;
        while self.index[at].0 != 0 {
            at = (at + 1) & mask;
        }
        self.index[at] = (number, slot);
    }

    /// Takes a number out of the index, and moves up those that had to make way for it.
    fn leave(&mut self, number: u32) {
        let mask = self.index.len() - 1;
        let mut hole = place(number) & mask;
        while self.index[hole].0 != number {
            hole = (hole + 1) & mask;
        }
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let (found, _) = self.index[at];
            if found == 0 {
                break;
            }
            let is_behind = at.wrapping_sub(place(found) & mask) & mask >= at.wrapping_sub(hole) & mask;
            if is_behind {
                self.index[hole] = self.index[at];
                hole = at;
            }
        }
        self.index[hole] = (0, 0);
    }

    fn grow_index(&mut self) {
        let len = (self.index.len() * 2).max(8);
        let old = std::mem::replace(&mut self.index, vec![(0, 0); len]);
        for (number, slot) in old.into_iter().filter(|(number, _)| *number != 0) {
            self.enter(number, slot);
        }
    }
}

/// The how manieth of its side a stream is; all that are ever open are the client's.
fn ordinal(number: u32) -> usize {
    (number as usize).div_ceil(2)
}

/// Where a number is looked for first. They come one after the other, but a peer may leave out as many as it likes.
#[inline]
fn place(number: u32) -> usize {
    (number.wrapping_mul(0x9e37_79b1) >> 12) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_found_whatever_came_and_went() {
        let mut streams = Streams::default();
        let mut open = Vec::new();
        let mut random = fastrand::Rng::with_seed(7);
        let mut number = 1;
        for _ in 0..20_000 {
            if open.len() < 100 && random.bool() {
                streams.reach(number);
                open.push((number, streams.insert(Stream::new(number, 1, 1))));
                number += 2 * random.u32(1..50);
            } else if !open.is_empty() {
                let (number, slot) = open.swap_remove(random.usize(..open.len()));
                assert_eq!(streams.find(number), Some(slot));
                streams.remove(slot);
                assert_eq!(streams.find(number), None);
            }
            assert!(open.iter().all(|(number, slot)| streams.find(*number) == Some(*slot)));
            assert_eq!(streams.active() as usize, open.len());
        }
        for (_, slot) in open {
            streams.remove(slot);
        }
        streams.shrink();
        assert_eq!(streams.memory(), 0);
    }

    #[test]
    fn a_slot_that_is_used_again_is_another_stream() {
        let mut streams = Streams::default();
        let slot = streams.insert(Stream::new(1, 1, 1));
        let first = streams.id(slot);
        streams.remove(slot);
        let again = streams.insert(Stream::new(3, 1, 1));
        assert_eq!(slot, again);
        assert_eq!(streams.slot(first), None);
        assert_eq!(streams.slot(streams.id(again)), Some(again));
    }

    #[test]
    fn resets_are_remembered_for_a_while() {
        let mut streams = Streams::default();
        streams.reach(1);
        streams.remember_reset(1);
        assert!(streams.may_be_reset(1));
        streams.reach(9);
        assert!(streams.may_be_reset(1) && !streams.may_be_reset(3) && !streams.may_be_reset(9));
        assert_eq!(
            [1, 3, 5, 7, 9].map(|number| streams.was_opened(number)),
            [true, false, false, false, true]
        );
        streams.reach(2 * REMEMBERED as u32 - 1);
        assert!(streams.may_be_reset(1));
        streams.reach(2 * REMEMBERED as u32 + 1);
        assert!(streams.may_be_reset(1), "it may have been");
        assert!(!streams.may_be_reset(3) && !streams.may_be_reset(2 * REMEMBERED as u32 + 1));
        streams.remember_reset(2 * REMEMBERED as u32 + 1);
        streams.reach(u32::MAX >> 1);
        assert!(!streams.may_be_reset((u32::MAX >> 1) - 2));
    }
}
