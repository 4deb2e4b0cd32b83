//! Which stream may send next: by urgency (RFC 9218), in turns, and never so that one waits for ever.

use crate::streams::{NONE, Stream, Streams};

/// Levels of urgency.
const LEVELS: usize = 8;
/// Every so many turns one goes to a stream that would not have it by its urgency, so that none starves.
const EXCEPTION: u8 = 16;

/// Streams that have data and could send it, in a list for each urgency.
#[derive(Debug)]
pub(crate) struct Queue {
    heads: [u32; LEVELS],
    tails: [u32; LEVELS],
    /// A bit for each level that has streams.
    levels: u8,
    /// Turns since the last exception.
    turns: u8,
    /// The level that had the last exception.
    exception: u8,
}

impl Default for Queue {
    fn default() -> Self {
        Self { heads: [NONE; LEVELS], tails: [NONE; LEVELS], levels: 0, turns: 0, exception: 0 }
    }
}

impl Queue {
    /// True if streams wait that are at least as urgent as `level`.
    pub(crate) fn is_ahead_of(&self, level: usize) -> bool {
        u32::from(self.levels) & ((2 << level) - 1) != 0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.levels == 0
    }
}

/// The level of a stream: 3 where its client has said nothing.
pub(crate) fn level(stream: &Stream) -> usize {
    stream.priority.map_or(3, |priority| usize::from(priority.urgency & 7))
}

/// True if a stream keeps its turn until its data is sent. Only a client that speaks of priorities means that: others get
/// turns.
pub(crate) fn is_sequential(stream: &Stream) -> bool {
    stream.priority.is_some_and(|priority| !priority.incremental)
}

impl Streams {
    /// Puts a stream at the end of its list, or at its start, unless it waits already.
    pub(crate) fn enqueue(&mut self, slot: u32, at_start: bool) {
        if self[slot].is_queued {
            return;
        }
        let level = level(&self[slot]);
        let (head, tail) = (self.queue.heads[level], self.queue.tails[level]);
        let (prev, next) = if at_start { (NONE, head) } else { (tail, NONE) };
        (self[slot].prev, self[slot].next, self[slot].is_queued) = (prev, next, true);
        self.link(level, prev, slot, next);
        self.queue.levels |= 1 << level;
    }

    /// Takes a stream out of its list, if it is in one.
    pub(crate) fn dequeue(&mut self, slot: u32) {
        if !std::mem::replace(&mut self[slot].is_queued, false) {
            return;
        }
        let level = level(&self[slot]);
        let (prev, next) = (self[slot].prev, self[slot].next);
        match prev {
            NONE => self.queue.heads[level] = next,
            prev => self[prev].next = next,
        }
        match next {
            NONE => self.queue.tails[level] = prev,
            next => self[next].prev = prev,
        }
        if self.queue.heads[level] == NONE {
            self.queue.levels &= !(1 << level);
        }
    }

    /// Takes out the stream whose turn it is.
    pub(crate) fn next_turn(&mut self) -> Option<u32> {
        if self.queue.levels == 0 {
            return None;
        }
        self.queue.turns += 1;
        let slot = if self.queue.turns < EXCEPTION {
            self.queue.heads[self.queue.levels.trailing_zeros() as usize]
        } else {
            self.queue.turns = 0;
            self.exception()
        };
        self.dequeue(slot);
        Some(slot)
    }

    /// True if the stream that has its turn is to be put at the start of its list if it has more: it keeps its turn.
    pub(crate) fn keeps_turn(&self, slot: u32) -> bool {
        is_sequential(&self[slot]) && self.queue.turns != 0
    }

    /// The second stream, or the only one, of the level behind the one that had the last exception.
    fn exception(&mut self) -> u32 {
        let last = self.queue.exception;
        let turned = self.queue.levels.rotate_right(u32::from(last) + 1);
        let level = (u32::from(last) + 1 + turned.trailing_zeros()) % LEVELS as u32;
        self.queue.exception = level as u8;
        let head = self.queue.heads[level as usize];
        match self[head].next {
            NONE => head,
            second => second,
        }
    }

    fn link(&mut self, level: usize, prev: u32, slot: u32, next: u32) {
        match prev {
            NONE => self.queue.heads[level] = slot,
            prev => self[prev].next = slot,
        }
        match next {
            NONE => self.queue.tails[level] = slot,
            next => self[next].prev = slot,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::priority::Priority;

    /// Streams of these priorities, all of which wait.
    fn waiting(priorities: &[Option<(u8, bool)>]) -> Streams {
        let mut streams = Streams::default();
        for (number, priority) in (1..).step_by(2).zip(priorities) {
            let mut stream = Stream::new(number, 1, 1);
            stream.priority = priority.map(|(urgency, incremental)| Priority { urgency, incremental });
            let slot = streams.insert(stream);
            streams.enqueue(slot, false);
        }
        streams
    }

    /// Gives turns to streams that never end, and counts them.
    fn turns(streams: &mut Streams, count: usize) -> Vec<usize> {
        let mut had = vec![0; streams.active() as usize];
        for _ in 0..count {
            let slot = streams.next_turn().unwrap();
            had[slot as usize] += 1;
            let keeps = streams.keeps_turn(slot);
            streams.enqueue(slot, keeps);
        }
        had
    }

    #[test]
    fn streams_without_a_priority_take_turns() {
        let mut streams = waiting(&[None; 4]);
        let had = turns(&mut streams, 4000);
        assert!(had.iter().all(|count| (900..=1100).contains(count)), "{had:?}");
    }

    #[test]
    fn urgent_ones_come_first_and_none_starves() {
        let mut streams = waiting(&[Some((7, true)), Some((0, false)), Some((0, false)), Some((3, true))]);
        let had = turns(&mut streams, 1600);
        assert!(had[1] + had[2] > 1400, "{had:?}");
        assert!(had.iter().all(|count| *count >= 16), "{had:?}");
    }

    #[test]
    fn a_sequential_one_keeps_its_turn() {
        let mut streams = waiting(&[Some((3, false)), Some((3, false))]);
        let order: Vec<u32> = (0..10)
            .map(|_| {
                let slot = streams.next_turn().unwrap();
                let keeps = streams.keeps_turn(slot);
                streams.enqueue(slot, keeps);
                slot
            })
            .collect();
        assert_eq!(order, [0; 10]);
    }

    #[test]
    fn what_leaves_its_list_leaves_the_rest_in_order() {
        let mut streams = waiting(&[None; 5]);
        for slot in [2, 0, 4] {
            streams.dequeue(slot);
        }
        streams.enqueue(2, true);
        streams.enqueue(2, true);
        assert_eq!([0; 3].map(|_| streams.next_turn().unwrap()), [2, 1, 3]);
        assert!(streams.next_turn().is_none() && streams.queue.is_empty());
    }
}
