//! Whether a server of a pool may be chosen, and with how much weight: what changes while the pool has the same servers.

/// Whether a server may be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// It may.
    Up,
    /// Neither seen healthy nor failed so far: only when nothing else is left.
    Unproven,
    /// It may not.
    Out,
}

/// What of a server may change while the servers of its pool are the same: its weight, how many parts of [`FULL`](crate::health::FULL) of it
/// the server gets for now, and whether it may be chosen.
pub type ServerStanding = (u32, u32, Availability);
