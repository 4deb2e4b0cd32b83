//! What a change of the configuration does to traffic.

use std::fmt;

/// What a change does to the traffic of a process that takes it in by a reload. The gravest come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// A reload leaves the old value in force.
    Restart,
    /// An address is closed.
    Closes,
    /// A server gets no new requests.
    Drains,
    /// An address is opened.
    Opens,
    /// A server gets requests.
    Joins,
    /// For new connections of clients.
    NewConnections,
    /// For new connections to servers.
    NewServerConnections,
    /// For new requests.
    NewRequests,
    /// An address stays open under another listener's name.
    Kept,
    /// Nothing waits for it.
    AtOnce,
}

impl Effect {
    /// One word for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Closes => "closes",
            Self::Drains => "drains",
            Self::Opens => "opens",
            Self::Joins => "joins",
            Self::NewConnections => "new-connections",
            Self::NewServerConnections => "new-server-connections",
            Self::NewRequests => "new-requests",
            Self::Kept => "kept",
            Self::AtOnce => "at-once",
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Restart => "takes effect at a restart or upgrade: a reload leaves the old value in force",
            Self::Closes => "idle connections of a closed address close, busy ones finish their request",
            Self::Drains => "a removed server gets no new requests and finishes those that it has",
            Self::Opens => "a new address is bound before anything else changes; if that fails, nothing changes",
            Self::Joins => "a new server of a pool with `health` gets requests once its first check has passed, else at once",
            Self::NewConnections => "settings of a listener's connections hold for new connections; open ones stay as they are",
            Self::NewServerConnections => "settings of connections to servers hold for new ones; requests in flight end on the old ones",
            Self::NewRequests => "requests in flight end as they began; open connections and tunnels stay open",
            Self::Kept => "connections of an address that goes to another listener stay open",
            Self::AtOnce => "takes effect at once",
        })
    }
}
