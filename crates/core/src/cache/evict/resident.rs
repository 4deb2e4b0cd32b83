//! What the order of eviction knows of an entry.

use std::sync::Arc;

use super::mark::Mark;

/// An eviction looks at so many entries at most, and then takes the next although it was used since: one after a time of
/// hits alone would otherwise look at all, while stores wait.
pub const LOOKS_MAX: usize = 1_000;

/// What an entry of the order tells about itself. Its fingerprint does not change while it is in the order, and its size
/// only together with [`Eviction::resized`](super::Eviction::resized).
pub trait Resident {
    /// What hits have marked.
    fn mark(&self) -> &Mark;

    /// What it occupies, content and overhead, in bytes.
    fn bytes(&self) -> u64;

    /// A part of the hash of its key, by which it is recognized when it comes back.
    fn fingerprint(&self) -> u32;
}

impl<T: Resident> Resident for Arc<T> {
    fn mark(&self) -> &Mark {
        (**self).mark()
    }

    fn bytes(&self) -> u64 {
        (**self).bytes()
    }

    fn fingerprint(&self) -> u32 {
        (**self).fingerprint()
    }
}
