//! Limits the connections to the API, and chooses which one to drop in favour of a new one: idle clients keep no other
//! client out.

use std::collections::HashMap;
use std::net::IpAddr;

use evenkeel_core::limit::network;

use crate::peer::Peer;

/// Connections open at once.
pub(crate) const CONNECTIONS_MAX: usize = 256;
/// Of these, connections that only loopback and the unix socket can use.
pub(crate) const LOCAL_RESERVED: usize = 32;
/// Connections of one client address; an IPv6 network of 64 bits counts as one address. Some dashboards and scrapers
/// behind one address fit in, and four such addresses do not fill the API.
pub(crate) const PER_ADDRESS_MAX: usize = 64;

const IPV6_PREFIX: u8 = 64;

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A unix socket: its file's permissions say which users may open it.
    Unix,
    /// This machine.
    Loopback(IpAddr),
    /// Another machine, by its address or IPv6 network.
    Remote(IpAddr),
}

impl Origin {
    /// The origin of a connection.
    pub(crate) fn of(peer: Peer) -> Self {
        match peer {
            Peer::Tcp(address) => Self::tcp(address.ip()),
            Peer::Unix(_) | Peer::Control { .. } => Self::Unix,
        }
    }

    fn tcp(address: IpAddr) -> Self {
        let address = address.to_canonical();
        if address.is_loopback() {
            Self::Loopback(address)
        } else {
            Self::Remote(network(address, IPV6_PREFIX))
        }
    }

    fn is_remote(self) -> bool {
        matches!(self, Self::Remote(_))
    }

    fn address(self) -> Option<IpAddr> {
        match self {
            Self::Unix => None,
            Self::Loopback(address) | Self::Remote(address) => Some(address),
        }
    }
}

/// One connection, as [`Connections`] numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Id(u64);

/// What becomes of a new connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is served.
    Admitted(Id),
    /// It is served in place of another one, which has to be dropped.
    Replaces(Id, Id),
    /// It is closed: all that it could replace are in the middle of a request.
    Refused,
}

/// The connections that are open.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: HashMap<Id, Connection>,
    /// Grows with each thing that happens: the order of events is all that counts here, not their times.
    turn: u64,
}

#[derive(Debug)]
struct Connection {
    origin: Origin,
    /// Requests that are being answered.
    busy: usize,
    /// When it was opened or its last answer was ready.
    idle_since: u64,
}

impl Connections {
    /// Decides on a new connection.
    pub(crate) fn open(&mut self, origin: Origin) -> Admission {
        let address = origin.address();
        let of_address = |other: &Connection| address.is_some() && other.origin.address() == address;
        let remote = |other: &Connection| other.origin.is_remote();
        let replaced = if self.count(of_address) >= PER_ADDRESS_MAX {
            self.longest_idle(of_address)
        } else if origin.is_remote() && self.count(remote) >= CONNECTIONS_MAX - LOCAL_RESERVED {
            self.longest_idle(remote)
        } else if self.open.len() >= CONNECTIONS_MAX {
            self.longest_idle(|_| true)
        } else {
            return Admission::Admitted(self.insert(origin));
        };
        let Some(replaced) = replaced else { return Admission::Refused };
        self.close(replaced);
        Admission::Replaces(self.insert(origin), replaced)
    }

    /// A request of it is being answered.
    pub(crate) fn began(&mut self, id: Id) {
        if let Some(connection) = self.open.get_mut(&id) {
            connection.busy += 1;
        }
    }

    /// The answer is ready: from now on it waits for its client.
    pub(crate) fn answered(&mut self, id: Id) {
        let turn = self.next_turn();
        if let Some(connection) = self.open.get_mut(&id) {
            connection.busy = connection.busy.saturating_sub(1);
            connection.idle_since = turn;
        }
    }

    /// It has ended.
    pub(crate) fn close(&mut self, id: Id) {
        self.open.remove(&id);
    }

    fn insert(&mut self, origin: Origin) -> Id {
        let turn = self.next_turn();
        self.open.insert(Id(turn), Connection { origin, busy: 0, idle_since: turn });
        Id(turn)
    }

    fn count(&self, which: impl Fn(&Connection) -> bool) -> usize {
        self.open.values().filter(|connection| which(connection)).count()
    }

    fn longest_idle(&self, which: impl Fn(&Connection) -> bool) -> Option<Id> {
        let idle = self.open.iter().filter(|(_, connection)| connection.busy == 0 && which(connection));
        idle.min_by_key(|(_, connection)| connection.idle_since).map(|(id, _)| *id)
    }

    fn next_turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn remote(n: usize) -> Origin {
        Origin::tcp(Ipv4Addr::from(0x0a00_0000 + u32::try_from(n).unwrap()).into())
    }

    fn loopback() -> Origin {
        Origin::tcp(Ipv4Addr::LOCALHOST.into())
    }

    fn id(admission: Admission) -> Id {
        match admission {
            Admission::Admitted(id) | Admission::Replaces(id, _) => id,
            Admission::Refused => panic!("refused"),
        }
    }

    fn replaced(admission: Admission) -> Option<Id> {
        match admission {
            Admission::Replaces(_, replaced) => Some(replaced),
            _ => None,
        }
    }

    #[test]
    fn remote_clients_leave_room_for_local_ones() {
        let mut connections = Connections::default();
        let first = id(connections.open(remote(0)));
        for n in 1..CONNECTIONS_MAX - LOCAL_RESERVED {
            assert_eq!(replaced(connections.open(remote(n))), None);
        }
        assert_eq!(replaced(connections.open(remote(1000))), Some(first), "the longest idle gives way");
        for _ in 0..LOCAL_RESERVED / 2 {
            assert_eq!(replaced(connections.open(Origin::Unix)), None);
            assert_eq!(replaced(connections.open(loopback())), None);
        }
        assert!(replaced(connections.open(loopback())).is_some(), "all are taken");
    }

    #[test]
    fn one_address_displaces_only_its_own() {
        let mut connections = Connections::default();
        let other = id(connections.open(remote(1)));
        let own: Vec<_> = (0..PER_ADDRESS_MAX).map(|_| id(connections.open(remote(2)))).collect();
        assert_eq!(replaced(connections.open(remote(2))), Some(own[0]));
        connections.began(own[1]);
        assert_eq!(replaced(connections.open(remote(2))), Some(own[2]), "a busy one stays");
        connections.answered(own[1]);
        for _ in 0..500 {
            assert_ne!(replaced(connections.open(remote(2))), Some(other));
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let mut connections = Connections::default();
        for n in 0..200 {
            connections.open(Origin::tcp(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, n).into()));
        }
        assert_eq!(connections.open.len(), PER_ADDRESS_MAX);
        assert_eq!(Origin::tcp("::ffff:127.0.0.1".parse().unwrap()), loopback());
    }

    #[test]
    fn where_all_are_busy_a_new_one_is_refused() {
        let mut connections = Connections::default();
        for _ in 0..CONNECTIONS_MAX {
            let id = id(connections.open(Origin::Unix));
            connections.began(id);
        }
        assert_eq!(connections.open(Origin::Unix), Admission::Refused);
    }
}
