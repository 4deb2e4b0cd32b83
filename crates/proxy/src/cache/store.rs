//! What the caches of all routes keep, as the store sees it.

use evenkeel_core::cache::Stored;

/// What the policy says of a kept response, beside its texts.
#[derive(Debug, Clone, Copy)]
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
