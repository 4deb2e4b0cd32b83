//! Bytes of responses that their clients do not take yet: how many there are bounds what is read of further ones.

use std::cell::Cell;

use super::buffers::ReadSize;

/// Bytes that were read from servers and wait for their clients. They bound memory in this way: beyond a quarter of the
/// maximum a response is read in medium pieces, and beyond the maximum in small ones, so that others go on.
#[derive(Debug)]
pub struct Unsent {
    bytes: Cell<usize>,
    max: Cell<usize>,
}

impl Unsent {
    /// None yet, and `max` at most.
    pub fn new(max: usize) -> Self {
        Self { bytes: Cell::new(0), max: Cell::new(max) }
    }

    /// `max` at most from now on.
    pub fn set_max(&self, max: usize) {
        self.max.set(max);
    }

    /// How many wait.
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// Counts `bytes` for as long as they wait.
    pub fn hold(&self, bytes: usize) -> Held<'_> {
        self.bytes.update(|held| held + bytes);
        Held { unsent: self, bytes }
    }

    /// How much of a response is to be read at a time.
    pub fn read_size(&self) -> ReadSize {
        let max = self.max.get();
        match self.bytes.get() {
            bytes if bytes <= max / 4 => ReadSize::Large,
            bytes if bytes <= max => ReadSize::Medium,
            _ => ReadSize::Small,
        }
    }

    /// The same for the head of a response, behind which as much of its body comes as there is room for: that waits as well,
    /// however many responses are begun at once. For a stream, what its connection keeps waiting in all (`of_connection`) counts
    /// too.
    pub fn head_size(&self, of_connection: Option<&Self>) -> ReadSize {
        let has_room = |unsent: &Self, part| unsent.bytes.get() <= unsent.max.get() / part;
        // All responses of a connection may wait for the one client.
        let is_room = has_room(self, 16) && of_connection.is_none_or(|of| has_room(of, 64));
        if is_room { ReadSize::Medium } else { ReadSize::Small }
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
    fn a_connection_that_keeps_much_is_read_for_in_small_pieces_and_others_are_not() {
        let (worker, [busy, idle]) = (Unsent::new(1_600), [160, 160].map(Unsent::new));
        let held = (worker.hold(11), busy.hold(11));
        assert_eq!(worker.head_size(Some(&busy)), ReadSize::Small);
        assert_eq!([worker.head_size(Some(&idle)), worker.head_size(None)], [ReadSize::Medium; 2]);
        drop(held);
        assert_eq!(worker.head_size(Some(&busy)), ReadSize::Medium);
    }

    #[test]
    fn the_more_waits_the_less_is_read() {
        let unsent = Unsent::new(400);
        let first = unsent.hold(25);
        assert_eq!((unsent.read_size(), unsent.head_size(None)), (ReadSize::Large, ReadSize::Medium));
        let more = unsent.hold(75);
        assert_eq!((unsent.read_size(), unsent.head_size(None)), (ReadSize::Large, ReadSize::Small));
        let second = unsent.hold(300);
        assert_eq!(unsent.read_size(), ReadSize::Medium);
        let third = unsent.hold(1);
        assert_eq!(unsent.read_size(), ReadSize::Small);
        unsent.set_max(1_604);
        assert_eq!(unsent.read_size(), ReadSize::Large);
        unsent.set_max(400);
        drop((first, more, second));
        assert_eq!(unsent.read_size(), ReadSize::Large);
        drop(third);
        assert_eq!(unsent.bytes(), 0);
    }
}
