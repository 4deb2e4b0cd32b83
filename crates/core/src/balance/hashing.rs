//! Hashes of keys, which every algorithm that goes by a key shares.

/// Hashes a key, as XXH3 (64 bit, seed 0): the same in every process, on every machine and in every release, so
/// that many balancers agree on the owner of a key.
pub fn hash(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// Maps a hash evenly onto `0..len` (Lemire, "Fast Random Integer Generation in an Interval", 2019); 0 if `len` is 0.
pub(super) fn scale(hash: u64, len: u64) -> u64 {
    ((u128::from(hash) * u128::from(len)) >> 64) as u64
}

/// The next in the sequence of hashes that a key probes with (SplitMix64; Steele et al., 2014).
pub(super) fn rehash(hash: u64) -> u64 {
    let mut z = hash.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
