//! The form in which purges are written down, and sent to the process that takes the place of this one.

use evenkeel_core::cache::{HostId, Scope, Strength, TagId, UrlId, Wall};

/// A purge and its number.
pub type Record = (u64, Scope, Strength);

/// Sequence; the soft moment in milliseconds, or the largest number; what it is about.
pub fn encode((sequence, scope, strength): &Record) -> Vec<u8> {
    let mut out = sequence.to_le_bytes().to_vec();
    let soft = match strength {
        Strength::Hard => u64::MAX,
        Strength::Soft(at) => at.as_millis(),
    };
    out.extend(soft.to_le_bytes());
    match scope {
        Scope::All => out.push(0),
        Scope::Url { whole, bare } => {
            out.push(1);
            out.extend(whole.0.to_le_bytes());
            out.extend(bare.0.to_le_bytes());
        }
        Scope::Host(host) => {
            out.push(2);
            out.extend(host.0.to_le_bytes());
        }
        Scope::Tag(tag) => {
            out.push(3);
            out.extend(tag.0.to_le_bytes());
        }
        Scope::Prefix { host, path } => {
            out.push(4);
            out.extend(host.0.to_le_bytes());
            out.extend(path.as_bytes());
        }
    }
    out
}

/// What [`encode`] made these bytes of; `None` if it did not.
pub fn decode(mut bytes: &[u8]) -> Option<Record> {
    let bytes = &mut bytes;
    let sequence = u64::from_le_bytes(take(bytes)?);
    let strength = match u64::from_le_bytes(take(bytes)?) {
        u64::MAX => Strength::Hard,
        soft => Strength::Soft(Wall::from_millis(soft)),
    };
    let [kind] = take(bytes)?;
    let mut id = || take(bytes).map(u128::from_le_bytes);
    let scope = match kind {
        0 => Scope::All,
        1 => Scope::Url { whole: UrlId(id()?), bare: UrlId(id()?) },
        2 => Scope::Host(HostId(id()?)),
        3 => Scope::Tag(TagId(id()?)),
        4 => {
            let host = HostId(id()?);
            let path = std::str::from_utf8(std::mem::take(bytes)).ok()?;
            Scope::Prefix { host, path: path.into() }
        }
        _ => return None,
    };
    bytes.is_empty().then_some((sequence, scope, strength))
}

/// The next bytes, if there are so many.
pub fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_at_checked(N)?;
    *bytes = rest;
    taken.try_into().ok()
}
