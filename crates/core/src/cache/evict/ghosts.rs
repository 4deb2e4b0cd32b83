//! Fingerprints of what was evicted lately, so that an object that comes back soon is recognized.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::FixedState;

/// A bounded ring of fingerprints. Two objects with the same one are taken for each other: then an object stays longer
/// than it deserves, which harms nothing.
#[derive(Debug, Default)]
pub struct Ghosts {
    ring: VecDeque<u32>,
    /// How often each fingerprint is in the ring.
    times: HashMap<u32, u32, FixedState>,
}

impl Ghosts {
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    pub fn contains(&self, fingerprint: u32) -> bool {
        self.times.contains_key(&fingerprint)
    }

    /// Adds a fingerprint, and forgets the oldest ones beyond `max`.
    pub fn add(&mut self, fingerprint: u32, max: usize) {
        self.ring.push_back(fingerprint);
        *self.times.entry(fingerprint).or_default() += 1;
        while self.ring.len() > max {
            let Some(oldest) = self.ring.pop_front() else { return };
            if let Some(times) = self.times.get_mut(&oldest) {
                *times -= 1;
                if *times == 0 {
                    self.times.remove(&oldest);
                }
            }
        }
    }
}
