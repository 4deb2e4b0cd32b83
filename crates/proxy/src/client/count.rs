//! How many connections each client has open on each listener: shared by all workers.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_utils::CachePadded;
use evenkeel_config::Listener;
use evenkeel_core::limit::network;
use evenkeel_net::Peer;
use evenkeel_types::ListenerName;
use hashbrown::HashTable;

/// Tables, each behind a lock of its own, so that workers seldom meet.
const SHARDS: usize = 64;
/// Clients whose IPv6 addresses have so many bits in common are one: that much even the smallest customer gets.
const IPV6_PREFIX: u8 = 64;

/// A listener and one of its clients.
type Key = (ListenerName, IpAddr);

/// How many connections a client has.
#[derive(Debug)]
struct Open {
    key: Key,
    hash: u64,
    connections: u32,
}

/// The connections of each client; as many entries at most as connections are open.
#[derive(Debug)]
pub struct Clients {
    shards: Box<[CachePadded<Mutex<HashTable<Open>>>]>,
    keyed: RandomState,
}

/// One connection of a client, for as long as it is open.
#[derive(Debug)]
pub struct Place {
    clients: Arc<Clients>,
    key: Key,
    hash: u64,
}

impl Default for Clients {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| CachePadded::default()).collect(), keyed: RandomState::new() }
    }
}

impl Clients {
    /// Counts one more connection of `peer`, even while there is no limit, so that a limit that a reload
    /// brings knows the connections that are open: `Ok(None)` for peers that never have a limit.
    ///
    /// # Errors
    /// The client has as many as it may.
    pub fn enter(self: &Arc<Self>, listener: &Listener, peer: Peer) -> Result<Option<Place>, Full> {
        let Peer::Ip(address) = peer else { return Ok(None) };
        let address = address.ip().to_canonical();
        if listener.trusted_proxies.iter().any(|net| net.contains(&address)) {
            return Ok(None);
        }
        let key = (listener.name.clone(), network(address, IPV6_PREFIX));
        // Once, for the shard, the table and the end of the connection: it is keyed, and so not cheap.
        let hash = self.keyed.hash_one(&key);
        let mut table = self.table(hash);
        let none = || Open { key: key.clone(), hash, connections: 0 };
        let entry = table.entry(hash, |open| open.key == key, |open| open.hash).or_insert_with(none);
        let open = entry.into_mut();
        if listener.limits.connections_per_client.is_some_and(|max| open.connections >= max) {
            return Err(Full);
        }
        open.connections += 1;
        drop(table);
        Ok(Some(Place { clients: Arc::clone(self), key, hash }))
    }

    /// By bits that the table itself does not go by.
    fn table(&self, hash: u64) -> MutexGuard<'_, HashTable<Open>> {
        self.shards[(hash >> 32) as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.clients.table(self.hash);
        let Ok(mut entry) = table.find_entry(self.hash, |open| open.key == self.key) else { return };
        match &mut entry.get_mut().connections {
            0 | 1 => drop(entry.remove()),
            connections => *connections -= 1,
        }
    }
}

/// A client has as many connections as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn peer(ip: &str) -> Peer {
        Peer::Ip(SocketAddr::new(ip.parse().unwrap(), 1234))
    }

    fn listener(more: &str) -> Listener {
        let text = format!("[listener.web]\nbind = 80\npool = \"a\"\n{more}\n[pool.a]\nbackends = [1]\n");
        evenkeel_config::parse("test", &text).unwrap().config.listeners.remove(0)
    }

    #[test]
    fn each_client_has_its_own_places_and_they_come_back() {
        let clients = Arc::new(Clients::default());
        let listener = listener("limits = { connections_per_client = 2 }\ntrusted_proxies = \"10.0.0.0/8\"");
        let enter = |ip: &str| clients.enter(&listener, peer(ip));
        let (one, two) = (enter("192.0.2.1"), enter("::ffff:192.0.2.1"));
        assert!(one.is_ok() && two.is_ok());
        assert_eq!(enter("192.0.2.1").err(), Some(Full));
        let other = enter("192.0.2.2");
        assert!(other.is_ok_and(|place| place.is_some()));
        let network = [enter("2001:db8::1"), enter("2001:db8::2")];
        assert_eq!((enter("2001:db8::3").err(), enter("2001:db8:0:1::1").err()), (Some(Full), None));
        assert!((0..5).all(|_| enter("10.1.2.3").is_ok_and(|place| place.is_none())));
        drop((one, network));
        assert!(enter("192.0.2.1").is_ok() && enter("2001:db8::9").is_ok());
        drop(two);
        assert!(clients.shards.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }

    #[test]
    fn a_limit_counts_those_who_came_before_it() {
        let clients = Arc::new(Clients::default());
        let there = [(); 3].map(|()| clients.enter(&listener(""), peer("192.0.2.1")).unwrap());
        let limited = listener("limits = { connections_per_client = 2 }");
        assert_eq!(clients.enter(&limited, peer("192.0.2.1")).err(), Some(Full));
        drop(there);
        assert!(clients.enter(&limited, peer("192.0.2.1")).is_ok());
    }
}
