//! What is counted of the connections, and sessions of datagrams, that one listener relays to one server.

use std::time::Duration;

use evenkeel_types::{BackendId, ListenerName, PoolName};

use crate::counter::{Counter, WorkerGauge};
use crate::histogram::{Histogram, HistogramSnapshot};
use crate::names::label;

label! {
    /// How a connection that is relayed ended: the first thing that went towards its end.
    StreamEnded {
        /// The client ended its side first, and the server then.
        ClientClosed = "client_closed",
        /// The server ended its side first, and the client then.
        ServerClosed = "server_closed",
        /// The client's connection failed, as by a reset; the server's was reset.
        ClientReset = "client_reset",
        /// The server's connection failed, as by a reset; the client's was reset.
        ServerReset = "server_reset",
        /// Nothing moved for `timeout.idle`.
        IdleTimeout = "idle_timeout",
        /// The client took nothing for `timeout.write`.
        ClientStalled = "client_stalled",
        /// The server took nothing for `timeout.write`.
        ServerStalled = "server_stalled",
        /// The server lost the role that the pool's check demands; both sides were reset.
        RoleLost = "role_lost",
        /// The server of a udp session was down or gone, so that the client's next datagram got another one.
        ServerDown = "server_down",
        /// The client left before there was a server.
        ClientLeft = "client_left",
        /// The client's TLS hello or handshake was not there in time, or was refused.
        HelloFailed = "hello_failed",
        /// No route took it, no server was free for it, or a limit was reached.
        Refused = "refused",
        /// No server could be connected to.
        ConnectFailed = "connect_failed",
        /// The process left while it was open, after `server.grace`.
        Cut = "cut",
    }
}

/// Whose connections a series counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey {
    /// The listener.
    pub listener: ListenerName,
    /// `None` when no pool was found.
    pub pool: Option<PoolName>,
    /// `None` when no server was reached.
    pub backend: Option<BackendId>,
}

/// The figures of one listener, pool and server.
#[derive(Debug)]
pub struct StreamSeries {
    shards: Box<[StreamShard]>,
}

/// What one worker counts of one series: only that worker's thread may write.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct StreamShard {
    /// Connections that are relayed.
    pub open: WorkerGauge,
    /// Bytes from clients to servers.
    pub received: Counter,
    /// Bytes from servers to clients.
    pub sent: Counter,
    ended: [Counter; StreamEnded::ALL.len()],
    duration: Histogram,
}

/// The figures of one series at one moment.
#[derive(Debug, Clone, Default)]
pub struct StreamTotals {
    /// Connections that are relayed.
    pub open: i64,
    /// Bytes from clients to servers.
    pub received: u64,
    /// Bytes from servers to clients.
    pub sent: u64,
    /// Connections that have ended, in the order of [`StreamEnded::ALL`].
    pub ended: [u64; StreamEnded::ALL.len()],
    /// How long they lasted.
    pub duration: HistogramSnapshot,
}

impl StreamSeries {
    pub(crate) fn new(workers: usize) -> Self {
        Self { shards: (0..workers).map(|_| StreamShard::default()).collect() }
    }

    /// The part that `worker` alone writes.
    ///
    /// # Panics
    /// When the registry has no such worker.
    pub fn shard(&self, worker: usize) -> &StreamShard {
        &self.shards[worker]
    }

    /// The figures of all workers together.
    pub fn totals(&self) -> StreamTotals {
        let mut totals = StreamTotals::default();
        for shard in &self.shards {
            totals.open += shard.open.value();
            totals.received += shard.received.value();
            totals.sent += shard.sent.value();
            for (sum, ended) in totals.ended.iter_mut().zip(&shard.ended) {
                *sum += ended.value();
            }
            totals.duration.merge(&shard.duration.snapshot());
        }
        totals
    }
}

impl StreamShard {
    /// Counts a connection that has ended like this after `lasted`.
    pub fn ended(&self, how: StreamEnded, lasted: Duration) {
        self.ended[how as usize].increment();
        self.duration.record(lasted);
    }
}
