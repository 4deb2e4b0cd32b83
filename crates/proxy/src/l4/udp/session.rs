//! One client's datagrams on their way to one server, and back.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use evenkeel_config::Algorithm;
use evenkeel_core::admission::Answer;
use evenkeel_core::health::LiveTraffic;
use evenkeel_core::l4::{Allowance, Place, keeps_sessions};
use evenkeel_net::SessionSocket;
use evenkeel_observe::{StreamEnded, StreamSeries};
use evenkeel_types::Time;
use tokio::task::AbortHandle;

use crate::client::count::Place as ClientPlace;
use crate::forward::driver::Permit;
use crate::l4::connect::report;
use crate::l4::log::StreamLog;
use crate::l4::own::OwnSocket;
use crate::server::error::ServerError;
use crate::worker::view::View;
use crate::worker::{OpenSession, Worker};

/// Datagrams of a server after which the kernel is asked to join what comes in a row: a session of a query and its answer does not
/// need it.
const JOIN_AFTER: u32 = 32;

/// Datagrams that a session keeps while it waits, and bytes of them.
const HELD_MAX: usize = 4;
const HELD_BYTES_MAX: usize = 16 * 1024;

/// One client's datagrams.
pub struct Session {
    /// Whether there is a server for them.
    pub state: State,
    /// How many may go back.
    pub allowance: Allowance,
    /// What it counts as.
    pub _counts: Counts,
}

/// What a session counts as: all of that is given back when it has ended.
pub struct Counts {
    /// One of those that the listener may have.
    pub _place: Place,
    /// One of its client's.
    pub _client: Option<ClientPlace>,
    /// A connection of a client.
    pub _open: OpenSession,
}

/// Whether there is a server.
pub enum State {
    /// The pool has none that is free.
    Waiting(Waiting),
    /// It is relayed.
    Relayed(Box<Relayed>),
}

/// A session with a server.
pub struct Relayed {
    /// The address of the socket is forgotten before it is free for others.
    _own: OwnSocket,
    /// Connected to the server.
    pub socket: SessionSocket,
    /// What each datagram to the server begins with.
    pub header: Option<Box<[u8]>>,
    /// What is recorded of it; its pool and server are those of the session.
    pub log: StreamLog,
    /// Where it is counted.
    pub series: Option<Arc<StreamSeries>>,
    permit: Option<Permit>,
    /// The configuration by which the server was last found to be in its pool, and the pool's position there.
    seen: (u64, usize),
    /// When the first datagram went to the server; `None` if that was in another process.
    opened: Option<Time>,
    /// Datagrams that came from the server.
    answers: u32,
}

/// A session that waits; when this is dropped it waits no more.
pub struct Waiting {
    held: Vec<Box<[u8]>>,
    task: AbortHandle,
}

impl Waiting {
    /// One that this task waits for.
    pub fn by(task: AbortHandle) -> Self {
        Self { held: Vec::new(), task }
    }

    /// What it has kept.
    pub fn take_held(&mut self) -> Vec<Box<[u8]>> {
        std::mem::take(&mut self.held)
    }

    /// Keeps a datagram; false if it keeps as much as it may.
    pub fn hold(&mut self, datagram: &[u8]) -> bool {
        let bytes: usize = self.held.iter().map(|held| held.len()).sum();
        let may = self.held.len() < HELD_MAX && bytes + datagram.len() <= HELD_BYTES_MAX;
        if may {
            self.held.push(datagram.into());
        }
        may
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Session {
    /// It has ended.
    pub fn finish(self, ended: StreamEnded, reason: Option<String>) {
        match self.state {
            State::Waiting(waiting) => drop(waiting),
            State::Relayed(relayed) => relayed.finish(ended, reason),
        }
    }
}

impl Relayed {
    /// A session that begins now, with the server that its log names. `seen` is the configuration, and the pool's position there.
    pub fn new(
        worker: &Worker,
        (socket, permit): (SessionSocket, Option<Permit>),
        header: Option<Box<[u8]>>,
        mut log: StreamLog,
        seen: (u64, usize),
        now: Time,
    ) -> Box<Self> {
        let series = log.opened();
        Box::new(Self {
            _own: OwnSocket::session(&worker.shared, socket.local()),
            socket,
            header,
            series,
            log,
            permit,
            seen,
            opened: Some(now),
            answers: 0,
        })
    }

    /// True if the server still serves its pool: it may be drained, but is not down, and not gone.
    #[inline]
    pub fn has_server(&mut self, view: &View) -> bool {
        let generation = view.snapshot.generation;
        let Some(pool) = &self.log.pool else { return false };
        if self.seen.0 != generation {
            let Some(position) = view.snapshot.position_of(&pool.config().name) else { return false };
            self.seen = (generation, position);
        }
        let present = view.pool_now(self.seen.1);
        if Rc::ptr_eq(&present, pool) {
            return true;
        }
        let Some(server) = self.log.server.map(|server| &pool.upstreams[server]) else { return false };
        let found = present.servers().members.position(&server.id).filter(|at| {
            let is_the_same = present.upstreams[*at].address() == server.address();
            is_the_same && keeps_sessions(present.servers(), *at)
        });
        if found.is_some() {
            (self.log.pool, self.log.server) = (Some(present), found);
        }
        found.is_some()
    }

    /// Datagrams of the server have come: the first of them shows that it works.
    #[inline]
    pub fn handle_answers(&mut self, count: u32, now: Time) {
        let before = self.answers;
        self.answers = before.saturating_add(count);
        if before == 0 {
            self.judge(now);
        }
        if before <= JOIN_AFTER && self.answers > JOIN_AFTER {
            self.socket.join_datagrams();
        }
    }

    /// Datagrams that came from the server so far.
    pub fn answers(&self) -> u32 {
        self.answers
    }

    /// It has answered so often in another process.
    pub fn resume(&mut self, answers: u32) {
        self.answers = answers;
        self.opened = None;
    }

    /// It goes on in another process, which records its end.
    pub fn dismiss(self) {
        let Self { _own, socket, log, permit, .. } = self;
        drop((_own, socket));
        drop(permit);
        log.dismiss();
    }

    fn judge(&mut self, now: Time) {
        let answer = match self.opened {
            Some(opened) => Answer::whole(200, opened, now),
            // How long it took is not known.
            None => Answer { took: None, ..Answer::whole(200, now, now) },
        };
        if let Some(permit) = &mut self.permit {
            permit.answered(&answer);
        }
        if let (Some(pool), Some(server)) = (&self.log.pool, self.log.server)
            && let (Algorithm::LeastResponseTime, Some(took)) = (&pool.config().algorithm, answer.took)
        {
            pool.upstreams[server].load.observe_latency(took, now);
        }
    }

    /// The server has refused a datagram: the circuit breaker and the outlier detection count that. Returns how the session has ended, and why.
    #[cold]
    pub fn refused(&mut self, worker: &Worker, error: io::Error, now: Time) -> (StreamEnded, String) {
        let error = ServerError::Connect(error);
        if let (Some(pool), Some(server)) = (&self.log.pool, self.log.server) {
            report(worker, pool, server, &error, LiveTraffic::Sessions);
        }
        if let Some(permit) = &mut self.permit {
            permit.failed(&error.failed_try(error.cause(false), true), now);
        }
        let ended = if self.answers == 0 { StreamEnded::ConnectFailed } else { StreamEnded::ServerReset };
        (ended, error.to_string())
    }

    fn finish(self, ended: StreamEnded, reason: Option<String>) {
        let Self { _own, socket, log, permit, .. } = self;
        drop((_own, socket));
        drop(permit);
        log.finish(ended, reason);
    }
}
