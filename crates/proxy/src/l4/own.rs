//! The sockets of this process that send datagrams: what comes from one of them would go round in circles.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use evenkeel_net::is_own_address;

use crate::shared::Shared;

/// Tables, each behind a lock of its own, so that workers seldom meet.
const SHARDS: usize = 64;

/// The sockets of this process that send datagrams.
#[derive(Debug)]
pub struct OwnSockets {
    /// Those of sessions, by their ports: as many entries as there are sessions.
    sessions: Box<[Mutex<HashSet<SocketAddr>>]>,
    /// Those of listeners, each as often as workers have it.
    listeners: Mutex<Vec<SocketAddr>>,
}

impl Default for OwnSockets {
    fn default() -> Self {
        Self { sessions: (0..SHARDS).map(|_| Mutex::default()).collect(), listeners: Mutex::default() }
    }
}

impl OwnSockets {
    /// True if a datagram from this address was sent by this process.
    pub fn has(&self, peer: SocketAddr) -> bool {
        self.of(peer).contains(&peer) || self.is_listener(peer)
    }

    fn is_listener(&self, peer: SocketAddr) -> bool {
        let listeners = lock(&self.listeners);
        let mut of_port = listeners.iter().filter(|own| own.port() == peer.port());
        of_port.any(|own| {
            own.ip().to_canonical() == peer.ip() || own.ip().is_unspecified() && is_own_address(peer.ip())
        })
    }

    fn of(&self, address: SocketAddr) -> MutexGuard<'_, HashSet<SocketAddr>> {
        lock(&self.sessions[usize::from(address.port()) % SHARDS])
    }
}

/// A socket of this process, for as long as it is open.
#[derive(Debug)]
pub struct OwnSocket {
    shared: Arc<Shared>,
    address: SocketAddr,
    is_listener: bool,
}

impl OwnSocket {
    /// Notes the socket of a session.
    pub fn session(shared: &Arc<Shared>, address: SocketAddr) -> Self {
        shared.own_sockets.of(address).insert(address);
        Self { shared: Arc::clone(shared), address, is_listener: false }
    }

    /// Notes the socket of a listener.
    pub fn listener(shared: &Arc<Shared>, address: SocketAddr) -> Self {
        lock(&shared.own_sockets.listeners).push(address);
        Self { shared: Arc::clone(shared), address, is_listener: true }
    }
}

impl Drop for OwnSocket {
    fn drop(&mut self) {
        let own = &self.shared.own_sockets;
        if !self.is_listener {
            own.of(self.address).remove(&self.address);
            return;
        }
        let mut listeners = lock(&own.listeners);
        if let Some(at) = listeners.iter().position(|address| *address == self.address) {
            listeners.swap_remove(at);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
