//! Choosing a server: one file per algorithm, all of them answering a [`Picker`] that is handed the pool's
//! [`Members`].
//!
//! A pool falls into tiers: servers that are up, backups that are up, servers not proven healthy yet, backups not
//! proven healthy yet. Every algorithm chooses within the first tier that still has a server to offer; a server of
//! weight 0 belongs to none. Nothing here reads a clock, opens a socket or, while picking, allocates.

mod consistent_hash;
mod hashing;
mod ip_hash;
mod least_connections;
mod least_response_time;
mod load;
mod maglev;
mod members;
mod picker;
mod positions;
mod power_of_two;
mod random;
mod reason;
mod roster;
mod round_robin;
mod score;
mod shares;
mod standing;

pub use hashing::hash;
pub use load::Load;
pub use members::Members;
pub use picker::Picker;
pub use positions::Positions;
pub use reason::{Choice, Reason};
pub use roster::{Roster, Server};
pub use score::score;
pub use standing::{Availability, ServerStanding};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
