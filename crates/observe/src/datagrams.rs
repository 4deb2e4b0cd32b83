//! What is counted of the datagrams of one udp listener; its sessions are counted as streams are.

use crate::counter::Counter;
use crate::names::label;

label! {
    /// Why a datagram was dropped.
    DatagramDrop {
        /// It came from no single host, or was sent to none; or it came from a socket of this process.
        Source = "source",
        /// The listener's `max_sessions` was reached.
        Sessions = "sessions",
        /// The listener's `limits.connections_per_client` was reached.
        Client = "client",
        /// `limits.connections` was reached.
        Limit = "limit",
        /// The process or the system had no file descriptor left for a session.
        Descriptors = "descriptors",
        /// The process is overloaded.
        Overload = "overload",
        /// No route took it, no server was free for it, or none could be sent to.
        Refused = "refused",
        /// Its session waits for a server, and keeps as many datagrams as it may.
        Waiting = "waiting",
        /// It was an answer beyond the listener's `max_answers`.
        Answers = "answers",
        /// It had to begin with a PROXY header, and did not.
        ProxyHeader = "proxy_header",
        /// It was larger than the way to its receiver allows.
        TooLarge = "too_large",
        /// The kernel did not send it, most often because its queue was full.
        Unsent = "unsent",
        /// The listener, or the process, is leaving, and takes no new sessions.
        Leaving = "leaving",
    }
}

/// The figures of one listener.
#[derive(Debug)]
pub struct DatagramSeries {
    shards: Box<[DatagramShard]>,
}

/// What one worker counts of one listener: only that worker's thread may write.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct DatagramShard {
    /// Datagrams that came from clients.
    pub received: Counter,
    /// Datagrams that were sent to clients.
    pub sent: Counter,
    dropped: [Counter; DatagramDrop::ALL.len()],
}

/// The figures of one listener at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DatagramTotals {
    /// Datagrams that came from clients.
    pub received: u64,
    /// Datagrams that were sent to clients.
    pub sent: u64,
    /// Datagrams that were dropped, from either side, in the order of [`DatagramDrop::ALL`].
    pub dropped: [u64; DatagramDrop::ALL.len()],
}

impl DatagramSeries {
    pub(crate) fn new(workers: usize) -> Self {
        Self { shards: (0..workers).map(|_| DatagramShard::default()).collect() }
    }

    /// The part that `worker` alone writes.
    ///
    /// # Panics
    /// When the registry has no such worker.
    pub fn shard(&self, worker: usize) -> &DatagramShard {
        &self.shards[worker]
    }

    /// The figures of all workers together.
    pub fn totals(&self) -> DatagramTotals {
        let mut totals = DatagramTotals::default();
        for shard in &self.shards {
            totals.received += shard.received.value();
            totals.sent += shard.sent.value();
            for (sum, dropped) in totals.dropped.iter_mut().zip(&shard.dropped) {
                *sum += dropped.value();
            }
        }
        totals
    }
}

impl DatagramShard {
    /// Counts datagrams that were dropped.
    pub fn drop_some(&self, why: DatagramDrop, count: u64) {
        self.dropped[why as usize].add(count);
    }
}
