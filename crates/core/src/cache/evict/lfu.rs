//! Least frequently used, with ageing. For content whose popularity lasts, such as packages, images and software
//! downloads: scans hardly harm it, but what becomes popular needs some hits before it stays.
//!
//! An entry's rank is the level at which it came plus its hits since; the level is the rank of the entry that was evicted
//! last (LFU with dynamic ageing; Arlitt et al., "Evaluating content management techniques for Web proxy caches", 2000).
//! The order is a heap by the last rank that was seen; the entry with the lowest is looked at, and goes back if it was used
//! since.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::mark::Mark;
use super::resident::{LOOKS_MAX, Resident};
use super::slots::Slots;

#[derive(Debug, Default)]
pub struct Lfu {
    heap: BinaryHeap<Reverse<Known>>,
    /// The rank of the entry that was evicted last.
    level: u32,
    /// Of equal ranks, the one that came into the heap first goes first.
    turn: u32,
}

/// What is known of an entry since it was looked at.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    rank: u32,
    turn: u32,
    slot: u32,
}

impl Lfu {
    pub fn insert(&mut self, slot: u32) {
        self.push(slot, self.level);
    }

    fn push(&mut self, slot: u32, rank: u32) {
        self.turn = self.turn.wrapping_add(1);
        self.heap.push(Reverse(Known { rank, turn: self.turn, slot }));
    }

    pub fn choose<T: Resident>(&mut self, slots: &mut Slots<T>) -> Option<u32> {
        let mut looks = 0;
        loop {
            looks += 1;
            let Reverse(Known { rank, slot, .. }) = self.heap.pop()?;
            if !slots.keeps(slot) {
                continue;
            }
            match slots.entry(slot).map_or(0, |entry| entry.mark().take_hits(Mark::LFU_HITS_MAX)) {
                // 4 billion ranks are as many renewals of the whole cache.
                hits if hits > 0 && looks < LOOKS_MAX => self.push(slot, rank.saturating_add(hits)),
                _ => {
                    self.level = rank;
                    return Some(slot);
                }
            }
        }
    }

    pub fn compact<T: Resident>(&mut self, slots: &mut Slots<T>) {
        self.heap.retain(|Reverse(known)| slots.keeps(known.slot));
    }
}
