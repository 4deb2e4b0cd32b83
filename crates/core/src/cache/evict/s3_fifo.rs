//! S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023). For most traffic, and the default:
//! what is asked for once passes through a tenth of the cache and leaves the rest alone, and what comes back stays.
//!
//! A new entry enters the small queue, which holds a tenth of the bytes. At its end, an entry that was used more than once
//! goes to the main queue; another is evicted and leaves its fingerprint. An entry whose fingerprint is known enters the
//! main queue at once. At the end of that, an entry goes round again for each hit, up to three.

use std::collections::VecDeque;

use super::ghosts::Ghosts;
use super::mark::Mark;
use super::resident::{LOOKS_MAX, Resident};
use super::slots::Slots;

#[derive(Debug, Default)]
pub struct S3Fifo {
    small: VecDeque<u32>,
    main: VecDeque<u32>,
    ghosts: Ghosts,
    /// Of each place, whether its entry is in the main queue.
    in_main: Vec<bool>,
    /// What the entries of the small queue occupy.
    small_bytes: u64,
}

impl S3Fifo {
    /// The small queue's part of all bytes.
    const SMALL_PART: u64 = 10;

    /// So many hits bring an entry from the small queue into the main queue. One is too few, because a page and what
    /// belongs to it is often asked for twice in short succession and then not again.
    const HITS_TO_STAY: u32 = 2;

    /// So many fingerprints may be kept though there are fewer entries.
    const GHOSTS_MIN: usize = 128;

    pub fn ghosts(&self) -> usize {
        self.ghosts.len()
    }

    pub fn insert(&mut self, slot: u32, bytes: u64, fingerprint: u32) {
        let known = self.ghosts.contains(fingerprint);
        self.set_in_main(slot, known);
        if known {
            self.main.push_back(slot);
        } else {
            self.small.push_back(slot);
            self.small_bytes += bytes;
        }
    }

    fn set_in_main(&mut self, slot: u32, main: bool) {
        let slot = slot as usize;
        if self.in_main.len() <= slot {
            self.in_main.resize(slot + 1, false);
        }
        self.in_main[slot] = main;
    }

    pub fn resized(&mut self, slot: u32, before: u64, after: u64) {
        if !self.in_main[slot as usize] {
            self.small_bytes = self.small_bytes - before + after;
        }
    }

    pub fn removed(&mut self, slot: u32, bytes: u64) {
        if !self.in_main[slot as usize] {
            self.small_bytes -= bytes;
        }
    }

    pub fn choose<T: Resident>(&mut self, slots: &mut Slots<T>) -> Option<u32> {
        let mut looks = 0;
        loop {
            looks += 1;
            let small_is_full = self.small_bytes.saturating_mul(Self::SMALL_PART) >= slots.bytes();
            let small = !self.small.is_empty() && (small_is_full || self.main.is_empty());
            let slot = if small { self.small.pop_front() } else { self.main.pop_front() }?;
            if !slots.keeps(slot) {
                continue;
            }
            let stays = if small { self.leaves_small(slot, slots) } else { self.goes_round(slot, slots) };
            if !stays || looks >= LOOKS_MAX {
                // An entry that is taken although it was to stay is not in a queue twice, because it was put last there.
                if stays {
                    self.main.pop_back();
                }
                return Some(slot);
            }
        }
    }

    /// An entry at the end of the small queue goes to the main queue or leaves its fingerprint. Returns whether it stays.
    fn leaves_small<T: Resident>(&mut self, slot: u32, slots: &Slots<T>) -> bool {
        let Some(entry) = slots.entry(slot) else { return false };
        self.small_bytes -= entry.bytes();
        self.set_in_main(slot, true);
        let stays = entry.mark().take_hits(Mark::S3_FIFO_HITS_MAX) >= Self::HITS_TO_STAY;
        if stays {
            self.main.push_back(slot);
        } else {
            self.ghosts.add(entry.fingerprint(), slots.len().max(Self::GHOSTS_MIN));
        }
        stays
    }

    /// An entry at the end of the main queue goes round again if it was used. Returns whether it does.
    fn goes_round<T: Resident>(&mut self, slot: u32, slots: &Slots<T>) -> bool {
        let Some(mark) = slots.entry(slot).map(Resident::mark) else { return false };
        let hits = mark.take_hits(Mark::S3_FIFO_HITS_MAX);
        if hits > 0 {
            mark.set_hits(hits - 1);
            self.main.push_back(slot);
        }
        hits > 0
    }

    pub fn compact<T: Resident>(&mut self, slots: &mut Slots<T>) {
        self.small.retain(|&slot| slots.keeps(slot));
        self.main.retain(|&slot| slots.keeps(slot));
    }
}
