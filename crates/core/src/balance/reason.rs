//! The answer of a pick, and why it is the answer.

use std::fmt;

/// The server chosen, and why.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// Its position in [`Members`](super::Members).
    pub server: usize,
    /// Why this one.
    pub reason: Reason,
}

/// Why a server was chosen. Displayed, it completes the sentence "this server, because: ...".
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reason {
    /// Round robin.
    InTurn,
    /// No other server is up.
    Only,
    /// Least connections; how many requests the server had, before this one.
    FewestInFlight {
        /// Requests in flight.
        in_flight: u32,
        /// The server's weight.
        weight: u32,
    },
    /// Power of two choices; requests in flight, before this one, at the server and at the one drawn with it.
    LessLoadedOfTwo {
        /// At the chosen one.
        in_flight: u32,
        /// At the other one.
        other: u32,
    },
    /// Least response time: the lower expected cost of two.
    QuickerOfTwo {
        /// The server's average latency in nanoseconds.
        latency_ns: f32,
        /// Requests in flight, before this one.
        in_flight: u32,
    },
    /// Least response time: nothing is known about the server's latency yet.
    Untimed,
    /// Drawn at random, by weight.
    Random,
    /// An algorithm that goes by a key, for a request that has none.
    NoKey,
    /// The key's own server.
    KeyOwner,
    /// The key's own server is not available or was tried; this one is next in the key's order.
    OwnerOut,
    /// The key's own server, and maybe others after it, hold more than their bound of requests.
    OwnerFull,
    /// A key goes to another server while its owner starts slowly.
    OwnerWarming,
    /// A backup, because no other server is up.
    Backup,
    /// A backup, for every other server that is up was tried.
    BackupAfterRetries,
    /// Neither seen healthy nor failed so far, and nothing better is left.
    Unproven,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::InTurn => f.write_str("next in turn"),
            Self::Only => f.write_str("the only server that is up"),
            Self::FewestInFlight { in_flight, weight } => {
                write!(f, "fewest in flight: {in_flight} at weight {weight}")
            }
            Self::LessLoadedOfTwo { in_flight, other } => {
                write!(f, "less loaded of two: {in_flight} in flight, the other {other}")
            }
            Self::QuickerOfTwo { latency_ns, in_flight } => {
                let latency_ms = latency_ns / 1e6;
                write!(f, "quicker of two: {latency_ms:.1} ms on average, {in_flight} in flight")
            }
            Self::Untimed => f.write_str("not timed yet"),
            Self::Random => f.write_str("drawn at random"),
            Self::NoKey => f.write_str("drawn at random: the request has no key"),
            Self::KeyOwner => f.write_str("key owns it"),
            Self::OwnerOut => f.write_str("owner is out, next in the key's order"),
            Self::OwnerWarming => f.write_str("owner starts slowly, next in the key's order"),
            Self::OwnerFull => f.write_str("owner is full, next on the ring"),
            Self::Backup => f.write_str("backup: no other server is up"),
            Self::BackupAfterRetries => f.write_str("backup: every other server was tried"),
            Self::Unproven => f.write_str("no server proven healthy yet"),
        }
    }
}
