//! Bytes of responses that their clients do not take yet: how many there are bounds what is read of further ones.

use std::cell::Cell;

use super::buffers::ReadSize;

/// What all clients of the process may keep waiting before responses are read in small pieces.
pub const PROCESS_MAX: usize = 256 * 1024 * 1024;

/// Bytes that were read from servers and wait for their clients. They bound memory in this way: beyond a quarter of the
/// maximum a response is read in medium pieces, and beyond the maximum in small ones, so that others go on.
#[derive(Debug)]
pub struct Unsent {
    bytes: Cell<usize>,
    max: usize,
}

impl Unsent {
    /// None yet, and `max` at most.
    pub fn new(max: usize) -> Self {
        Self { bytes: Cell::new(0), max }
    }

    /// Counts `bytes` for as long as they wait.
    pub fn hold(&self, bytes: usize) -> Held<'_> {
        self.bytes.update(|held| held + bytes);
        Held { unsent: self, bytes }
    }

    /// How much of a response is to be read at a time.
    pub fn read_size(&self) -> ReadSize {
        match self.bytes.get() {
            bytes if bytes <= self.max / 4 => ReadSize::Large,
            bytes if bytes <= self.max => ReadSize::Medium,
            _ => ReadSize::Small,
        }
    }

    /// The same for the head of a response, behind which as much of its body comes as there is room for: that waits as well,
    /// however many responses are begun at once.
    pub fn head_size(&self) -> ReadSize {
        if self.bytes.get() <= self.max / 16 { ReadSize::Medium } else { ReadSize::Small }
    }
}

/// Bytes that wait.
#[derive(Debug)]
pub struct Held<'u> {
    unsent: &'u Unsent,
    bytes: usize,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.unsent.bytes.update(|held| held - self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_waits_the_less_is_read() {
        let unsent = Unsent::new(400);
        let first = unsent.hold(25);
        assert_eq!((unsent.read_size(), unsent.head_size()), (ReadSize::Large, ReadSize::Medium));
        let more = unsent.hold(75);
        assert_eq!((unsent.read_size(), unsent.head_size()), (ReadSize::Large, ReadSize::Small));
        let second = unsent.hold(300);
        assert_eq!(unsent.read_size(), ReadSize::Medium);
        let third = unsent.hold(1);
        assert_eq!(unsent.read_size(), ReadSize::Small);
        drop((first, more, second));
        assert_eq!(unsent.read_size(), ReadSize::Large);
        drop(third);
        assert_eq!(unsent.bytes.get(), 0);
    }
}
