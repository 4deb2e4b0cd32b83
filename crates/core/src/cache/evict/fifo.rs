//! First in, first out. For content that is asked for soon after it was stored or never again, such as the segments of a
//! live stream: it costs least, and no hit writes anything.

use std::collections::VecDeque;

use super::resident::Resident;
use super::slots::Slots;

#[derive(Debug, Default)]
pub struct Fifo(VecDeque<u32>);

impl Fifo {
    pub fn insert(&mut self, slot: u32) {
        self.0.push_back(slot);
    }

    pub fn choose<T: Resident>(&mut self, slots: &mut Slots<T>) -> Option<u32> {
        loop {
            let slot = self.0.pop_front()?;
            if slots.keeps(slot) {
                return Some(slot);
            }
        }
    }

    pub fn compact<T: Resident>(&mut self, slots: &mut Slots<T>) {
        self.0.retain(|&slot| slots.keeps(slot));
    }
}
