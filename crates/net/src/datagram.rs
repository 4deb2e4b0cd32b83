//! Datagrams of UDP, many with one system call: a socket that clients send to, sockets that each speak with one server, and what
//! comes and goes over them.

mod inbox;
mod name;
mod outbox;
mod readiness;
mod socket;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use inbox::{BATCH, Inbox, Received};
pub use outbox::{Message, Outbox, SEGMENTS_MAX};
pub use readiness::Readiness;
pub use socket::{DatagramSocket, SessionSocket, is_own_address};

/// Bytes that a datagram may have, more than which no header of UDP can say; the buffer for one is as long.
pub const DATAGRAM_MAX: usize = 65_536;
