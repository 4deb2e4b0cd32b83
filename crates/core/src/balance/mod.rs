//! Choosing a server: one file per algorithm, all of them answering a [`Picker`] that is handed the pool's
//! [`Members`].
//!
//! A pool falls into tiers: servers that are up, backups that are up, servers not proven healthy yet, backups not
//! proven healthy yet. Every algorithm chooses within the first tier that still has a server to offer; a server of
//! weight 0 belongs to none. Nothing here reads a clock, opens a socket or, while picking, allocates.

mod consistent_hash;
mod ip_hash;
mod least_connections;
mod least_response_time;
mod load;
mod maglev;
mod members;
mod picker;
mod power_of_two;
mod random;
mod reason;
mod round_robin;
mod shares;

pub use load::Load;
pub use members::{Availability, Members, Server, Standing};
pub use picker::Picker;
pub use reason::{Choice, Reason};

/// Hashes a key, as XXH3 (64 bit, seed 0): the same in every process, on every machine and in every release, so
/// that many balancers agree on the owner of a key.
pub fn hash(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// Maps a hash evenly onto `0..len` (Lemire, "Fast Random Integer Generation in an Interval", 2019); 0 if `len` is 0.
fn scale(hash: u64, len: u64) -> u64 {
    ((u128::from(hash) * u128::from(len)) >> 64) as u64
}

/// The next in the sequence of hashes that a key probes with (SplitMix64; Steele et al., 2014).
fn rehash(hash: u64) -> u64 {
    let mut z = hash.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
