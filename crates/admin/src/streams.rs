//! The part of `/status` on relayed TCP connections and UDP sessions, by listener and by server; and on datagrams, by
//! listener.

use std::collections::HashMap;

use evenkeel_observe::{Registry, StreamKey, StreamTotals};
use evenkeel_types::{BackendId, ListenerName, PoolName};
use serde::Serialize;
use utoipa::ToSchema;

/// The connections of one listener or server.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub(crate) struct Streams {
    /// Connections that are relayed now.
    open: i64,
    /// Those that have ended.
    ended: u64,
    /// Bytes from clients to servers.
    received_bytes: u64,
    /// Bytes from servers to clients.
    sent_bytes: u64,
}

/// The sum of all that `counts`; `None` if there was no such connection.
pub(crate) fn streams(registry: &Registry, counts: impl Fn(&StreamKey) -> bool) -> Option<Streams> {
    let mut sum = None;
    for (_, series) in registry.streams().iter().filter(|(key, _)| counts(key)) {
        sum.get_or_insert_with(Streams::default).add(&series.totals());
    }
    sum
}

/// Those of each server that connections were relayed to.
pub(crate) fn streams_by_server(registry: &Registry) -> HashMap<(PoolName, BackendId), Streams> {
    let mut sums = HashMap::<_, Streams>::new();
    for (key, series) in registry.streams() {
        if let (Some(pool), Some(server)) = (key.pool, key.backend) {
            sums.entry((pool, server)).or_default().add(&series.totals());
        }
    }
    sums
}

impl Streams {
    fn add(&mut self, totals: &StreamTotals) {
        self.open += totals.open;
        self.ended += totals.ended.iter().sum::<u64>();
        self.received_bytes += totals.received;
        self.sent_bytes += totals.sent;
    }
}

/// The datagrams of one udp listener.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Datagrams {
    /// Those that came from clients.
    received: u64,
    /// Those that were sent to clients.
    sent: u64,
    /// Those of either side that were not passed on.
    dropped: u64,
}

/// The datagrams of a listener; `None` unless it is a udp listener.
pub(crate) fn datagrams(registry: &Registry, listener: &ListenerName) -> Option<Datagrams> {
    let all = registry.all_datagrams();
    let totals = all.iter().find(|(name, _)| name == listener)?.1.totals();
    let dropped = totals.dropped.iter().sum();
    Some(Datagrams { received: totals.received, sent: totals.sent, dropped })
}
