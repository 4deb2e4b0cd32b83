//! What the workers hand over to another process that serves on in the place of this one: listening sockets, and sessions of
//! datagrams with the sockets by which they speak to their servers.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use evenkeel_config::Transport;
use evenkeel_core::l4::{Allowance, SessionKey};
use evenkeel_net::Socket;
use evenkeel_types::{Address, ListenerName};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::shared::{Order, Place, Shared};

/// How long datagrams wait for sessions that are not counted yet, because a worker is late.
const COUNTED_WITHIN: Duration = Duration::from_secs(2);

/// What another process has taken over.
#[derive(Debug, Clone, Default)]
pub struct Successor(Arc<HashSet<Place>>);

/// A duplicate of a socket that a worker accepts on.
#[derive(Debug)]
pub struct ListeningSocket {
    /// What it takes.
    pub transport: Transport,
    /// The address that it is bound to.
    pub address: Address,
    /// The duplicate, if a descriptor was left for it.
    pub descriptor: io::Result<OwnedFd>,
}

/// The sessions of one socket that clients send datagrams to.
#[derive(Debug)]
pub struct StationSessions {
    /// The number by which the kernel knows that socket.
    pub inode: u64,
    /// Its sessions, as far as they have a server.
    pub sessions: Vec<HandedSession>,
}

/// A session of datagrams on its way from one process to another.
#[derive(Debug)]
pub struct HandedSession {
    /// What there is to know.
    pub record: SessionRecord,
    /// Its socket, which is connected to its server.
    pub descriptor: OwnedFd,
}

/// What another process had at a socket.
#[derive(Debug, Default)]
pub(crate) struct TakenOver {
    /// Its sessions.
    pub(crate) sessions: Vec<HandedSession>,
    /// Of a socket that takes no datagram until all sockets have their sessions; dropped once this one has. Else a new session could
    /// get a permit that a session of another socket is about to take.
    pub(crate) waits: Option<Sender<()>>,
}

/// What there is to know of a session of datagrams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Where its datagrams come from.
    pub peer: SocketAddr,
    /// The address that they are sent to, if the socket has several.
    pub local: Option<IpAddr>,
    /// The client that the peer sends them for.
    pub client: Option<SocketAddr>,
    /// The route that took it.
    pub route: Option<String>,
    /// Its pool.
    pub pool: String,
    /// The id of its server.
    pub server: String,
    /// The address of that server, as the configuration has it.
    pub address: String,
    /// What each datagram to the server begins with.
    pub header: Option<Vec<u8>>,
    /// How long ago it began.
    pub age: Duration,
    /// Bytes that it has sent to the server and to the client.
    pub bytes: (u64, u64),
    /// Datagrams that came from the server.
    pub answers: u32,
    /// Servers that were tried.
    pub tries: u32,
    /// How many datagrams may go back to the client.
    pub allowance: (u32, bool, bool),
}

impl SessionRecord {
    /// What its datagrams have in common.
    pub(crate) fn key(&self) -> SessionKey {
        SessionKey { peer: self.peer, local: self.local, client: self.client }
    }

    /// How many datagrams may go back to the client.
    pub(crate) fn allowance(&self) -> Allowance {
        let (left, has_answered, is_shown) = self.allowance;
        Allowance::of(left, has_answered, is_shown)
    }
}

impl Successor {
    /// A process that has taken over the sockets at these places.
    pub fn of(places: impl IntoIterator<Item = (Transport, Address)>) -> Self {
        Self(Arc::new(places.into_iter().collect()))
    }

    /// Whether it has the sockets there.
    pub(crate) fn has(&self, place: &Place) -> bool {
        self.0.contains(place)
    }
}

impl Shared {
    /// Duplicates of all sockets that the workers accept on, as they give them out; it ends with the last.
    pub fn duplicates(&self) -> UnboundedReceiver<ListeningSocket> {
        let (answer, duplicates) = unbounded_channel();
        self.order_all(|| Order::Duplicate { answer: answer.clone() });
        duplicates
    }

    /// Has the workers take in no datagram, from clients or servers, until [`resume_datagrams`](Self::resume_datagrams): what comes
    /// meanwhile waits in the kernel. The sessions that there are, as they give them out; it ends with the last.
    pub fn pause_datagrams(&self) -> UnboundedReceiver<StationSessions> {
        let (answer, sessions) = unbounded_channel();
        self.order_all(|| Order::PauseDatagrams { answer: answer.clone() });
        sessions
    }

    /// Has the workers go on with the datagrams of their sessions.
    pub fn resume_datagrams(&self) {
        self.order_all(|| Order::ResumeDatagrams);
    }

    /// Has the workers take datagrams on these sockets of listeners, with the sessions that another process had there, by the numbers
    /// by which the kernel knows the sockets. No datagram is taken before all of these sessions are counted.
    pub fn listen_datagrams<'a>(
        &self,
        listeners: impl IntoIterator<Item = (&'a ListenerName, &'a Address, Vec<Socket>)>,
        mut sessions: HashMap<u64, Vec<HandedSession>>,
    ) {
        let (waits, all_counted) = mpsc::channel();
        for (listener, address, sockets) in listeners {
            for (turn, socket) in sockets.into_iter().enumerate() {
                let of_it = socket.inode().ok().and_then(|inode| sessions.remove(&inode));
                let (sessions, waits) = (of_it.unwrap_or_default(), Some(waits.clone()));
                let taken = TakenOver { sessions, waits };
                self.listen_with(turn, listener, (Transport::Datagram, address), (socket, taken));
            }
        }
        drop(waits);
        // Nothing is ever sent: it ends with the last socket, or when a worker is too late.
        let _ = all_counted.recv_timeout(COUNTED_WITHIN);
        self.resume_datagrams();
    }

    fn order_all(&self, order: impl Fn() -> Order) {
        (0..self.worker_count()).for_each(|worker| drop(self.order(worker, order())));
    }
}
