//! One server as one worker sees it: its idle connections, its load and its figures.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_config as config;
use evenkeel_core::balance::Load;
use evenkeel_net::Io;
use evenkeel_observe::{BackendMetrics, BackendShard, Registry};
use evenkeel_types::{Address, BackendId, Time};

/// A server of a pool.
#[derive(Debug)]
pub struct Upstream {
    /// Its stable id.
    pub id: BackendId,
    address: Address,
    /// What it is called when the client calls it nothing.
    pub host: String,
    keepalive: usize,
    idle_max: Duration,
    /// Last in, first out: the busiest connections stay warm and the rest can age.
    idle: RefCell<Vec<Idle>>,
    /// Requests in flight and latency, shared by all workers.
    pub load: Arc<Load>,
    metrics: Arc<BackendMetrics>,
    worker: usize,
    /// True once no configuration has it any more: what comes back is closed.
    retired: Cell<bool>,
}

#[derive(Debug)]
struct Idle {
    io: Io,
    since: Time,
}

/// A connection to a server.
#[derive(Debug)]
pub struct Connection {
    /// Its bytes.
    pub io: Io,
    /// True if it has served a request before: the server may be closing it just now.
    pub reused: bool,
}

impl Upstream {
    /// A server without connections.
    pub fn new(
        backend: &config::Backend,
        pool: &config::Pool,
        load: &Arc<Load>,
        worker: usize,
        registry: &Registry,
    ) -> Self {
        Self {
            id: backend.id.clone(),
            address: backend.address.clone(),
            host: backend.address.host(),
            keepalive: pool.keepalive,
            idle_max: pool.timeout.idle,
            idle: RefCell::default(),
            load: Arc::clone(load),
            metrics: registry.backend(&pool.name, &backend.id),
            worker,
            retired: Cell::new(false),
        }
    }

    /// True if this is still what a new configuration describes, connections and all.
    pub fn serves(&self, backend: &config::Backend, pool: &config::Pool, load: &Arc<Load>) -> bool {
        self.address == backend.address
            && self.keepalive == pool.keepalive
            && self.idle_max == pool.timeout.idle
            && Arc::ptr_eq(&self.load, load)
    }

    /// What this worker counts of it.
    pub fn figures(&self) -> &BackendShard {
        self.metrics.shard(self.worker)
    }

    /// An idle connection that can carry a request, as far as anybody can know.
    pub fn take_idle(&self, now: Time) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        while let Some(Idle { io, since }) = idle.pop() {
            self.figures().connections_idle.decrement();
            if now - since < self.idle_max && io.is_quiet() {
                self.figures().connections_reused.increment();
                return Some(Connection { io, reused: true });
            }
        }
        None
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// What the kernel or the resolver says.
    pub async fn connect(&self) -> io::Result<Io> {
        let io = evenkeel_net::connect(&self.address).await?;
        self.figures().connections_opened.increment();
        Ok(io)
    }

    /// Keeps a connection for the next request.
    pub fn keep(&self, connection: Connection, now: Time) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.keepalive && !self.retired.get() {
            self.figures().connections_idle.increment();
            idle.push(Idle { io: connection.io, since: now });
        }
    }

    /// Closes what is idle, and keeps nothing from now on.
    pub fn retire(&self) {
        self.retired.set(true);
        let closed = self.idle.take().len();
        (0..closed).for_each(|_| self.figures().connections_idle.decrement());
    }

    /// Closes connections that have been idle for too long, or that the server has closed.
    pub fn sweep(&self, now: Time) {
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
