//! What the caches of all routes keep, as the store sees it.

use evenkeel_cache::Codec;
use evenkeel_core::cache::{Flags, Stored, Wall};

/// What the policy says of a kept response, beside its texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// For how long it is of use.
    pub stored: Stored,
    /// Its status.
    pub status: u16,
    /// The length of its body, if its head says so.
    pub length: Option<u64>,
}

/// The store that all workers share.
pub type Store = evenkeel_cache::Store<Meta>;
/// A kept response.
pub type Object = evenkeel_cache::Object<Meta>;
/// All of a kept response but its body.
pub type KeptHead = evenkeel_cache::Head<Meta>;

/// How the disk cache writes and reads it.
pub const CODEC: Codec<Meta> = Codec { encode, decode };

/// The form below. What was written in another form is not read: it costs a hit.
const VERSION: u8 = 1;

/// The form, the times in milliseconds since the Unix epoch or in seconds, flags, status, and the length if it is known. All
/// numbers are little-endian.
fn encode(meta: &Meta, out: &mut Vec<u8>) {
    let Meta { stored, status, length } = meta;
    out.push(VERSION);
    out.extend(stored.born.as_millis().to_le_bytes());
    for seconds in [stored.lifetime, stored.stale_while_revalidate, stored.stale_if_error] {
        out.extend(seconds.to_le_bytes());
    }
    out.push(stored.flags.bits());
    out.extend(status.to_le_bytes());
    length.iter().for_each(|length| out.extend(length.to_le_bytes()));
}

fn decode(mut bytes: &[u8]) -> Option<Meta> {
    let bytes = &mut bytes;
    let [version] = take(bytes)?;
    (version == VERSION).then_some(())?;
    let born = Wall::from_millis(u64::from_le_bytes(take(bytes)?));
    let mut seconds = || take(bytes).map(u32::from_le_bytes);
    let (lifetime, stale_while_revalidate, stale_if_error) = (seconds()?, seconds()?, seconds()?);
    let [flags] = take(bytes)?;
    let flags = Some(Flags::from_bits(flags)).filter(|known| known.bits() == flags)?;
    let status = Some(u16::from_le_bytes(take(bytes)?)).filter(|status| (100..1_000).contains(status))?;
    let length = if bytes.is_empty() { None } else { Some(u64::from_le_bytes(take(bytes)?)) };
    let stored = Stored { born, lifetime, stale_while_revalidate, stale_if_error, flags };
    bytes.is_empty().then_some(Meta { stored, status, length })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_at_checked(N)?;
    *bytes = rest;
    taken.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn meta() -> impl Strategy<Value = Meta> {
        let times = (any::<u64>(), any::<[u32; 3]>(), 0u8..16);
        (times, 100u16..1_000, any::<Option<u64>>()).prop_map(|((born, seconds, flags), status, length)| {
            let [lifetime, stale_while_revalidate, stale_if_error] = seconds;
            let (born, flags) = (Wall::from_millis(born), Flags::from_bits(flags));
            let stored = Stored { born, lifetime, stale_while_revalidate, stale_if_error, flags };
            Meta { stored, status, length }
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(meta in meta()) {
            let mut bytes = Vec::new();
            encode(&meta, &mut bytes);
            prop_assert_eq!(decode(&bytes), Some(meta));
        }

        #[test]
        fn what_is_cut_or_longer_is_refused(meta in meta(), cut in 0usize..64, more in 1usize..9) {
            let mut bytes = Vec::new();
            encode(&meta, &mut bytes);
            let whole = bytes.len();
            // Without its length, what has one looks like what has none.
            if cut < whole && cut != whole - 8 {
                prop_assert_eq!(decode(&bytes[..cut]), None);
            }
            if meta.length.is_some() || more != 8 {
                bytes.resize(whole + more, 0);
                prop_assert_eq!(decode(&bytes), None);
            }
        }

        #[test]
        fn no_bytes_make_it_fail(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(meta) = decode(&bytes) {
                let mut again = Vec::new();
                encode(&meta, &mut again);
                prop_assert_eq!(again, bytes);
            }
        }
    }
}
