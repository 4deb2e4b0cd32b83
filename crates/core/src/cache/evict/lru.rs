//! Least recently used. For content whose popularity passes, such as news, on a cache that is large enough: a scan through
//! many objects that are asked for once drives out all others.
//!
//! The order is a heap by the last stamp that was seen. The one with the oldest is looked at: if it was used since, it goes
//! back with its new stamp. So the order is exact to the tick, and a hit moves nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::resident::{LOOKS_MAX, Resident};
use super::slots::Slots;

#[derive(Debug, Default)]
pub struct Lru {
    heap: BinaryHeap<Reverse<Known>>,
    /// Of equal stamps, the one that came into the heap first goes first.
    turn: u32,
}

/// What is known of an entry since it was looked at.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    stamp: u32,
    turn: u32,
    slot: u32,
}

impl Lru {
    pub fn insert(&mut self, slot: u32, tick: u32) {
        self.turn = self.turn.wrapping_add(1);
        self.heap.push(Reverse(Known { stamp: tick, turn: self.turn, slot }));
    }

    pub fn choose<T: Resident>(&mut self, slots: &mut Slots<T>) -> Option<u32> {
        let mut looks = 0;
        loop {
            looks += 1;
            let Reverse(Known { stamp, slot, .. }) = self.heap.pop()?;
            if !slots.keeps(slot) {
                continue;
            }
            match slots.entry(slot).map(|entry| entry.mark().stamp()) {
                Some(newer) if newer > stamp && looks < LOOKS_MAX => self.insert(slot, newer),
                _ => return Some(slot),
            }
        }
    }

    pub fn compact<T: Resident>(&mut self, slots: &mut Slots<T>) {
        self.heap.retain(|Reverse(known)| slots.keeps(known.slot));
    }
}
