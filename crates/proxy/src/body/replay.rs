//! What was read of a request's body, kept so that another server can be sent it as well.

/// The start of a body, up to where it was read.
#[derive(Debug)]
pub struct Kept {
    bytes: Vec<u8>,
    /// Bytes at most; a body that grows beyond is not kept any longer.
    max: usize,
    turn: Turn,
}

/// Whose turn it is to be handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// What comes in, which is kept.
    Source,
    /// What was kept.
    Kept,
    /// What was kept has just been handed on.
    Piece,
}

impl Kept {
    /// Nothing yet, and at most `max` bytes.
    pub fn new(max: usize) -> Self {
        Self { bytes: Vec::new(), max, turn: Turn::Source }
    }

    /// True while nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Adds what has come in; false if that is too much.
    pub fn add(&mut self, piece: &[u8]) -> bool {
        let fits = piece.len() <= self.max - self.bytes.len();
        if fits {
            self.bytes.extend_from_slice(piece);
        }
        fits
    }

    /// Forgets all, for the source itself goes back to the start.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.turn = Turn::Source;
    }

    /// Goes back to the start.
    pub fn rewind(&mut self) {
        self.turn = Turn::Kept;
    }

    /// True while what was kept is still to be handed on.
    pub fn is_due(&self) -> bool {
        self.turn == Turn::Kept && !self.bytes.is_empty()
    }

    /// Goes on; true if what was kept is the next piece, all of it.
    pub fn advance(&mut self) -> bool {
        let is_due = self.is_due();
        self.turn = if is_due { Turn::Piece } else { Turn::Source };
        is_due
    }

    /// What was kept, if that is the piece of the moment.
    pub fn piece(&self) -> Option<&[u8]> {
        (self.turn == Turn::Piece).then_some(&self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_comes_once_again_and_more_can_follow() {
        let mut kept = Kept::new(6);
        assert!(!kept.advance() && kept.add(b"abc") && !kept.is_due());
        kept.rewind();
        assert!(kept.is_due() && kept.advance());
        assert_eq!(kept.piece(), Some(&b"abc"[..]));
        assert!(!kept.is_due() && !kept.advance() && kept.piece().is_none());
        assert!(kept.add(b"def") && !kept.add(b"g"), "six bytes and no more");
        kept.rewind();
        assert!(kept.advance());
        assert_eq!(kept.piece(), Some(&b"abcdef"[..]));
    }
}
