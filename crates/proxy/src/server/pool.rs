//! One server as one worker sees it: its idle connections, its load and its figures.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_config::{self as config, Keepalive, PoolProtocol};
use evenkeel_core::balance::Load;
use evenkeel_net::Io;
use evenkeel_observe::{BackendMetrics, BackendShard, Registry};
use evenkeel_tls::ClientTls;
use evenkeel_types::{Address, BackendId, Time};

use super::error::ServerError;
use super::h2::Place;
use super::names::{Name, NamedConnections};
use crate::http::head::HeadLimits;

/// A server of a pool.
#[derive(Debug)]
pub struct Upstream {
    /// Its stable id.
    pub id: BackendId,
    address: Address,
    /// What it is called when the client calls it nothing.
    pub host: String,
    protocol: PoolProtocol,
    tls: Option<Arc<ClientTls>>,
    keepalive: Keepalive,
    idle_max: Duration,
    /// Last in, first out: the busiest connections stay warm and the rest can age.
    idle: RefCell<Vec<Idle>>,
    /// Those that many requests share.
    shared: NamedConnections,
    /// Requests in flight and latency, shared by all workers.
    pub load: Arc<Load>,
    counted: Counted,
    /// True once no configuration has it any more: what comes back is closed.
    retired: Cell<bool>,
}

/// Where one worker counts what becomes of one server.
#[derive(Debug, Clone)]
pub struct Counted {
    metrics: Arc<BackendMetrics>,
    worker: usize,
}

#[derive(Debug)]
struct Idle {
    io: Rc<Io>,
    name: Name,
    /// Since when.
    since: Time,
    opened: Time,
    served: u32,
}

/// A connection to a server.
#[derive(Debug)]
pub struct Connection {
    /// Its bytes.
    pub io: Rc<Io>,
    /// Whose certificate it was made for: requests for another name must not use it.
    pub name: Name,
    /// When it was opened.
    pub opened: Time,
    /// Requests that it has served before. If there are any, the server may be closing it just now.
    pub served: u32,
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

impl Counted {
    /// Where `worker` counts in `metrics`.
    pub fn new(metrics: Arc<BackendMetrics>, worker: usize) -> Self {
        Self { metrics, worker }
    }

    /// The figures.
    pub fn figures(&self) -> &BackendShard {
        self.metrics.shard(self.worker)
    }
}

impl Upstream {
    /// A server without connections.
    pub fn new(
        backend: &config::Backend,
        pool: &config::Pool,
        load: &Arc<Load>,
        tls: Option<&Arc<ClientTls>>,
        counted: (usize, &Registry),
    ) -> Self {
        let (worker, registry) = counted;
        let counted = Counted::new(registry.backend(&pool.name, &backend.id), worker);
        Self {
            id: backend.id.clone(),
            address: backend.address.clone(),
            host: backend.address.host(),
            protocol: pool.protocol,
            tls: tls.cloned(),
            keepalive: pool.keepalive,
            idle_max: pool.timeout.idle,
            idle: RefCell::default(),
            shared: NamedConnections::new(counted.clone()),
            load: Arc::clone(load),
            counted,
            retired: Cell::new(false),
        }
    }

    /// True if this is still what a new configuration describes, connections and all.
    pub fn serves(
        &self,
        backend: &config::Backend,
        pool: &config::Pool,
        load: &Arc<Load>,
        tls: Option<&Arc<ClientTls>>,
    ) -> bool {
        self.address == backend.address
            && self.protocol == pool.protocol
            && self.tls.as_ref().map(Arc::as_ptr) == tls.map(Arc::as_ptr)
            && self.keepalive == pool.keepalive
            && self.idle_max == pool.timeout.idle
            && Arc::ptr_eq(&self.load, load)
    }

    /// What this worker counts of it.
    pub fn figures(&self) -> &BackendShard {
        self.counted.figures()
    }

    /// True if the name that a server's certificate must be for depends on the request's host.
    pub fn is_named_by_host(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_named_by_host())
    }

    /// The name that a connection for a request to `host` must have; `None` if it is the server's own.
    fn name<'h>(&self, host: &'h str) -> Option<&'h str> {
        self.tls.as_ref().and_then(|tls| tls.name_of_host(host))
    }

    /// A connection that can carry a request to `host`, as far as can be known.
    pub fn kept(&self, host: &str, now: Time) -> Option<Link> {
        let name = self.name(host);
        let link = match self.protocol {
            PoolProtocol::Http1 => self.take_idle(name, now).map(Link::Http1),
            PoolProtocol::Http2 => self.shared.place(name, now, self.keepalive).map(Link::Http2),
        };
        if link.is_some() {
            self.figures().connections_reused.increment();
        }
        link
    }

    fn take_idle(&self, wanted: Option<&str>, now: Time) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        while let Some(at) = idle.iter().rposition(|it| it.name.as_deref() == wanted) {
            let Idle { io, name, since, opened, served } = idle.remove(at);
            self.figures().connections_idle.decrement();
            let is_young = self.keepalive.age.is_none_or(|age| now - opened < age);
            if is_young && now - since < self.idle_max && io.is_quiet() {
                return Some(Connection { io, name, opened, served });
            }
        }
        None
    }

    /// Opens a connection for a request to `host`, or takes a place on one that another request opens at this moment.
    ///
    /// # Errors
    /// What the kernel, the resolver or the server says.
    pub async fn connect(&self, host: &str, now: Time, heads: HeadLimits) -> Result<Link, ServerError> {
        let name = self.name(host);
        let link = match self.protocol {
            PoolProtocol::Http1 => self.open(name).await.map(|io| {
                let (io, name) = (Rc::new(io), name.map(Rc::from));
                Link::Http1(Connection { io, name, opened: now, served: 0 })
            }),
            PoolProtocol::Http2 => {
                let connections = self.shared.of(name, self.keepalive);
                let opening = connections.open((now, self.keepalive), heads, self.open(name));
                opening.await.map(Link::Http2)
            }
        };
        link.map_err(|error| match name {
            Some(_) if evenkeel_net::is_refused_handshake(&error) => ServerError::NameRefused(error),
            _ => ServerError::Connect(error),
        })
    }

    /// Opens a connection for a stream of bytes, which no other one will ever use.
    ///
    /// # Errors
    /// What the kernel, the resolver or the server says.
    pub async fn open_stream(&self) -> Result<Io, ServerError> {
        let opened = async {
            let mut io = evenkeel_net::connect(&self.address).await?;
            if let Some(tls) = &self.tls {
                let name = tls.server_name(&self.address).map_err(io::Error::other)?;
                io.connect_tls(tls.stream_config(), name).await?;
            }
            Ok(io)
        };
        let io = opened.await.map_err(ServerError::Connect)?;
        self.figures().connections_opened.increment();
        Ok(io)
    }

    async fn open(&self, name: Option<&str>) -> io::Result<Io> {
        let mut io = evenkeel_net::connect(&self.address).await?;
        if let Some(tls) = &self.tls {
            let name = tls.server_name_for(&self.address, name).map_err(io::Error::other)?;
            io.connect_tls(tls.config(), name).await?;
        }
        self.figures().connections_opened.increment();
        Ok(io)
    }

    /// True if the connections to it are encrypted.
    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Keeps a connection for the next request. Where clients choose the names, the connection that has been idle for
    /// longest makes room, so that names that no client asks for again do not fill the pool.
    pub fn keep(&self, connection: Connection, now: Time) {
        let mut idle = self.idle.borrow_mut();
        let Connection { io, name, opened, served } = connection;
        let served = served.saturating_add(1);
        let may_serve = self.keepalive.requests.is_none_or(|max| served < max);
        if !may_serve || self.retired.get() {
            return;
        }
        if idle.len() >= self.keepalive.idle && !idle.is_empty() && self.is_named_by_host() {
            self.figures().connections_idle.decrement();
            idle.remove(0);
        }
        if idle.len() < self.keepalive.idle {
            self.figures().connections_idle.increment();
            idle.push(Idle { io, name, since: now, opened, served });
        }
    }

    /// Closes what is idle, and keeps nothing from now on.
    pub fn retire(&self) {
        self.retired.set(true);
        self.shared.retire();
        let closed = self.idle.take().len();
        (0..closed).for_each(|_| self.figures().connections_idle.decrement());
    }

    /// Closes connections that have been idle for too long, or that the server has closed.
    pub fn sweep(&self, now: Time) {
        self.shared.sweep(now, self.idle_max);
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        idle.retain(|c| now - c.since < self.idle_max && c.io.is_quiet());
        (idle.len()..before).for_each(|_| self.figures().connections_idle.decrement());
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let idle = self.idle.get_mut().len();
        (0..idle).for_each(|_| self.figures().connections_idle.decrement());
    }
}
