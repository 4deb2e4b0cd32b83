//! Who sends the requests of a client's connection, as servers learn it, and the connections to servers that carry the
//! requests of that sender alone, because they began with a PROXY header that names it.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::{Rc, Weak};
use std::time::Duration;

use evenkeel_config::{self as config, Keepalive, PoolProtocol, ProxyProtocol};
use evenkeel_net::Peer;
use evenkeel_net::proxy_protocol::{Carried, Header, Tlvs, Version};
use evenkeel_types::Time;

use super::counted::Counted;
use super::pool::{Connection, Idle, why_unfit};

/// A client's connection, as servers see it.
#[derive(Debug)]
pub struct Sender {
    lines: Box<[u8]>,
    source: Peer,
    destination: Option<SocketAddr>,
    session: Option<Rc<Tlvs>>,
    /// Connections to servers that are its own, by server.
    kept: RefCell<Vec<Kept>>,
}

/// Connections of one sender to one server.
#[derive(Debug)]
struct Kept {
    server: Rc<Own>,
    idle: Vec<Idle>,
}

/// A server that learns from a PROXY header who sends the requests of a connection.
#[derive(Debug)]
pub(super) struct Own {
    version: ProxyProtocol,
    keepalive: Keepalive,
    idle_max: Duration,
    counted: Counted,
    /// Who keeps connections to it.
    senders: RefCell<Vec<Weak<Sender>>>,
}

impl Sender {
    /// Of a connection from `source` to `destination`. `lines` are what [`sender_lines`](super::h1::sender_lines) says of
    /// it, `session` what its TLS handshake came to.
    pub fn new(
        lines: Vec<u8>,
        source: Peer,
        destination: Option<SocketAddr>,
        session: Option<Rc<Tlvs>>,
    ) -> Self {
        Self { lines: lines.into(), source, destination, session, kept: RefCell::default() }
    }

    /// Adds what its TLS handshake came to.
    pub fn set_session(&mut self, session: Tlvs) {
        self.session = Some(Rc::new(session));
    }

    /// The lines about it in each request, unless its peer is trusted to say more.
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// True if no connection to a server is its own.
    pub fn keeps_none(&self) -> bool {
        self.kept.borrow().is_empty()
    }

    /// The header that each of its datagrams begins with.
    pub(super) fn datagram_header(&self) -> Box<[u8]> {
        let mut bytes = Vec::new();
        self.header("").write_datagram(&mut bytes);
        bytes.into()
    }

    fn header(&self, id: &str) -> Header {
        let carried = match (self.source, self.destination) {
            (Peer::Unix, _) => Carried::Unix,
            (Peer::Ip(source), Some(destination)) => Carried::between(source, destination),
            (Peer::Ip(source), None) => Carried::between(source, unspecified(source)),
        };
        let mut tlvs = self.session.as_deref().cloned().unwrap_or_default();
        tlvs.unique_id = (!id.is_empty()).then(|| id.as_bytes().into());
        Header { carried, tlvs }
    }

    fn keep(self: &Rc<Self>, server: &Rc<Own>, idle: Idle) {
        let mut kept = self.kept.borrow_mut();
        let known = kept.iter().position(|kept| Rc::ptr_eq(&kept.server, server));
        let at = known.unwrap_or_else(|| {
            server.senders.borrow_mut().push(Rc::downgrade(self));
            kept.push(Kept { server: Rc::clone(server), idle: Vec::new() });
            kept.len() - 1
        });
        if kept[at].idle.len() < server.keepalive.idle {
            server.counted.figures().connections_idle.increment();
            kept[at].idle.push(idle);
        }
    }

    fn take(&self, server: &Own, name: Option<&str>, now: Time) -> Option<Connection> {
        let mut kept = self.kept.borrow_mut();
        let idle = &mut kept.iter_mut().find(|kept| std::ptr::eq(&*kept.server, server))?.idle;
        while let Some(at) = idle.iter().rposition(|it| it.connection.name() == name) {
            let it = idle.remove(at);
            server.counted.figures().connections_idle.decrement();
            let is_young = server.keepalive.age.is_none_or(|age| now - it.connection.opened < age);
            if is_young && server.is_fit(&it, now) {
                return Some(it.connection);
            }
            server.counted.log_closed(why_unfit(is_young, now - it.since < server.idle_max));
        }
        None
    }

    /// Closes its connections to a server for which `stays` does not hold; true if some are left.
    fn retain(&self, server: &Own, stays: impl Fn(&Idle) -> bool) -> bool {
        let mut all = self.kept.borrow_mut();
        let Some(at) = all.iter().position(|kept| std::ptr::eq(&*kept.server, server)) else { return false };
        let idle = &mut all[at].idle;
        let before = idle.len();
        idle.retain(stays);
        (idle.len()..before).for_each(|_| {
            server.counted.figures().connections_idle.decrement();
            server
                .counted
                .log_closed("it was idle for too long, closed by the server, or its pool has changed");
        });
        let some_are_left = !idle.is_empty();
        if !some_are_left {
            all.swap_remove(at);
        }
        some_are_left
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        for Kept { server, idle } in self.kept.get_mut() {
            idle.iter().for_each(|_| {
                server.counted.figures().connections_idle.decrement();
                server.counted.log_closed("the client has left that it was for");
            });
        }
    }
}

impl Own {
    pub(super) fn new(version: ProxyProtocol, pool: &config::Pool, counted: Counted) -> Rc<Self> {
        let (keepalive, idle_max) = (pool.keepalive, pool.timeout.idle);
        Rc::new(Self { version, keepalive, idle_max, counted, senders: RefCell::default() })
    }

    pub(super) fn is_of(&self, pool: &config::Pool) -> bool {
        pool.protocol == PoolProtocol::Http1
            && pool.proxy_protocol == Some(self.version)
            && pool.keepalive == self.keepalive
    }

    /// The header of a connection for a request of `sender` with this id, or for a stream, which has none.
    pub(super) fn header(&self, sender: Option<&Rc<Sender>>, id: &str) -> Vec<u8> {
        written(&sender.map_or_else(Header::local, |sender| sender.header(id)), self.version)
    }

    /// A connection of `sender` that can carry a request.
    pub(super) fn take(&self, sender: &Sender, name: Option<&str>, now: Time) -> Option<Connection> {
        sender.take(self, name, now)
    }

    /// Keeps a connection for further requests of its sender, for as long as that is there.
    pub(super) fn keep(self: &Rc<Self>, idle: Idle) {
        let sender = idle.connection.only.as_ref().and_then(|only| only.sender.as_ref()?.upgrade());
        if let Some(sender) = sender {
            sender.keep(self, idle);
        }
    }

    /// Closes connections that have been idle for too long, or that the server has closed.
    pub(super) fn sweep(&self, now: Time) {
        self.retain(|it| self.is_fit(it, now));
    }

    /// Closes what is idle.
    pub(super) fn close(&self) {
        self.retain(|_| false);
    }

    fn retain(&self, stays: impl Fn(&Idle) -> bool) {
        let mut senders = self.senders.borrow_mut();
        senders.retain(|sender| sender.upgrade().is_some_and(|sender| sender.retain(self, &stays)));
    }

    fn is_fit(&self, it: &Idle, now: Time) -> bool {
        now - it.since < self.idle_max && it.connection.io.is_quiet()
    }
}

/// The bytes of a header in the version that the pool wants.
pub(super) fn written(header: &Header, version: ProxyProtocol) -> Vec<u8> {
    let mut bytes = Vec::new();
    let version = match version {
        ProxyProtocol::V1 => Version::V1,
        ProxyProtocol::V2 => Version::V2,
    };
    header.write(version, &mut bytes);
    bytes
}

/// No address, in the family of `beside`.
fn unspecified(beside: SocketAddr) -> SocketAddr {
    let ip = match beside.ip() {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(ip, 0)
}
