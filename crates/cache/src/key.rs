//! The hash of a key: where an object is looked for. Whether it is the object is decided by the key itself.

use std::hash::{BuildHasher, Hasher, RandomState};

use xxhash_rust::xxh3::xxh3_128_with_seed;

/// 128 bits, in two halves, so that a table of them has no gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id {
    high: u64,
    low: u64,
}

impl Id {
    pub fn of(key: &[u8], seed: u64) -> Self {
        let hash = xxh3_128_with_seed(key, seed);
        Self { high: (hash >> 64) as u64, low: hash as u64 }
    }

    /// A number below `count`, which is a power of two. Made of bits of which the table makes no use.
    pub fn shard(self, count: usize) -> usize {
        self.high as usize & (count - 1)
    }

    /// Bits that are equal for the same key and hardly ever for two.
    pub fn fingerprint(self) -> u32 {
        (self.high >> 32) as u32
    }

    pub fn low(self) -> u64 {
        self.low
    }
}

impl std::hash::Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.low);
    }
}

/// Passes on a part of the hash that the key already is.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Passed(u64);

impl Hasher for Passed {
    fn write(&mut self, _: &[u8]) {
        unreachable!("an id writes one u64");
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A seed that clients cannot know.
pub(crate) fn random_seed() -> u64 {
    // What runs under a scheduler that chooses must run the same way again.
    if cfg!(feature = "shuttle") {
        return 0;
    }
    // The standard library keys its hasher with random numbers of the system.
    RandomState::new().build_hasher().finish()
}
