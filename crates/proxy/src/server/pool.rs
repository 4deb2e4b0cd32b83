//! One server as one worker sees it: its idle connections, its load and its figures.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use evenkeel_config::{self as config, Keepalive, PoolProtocol};
use evenkeel_core::balance::Load;
use evenkeel_core::health::TermWatch;
use evenkeel_net::{Dial, Io, SessionSocket};
use evenkeel_observe::{BackendShard, Registry, ServerNotes};
use evenkeel_tls::ClientTls;
use evenkeel_types::{Address, BackendId, Time};

use super::counted::Counted;
use super::error::ServerError;
use super::h2::Place;
use super::names::NamedConnections;
use super::outgoing::Surroundings;
use super::postgres::{ask_for_tls, is_postgres};
use super::sender::{Own, Sender};

/// A server of a pool.
#[derive(Debug)]
pub struct Upstream {
    /// Its stable id.
    pub id: BackendId,
    address: Address,
    /// What it is called when the client calls it nothing.
    pub host: String,
    dial: Dial,
    sharing: Sharing,
    tls: Option<Arc<ClientTls>>,
    /// True if it is asked for TLS before that begins on a stream.
    asks_for_tls: bool,
    keepalive: Keepalive,
    idle_max: Duration,
    /// Those that any client may use. Last in, first out: the busiest connections stay warm and the rest can age.
    idle: RefCell<Vec<Idle>>,
    /// Those that many requests share.
    shared: NamedConnections,
    /// Requests in flight and latency, shared by all workers.
    pub load: Arc<Load>,
    /// The term of the server in its role that its connections belong to.
    term: u64,
    counted: Counted,
    /// True once no configuration has it any more: what comes back is closed.
    retired: Cell<bool>,
}

/// Which requests may use a connection.
#[derive(Debug)]
enum Sharing {
    /// One at a time, of any client.
    Http1,
    /// Many at a time, of any clients.
    Http2,
    /// One at a time, all of one client's connection.
    Own(Rc<Own>),
}

/// A connection that waits for a request.
#[derive(Debug)]
pub(super) struct Idle {
    pub(super) connection: Connection,
    /// Since when.
    pub(super) since: Time,
}

/// A connection to a server.
#[derive(Debug)]
pub struct Connection {
    /// Its bytes.
    pub io: Rc<Io>,
    /// The requests that it was made for, if others must not use it.
    pub only: Option<Rc<Only>>,
    /// When it was opened.
    pub opened: Time,
    /// Requests that it has served before. If there are any, the server may be closing it just now.
    pub served: u32,
}

/// The requests that a connection was made for.
#[derive(Debug)]
pub struct Only {
    /// Those for this name, which the server's certificate is for; `None` is the server's own.
    pub(super) name: Option<Box<str>>,
    /// Those of this client's connection, which a PROXY header has named to the server; `None` is all.
    pub(super) sender: Option<Weak<Sender>>,
}

/// A request that wants to go to a server.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The host that it is for.
    pub host: &'a str,
    /// Who sent it; `None` if no client did.
    pub sender: Option<&'a Rc<Sender>>,
    /// Its id.
    pub id: &'a str,
}

/// What a request goes over.
#[derive(Debug)]
pub enum Link {
    /// A connection of its own.
    Http1(Connection),
    /// A place on one that requests share.
    Http2(Place),
}

impl Link {
    /// True if the server may be closing it just now, because it was open before.
    pub fn reused(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.served > 0,
            Self::Http2(place) => place.reused,
        }
    }
}

impl Upstream {
    /// A server without connections.
    pub fn new(
        backend: &config::Backend,
        pool: &config::Pool,
        server: (&Arc<Load>, u64),
        tls: Option<&Arc<ClientTls>>,
        counted: (usize, &Registry),
    ) -> Self {
        let ((load, term), (worker, registry)) = (server, counted);
        let of = (pool.name.clone(), backend.id.clone());
        let counted = Counted::new(of, registry.backend(&pool.name, &backend.id), worker);
        let sharing = match (pool.protocol, pool.proxy_protocol) {
            (PoolProtocol::Http2, _) => Sharing::Http2,
            (PoolProtocol::Http1, None) => Sharing::Http1,
            (PoolProtocol::Http1, Some(version)) => Sharing::Own(Own::new(version, pool, counted.clone())),
        };
        Self {
            id: backend.id.clone(),
            address: backend.address.clone(),
            host: backend.address.host(),
            dial: Dial::new(&pool.bind_from, pool.tcp_keepalive),
            sharing,
            tls: tls.cloned(),
            asks_for_tls: is_postgres(pool),
            keepalive: for_all(pool),
            idle_max: pool.timeout.idle,
            idle: RefCell::default(),
            shared: NamedConnections::new(counted.clone()),
            load: Arc::clone(load),
            term,
            counted,
            retired: Cell::new(false),
        }
    }

    /// True if this is still what a new configuration describes, connections and all, and the server has not lost its role.
    pub fn serves(
        &self,
        backend: &config::Backend,
        pool: &config::Pool,
        (load, term): (&Arc<Load>, u64),
        tls: Option<&Arc<ClientTls>>,
    ) -> bool {
        self.address == backend.address
            && self.sharing.is_of(pool)
            && self.dial.is(&pool.bind_from, pool.tcp_keepalive)
            && self.tls.as_ref().map(Arc::as_ptr) == tls.map(Arc::as_ptr)
            && self.asks_for_tls == is_postgres(pool)
            && self.keepalive == for_all(pool)
            && self.idle_max == pool.timeout.idle
            && Arc::ptr_eq(&self.load, load)
            && self.term == term
    }

    /// Tells a connection to it when the server loses its role.
    pub fn watch_term(&self) -> TermWatch {
        self.load.terms().watch(self.term)
    }

    /// What this worker counts of it.
    pub fn figures(&self) -> &BackendShard {
        self.counted.figures()
    }

    /// What people are shown of how it fails.
    pub fn notes(&self) -> &ServerNotes {
        self.counted.notes()
    }

    /// True if the name that a server's certificate must be for depends on the request's host.
    pub fn is_named_by_host(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_named_by_host())
    }

    /// True if a PROXY header tells it who sends the requests of a connection.
    pub fn learns_senders(&self) -> bool {
        matches!(self.sharing, Sharing::Own(_))
    }

    /// The name that a connection for a request to `host` must have; `None` if it is the server's own.
    fn name<'h>(&self, host: &'h str) -> Option<&'h str> {
        self.tls.as_ref().and_then(|tls| tls.name_of_host(host))
    }

    /// A connection that can carry a request of `sender` to `host`, as far as can be known.
    pub fn kept(&self, host: &str, sender: Option<&Rc<Sender>>, now: Time) -> Option<Link> {
        let name = self.name(host);
        let link = match &self.sharing {
            Sharing::Http1 => self.take_idle(name, now).map(Link::Http1),
            Sharing::Http2 => self.shared.place(name, now, self.keepalive).map(Link::Http2),
            Sharing::Own(own) => own.take(sender?, name, now).map(Link::Http1),
        };
        if link.is_some() {
            self.figures().connections_reused.increment();
        }
        link
    }

    fn take_idle(&self, wanted: Option<&str>, now: Time) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        while let Some(at) = idle.iter().rposition(|it| it.connection.name() == wanted) {
            let Idle { connection, since } = idle.remove(at);
            self.figures().connections_idle.decrement();
            let is_young = self.keepalive.age.is_none_or(|age| now - connection.opened < age);
            if is_young && now - since < self.idle_max && connection.io.is_quiet() {
                return Some(connection);
            }
            self.log_closed(why_unfit(is_young, now - since < self.idle_max));
        }
        None
    }

    /// Opens a connection for a request, or takes a place on one that another request opens at this moment.
    ///
    /// # Errors
    /// What the kernel, the resolver or the server says.
    pub async fn connect(
        &self,
        asker: Asker<'_>,
        now: Time,
        around: Surroundings<'_>,
    ) -> Result<Link, ServerError> {
        let name = self.name(asker.host);
        let link = match &self.sharing {
            Sharing::Http1 => self.open(name, &[]).await.map(|io| {
                let only = name.map(|name| Rc::new(Only { name: Some(name.into()), sender: None }));
                Link::Http1(Connection { io: Rc::new(io), only, opened: now, served: 0 })
            }),
            Sharing::Http2 => {
                let connections = self.shared.of(name, self.keepalive);
                // In a box, because it is large, and most servers speak HTTP/1.1.
                let opening = Box::pin(connections.open(self.keepalive, around, self.open(name, &[])));
                opening.await.map(Link::Http2)
            }
            Sharing::Own(own) => self.open(name, &own.header(asker.sender, asker.id)).await.map(|io| {
                let only = Only { name: name.map(Box::from), sender: asker.sender.map(Rc::downgrade) };
                Link::Http1(Connection { io: Rc::new(io), only: Some(Rc::new(only)), opened: now, served: 0 })
            }),
        };
        link.inspect_err(|error| self.counted.log_failed(error)).map_err(|error| match name {
            Some(_) if evenkeel_net::is_refused_handshake(&error) => ServerError::NameRefused(error),
            _ => ServerError::Connect(error),
        })
    }

    /// Opens a connection for the stream of bytes of `sender`, which no other one will ever use.
    ///
    /// # Errors
    /// What the kernel, the resolver or the server says.
    pub async fn open_stream(&self, sender: Option<&Rc<Sender>>, speaks: bool) -> Result<Io, ServerError> {
        let failed = |error| {
            self.counted.log_failed(&error);
            ServerError::Connect(error)
        };
        let mut io = self.dial.connect_to_speak(&self.address, speaks).await.map_err(failed)?;
        if !matches!(self.sharing, Sharing::Http1 | Sharing::Http2) || self.tls.is_some() {
            Box::pin(self.prepare(&mut io, sender)).await.map_err(failed)?;
        }
        self.figures().connections_opened.increment();
        self.counted.log_opened();
        Ok(io)
    }

    /// Sends what comes before all else, and shakes hands.
    async fn prepare(&self, io: &mut Io, sender: Option<&Rc<Sender>>) -> io::Result<()> {
        if let Sharing::Own(own) = &self.sharing {
            io.write_all(&mut [IoSlice::new(&own.header(sender, ""))]).await?;
        }
        if let Some(tls) = &self.tls {
            let name = tls.server_name(&self.address).map_err(io::Error::other)?;
            if self.asks_for_tls {
                ask_for_tls(io).await?;
            }
            io.connect_tls(tls.stream_config(), name).await?;
        }
        Ok(())
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Opens a socket for the session of one client, which no other one will ever use.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn open_session(&self, address: SocketAddr) -> Result<SessionSocket, ServerError> {
        let socket = self.dial.connect_datagrams(address).map_err(ServerError::Connect)?;
        self.figures().connections_opened.increment();
        Ok(socket)
    }

    /// The PROXY header that each datagram of `sender` begins with, if it does.
    pub fn datagram_header(&self, sender: &Sender) -> Option<Box<[u8]>> {
        match &self.sharing {
            Sharing::Own(_) => Some(sender.datagram_header()),
            Sharing::Http1 | Sharing::Http2 => None,
        }
    }

    /// `header` is sent before all else.
    async fn open(&self, name: Option<&str>, header: &[u8]) -> io::Result<Io> {
        let mut io = self.dial.connect(&self.address).await?;
        io.write_all(&mut [IoSlice::new(header)]).await?;
        if let Some(tls) = &self.tls {
            let name = tls.server_name_for(&self.address, name).map_err(io::Error::other)?;
            io.connect_tls(tls.config(), name).await?;
        }
        self.figures().connections_opened.increment();
        self.counted.log_opened();
        Ok(io)
    }

    /// True if the connections to it are encrypted.
    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Keeps a connection for the next request. Where clients choose the names, the connection that has been idle for
    /// longest makes room, so that names that no client asks for again do not fill the pool.
    pub fn keep(&self, mut connection: Connection, now: Time) {
        let mut idle = self.idle.borrow_mut();
        connection.served = connection.served.saturating_add(1);
        let may_serve = self.keepalive.requests.is_none_or(|max| connection.served < max);
        if !may_serve || self.retired.get() {
            let why = if may_serve { RETIRED } else { "`keepalive.requests` are served" };
            return self.log_closed(why);
        }
        if idle.len() >= self.keepalive.idle && !idle.is_empty() && self.is_named_by_host() {
            self.figures().connections_idle.decrement();
            idle.remove(0);
            self.log_closed("a connection for another name needs its place");
        }
        if idle.len() < self.keepalive.idle {
            self.figures().connections_idle.increment();
            idle.push(Idle { connection, since: now });
        } else if let Sharing::Own(own) = &self.sharing {
            own.keep(Idle { connection, since: now });
        } else {
            self.log_closed("`keepalive.idle` connections are idle already");
        }
    }

    /// Logs that no connection to it came about in time.
    pub fn log_failed(&self, error: &ServerError) {
        self.counted.log_failed(error);
    }

    /// Logs that a connection to it is closed, and why.
    pub fn log_closed(&self, why: &str) {
        self.counted.log_closed(why);
    }

    /// Closes what is idle, and keeps nothing from now on.
    pub fn retire(&self) {
        self.retired.set(true);
        self.shared.retire();
        if let Sharing::Own(own) = &self.sharing {
            own.close();
        }
        let closed = self.idle.take().len();
        (0..closed).for_each(|_| {
            self.figures().connections_idle.decrement();
            self.log_closed(RETIRED);
        });
    }

    /// Closes connections that have been idle for too long, or that the server has closed.
    pub fn sweep(&self, now: Time) {
        self.shared.sweep(now, self.idle_max);
        if let Sharing::Own(own) = &self.sharing {
            own.sweep(now);
        }
        let mut idle = self.idle.borrow_mut();
        idle.retain(|it| {
            let is_fresh = now - it.since < self.idle_max;
            let stays = is_fresh && it.connection.io.is_quiet();
            if !stays {
                self.figures().connections_idle.decrement();
                self.log_closed(why_unfit(true, is_fresh));
            }
            stays
        });
    }
}

impl Sharing {
    fn is_of(&self, pool: &config::Pool) -> bool {
        match self {
            Self::Http1 => pool.protocol == PoolProtocol::Http1 && pool.proxy_protocol.is_none(),
            Self::Http2 => pool.protocol == PoolProtocol::Http2,
            Self::Own(own) => own.is_of(pool),
        }
    }
}

impl Connection {
    /// The name that the server's certificate was for; `None` is the server's own.
    pub(super) fn name(&self) -> Option<&str> {
        self.only.as_ref().and_then(|only| only.name.as_deref())
    }
}

/// Why an idle connection is closed that no configuration has any more.
pub(super) const RETIRED: &str = "its server has left the pool, or is reached in another way now";

/// Why an idle connection carries no further request.
pub(super) fn why_unfit(is_young: bool, is_fresh: bool) -> &'static str {
    match (is_young, is_fresh) {
        (false, _) => "`keepalive.age` is over",
        (true, false) => "it was idle for `timeout.idle`",
        (true, true) => "the server closed it, or sent something, while it was idle",
    }
}

/// Which connections are kept for all clients.
fn for_all(pool: &config::Pool) -> Keepalive {
    let idle = if pool.proxy_protocol.is_some() { 0 } else { pool.keepalive.idle };
    Keepalive { idle, ..pool.keepalive }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let idle = self.idle.get_mut().len();
        (0..idle).for_each(|_| self.figures().connections_idle.decrement());
    }
}
