//! Bodies that can be made and checked piece by piece, so that a byte that is lost, doubled or foreign is seen.

/// The byte at `offset` of the body number `seed`.
fn byte(offset: u64, seed: u64) -> u8 {
    let mixed = (offset ^ seed.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed.to_be_bytes()[0]
}

/// The bytes from `offset` on.
pub fn fill(space: &mut [u8], offset: u64, seed: u64) {
    for (at, space) in (offset..).zip(space) {
        *space = byte(at, seed);
    }
}

/// A body as it comes in, compared with what it should be.
#[derive(Debug)]
pub struct Check {
    seed: u64,
    length: u64,
    seen: u64,
    right: bool,
}

impl Check {
    /// Expects `length` bytes of the body number `seed`.
    pub fn new(length: u64, seed: u64) -> Self {
        Self { seed, length, seen: 0, right: true }
    }

    /// Takes the next bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        self.right &= (self.seen..).zip(bytes).all(|(at, found)| *found == byte(at, self.seed));
        self.seen += bytes.len() as u64;
    }

    /// Bytes so far.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Expects `count` bytes more of the same.
    pub fn extend(&mut self, count: u64) {
        self.length += count;
    }

    /// True when all is there, and right.
    pub fn is_whole(&self) -> bool {
        self.right && self.seen == self.length
    }

    /// True when what is there is right.
    pub fn is_right(&self) -> bool {
        self.right && self.seen <= self.length
    }
}

/// Reads a body whatever it is, and says in a word what it was (FNV-1a).
#[derive(Debug, Clone, Copy)]
pub struct Digest {
    hash: u64,
    length: u64,
}

impl Digest {
    /// Of nothing.
    pub const EMPTY: Self = Self { hash: 0xcbf2_9ce4_8422_2325, length: 0 };

    /// Of what the body number `seed` is, `length` bytes long.
    pub fn of(length: usize, seed: u64) -> Self {
        let mut bytes = vec![0; length];
        fill(&mut bytes, 0, seed);
        let mut digest = Self::EMPTY;
        digest.take(&bytes);
        digest
    }

    /// Takes the next bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self.length += bytes.len() as u64;
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:016x}", self.length, self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_in_pieces_is_the_body() {
        let (mut bytes, mut check, mut digest) = ([0; 1000], Check::new(1000, 7), Digest::EMPTY);
        fill(&mut bytes, 0, 7);
        for piece in bytes.chunks(33) {
            check.take(piece);
            digest.take(piece);
        }
        assert!(check.is_whole());
        assert_eq!(digest.to_string(), Digest::of(1000, 7).to_string());
    }

    #[test]
    fn a_byte_that_is_lost_doubled_or_foreign_is_seen() {
        let mut bytes = [0; 100];
        fill(&mut bytes, 0, 7);
        for wrong in [
            [&bytes[..50], &bytes[51..]].concat(),
            [&bytes[..50], &bytes[49..]].concat(),
            [&bytes[..], b"x"].concat(),
        ] {
            let mut check = Check::new(100, 7);
            check.take(&wrong);
            assert!(!check.is_whole());
        }
        let mut check = Check::new(100, 7);
        check.take(&bytes[..99]);
        assert!(check.is_right() && !check.is_whole());
    }
}
