//! The limits by which queued requests get the places of a pool, and which servers take requests now.

use std::collections::HashMap;

use evenkeel_config::{Concurrency, Pool, PoolProtocol, QueueOrder};

use super::want::{Full, Want};
use crate::balance::{Availability, Positions, ServerStanding};
use crate::limit::adaptive::Adaptive;

/// The limits and servers by which places are handed out.
#[derive(Debug)]
pub(super) struct PlaceLimits {
    /// Requests in flight in the pool, and which key says so.
    pool: (u32, Full),
    concurrency: Option<Concurrency>,
    pub(super) order: QueueOrder,
    /// The servers, each under its load's key.
    servers: HashMap<usize, KnownServer>,
    /// Grows with each change of the servers.
    pub(super) version: u64,
}

/// What is known of a server.
#[derive(Debug)]
struct KnownServer {
    /// Its `max_connections`.
    max: u32,
    standing: ServerStanding,
    /// The configuration in force no longer has it: only requests that came before, and know no other server, may use it.
    is_gone: bool,
}

impl PlaceLimits {
    /// Puts those of a configuration in force. Servers that it does not have any more are remembered until the next one, for
    /// requests that have come and are not queued yet, and beyond that while `is_queued` says that requests wait.
    pub(super) fn reconfigure(
        &mut self,
        pool: &Pool,
        standings: impl Iterator<Item = (usize, ServerStanding)>,
        is_queued: bool,
    ) {
        let mut servers = std::mem::take(&mut self.servers);
        servers.retain(|_, server| is_usable(server.standing) && (is_queued || !server.is_gone));
        servers.values_mut().for_each(|server| server.is_gone = true);
        servers.extend(standings.zip(&pool.backends).map(|((key, standing), backend)| {
            let max = backend.max_connections.unwrap_or(u32::MAX);
            (key, KnownServer { max, standing, is_gone: false })
        }));
        let order = pool.queue.as_ref().map_or(QueueOrder::First, |queue| queue.order);
        let (concurrency, version) = (pool.concurrency.clone(), self.version + 1);
        *self = Self { pool: fixed(pool), concurrency, order, servers, version };
    }

    /// Takes in what has become of the servers.
    pub(super) fn follow(&mut self, standings: impl Iterator<Item = (usize, ServerStanding)>) {
        self.version += 1;
        for (key, standing) in standings {
            if let Some(server) = self.servers.get_mut(&key) {
                server.standing = standing;
            }
        }
    }

    /// How these servers stand now, for a request that came when they were like this.
    pub(super) fn standings(
        &self,
        of: &Positions,
        then: impl Iterator<Item = (usize, ServerStanding)>,
    ) -> Vec<ServerStanding> {
        let is_any_left = self.is_any_left(of);
        let standing = |(key, (weight, part, _)): (usize, ServerStanding)| match self.servers.get(&key) {
            Some(server) if !(server.is_gone && is_any_left) => server.standing,
            _ => (weight, part, Availability::Out),
        };
        then.map(standing).collect()
    }

    /// True if there is a server that `want` may still get a place at. A request whose own server takes no requests any more moves to another.
    pub(super) fn is_possible(&self, want: &mut Want) -> bool {
        if let Want::Server { of, only, .. } = want
            && let Some(at) = *only
            && !self.takes(of, at, true)
        {
            *only = None;
        }
        match want {
            Want::Place => true,
            Want::Server { only: Some(_), .. } => true,
            Want::Server { of, not, .. } => {
                (0..of.keys().len()).any(|at| !not.contains(&at) && self.takes(of, at, false))
            }
        }
    }

    /// True if a request that wants this may have a place at that server.
    pub(super) fn suits(&self, want: &Want, load: usize) -> bool {
        let Want::Server { of, only, not } = want else { return false };
        let Some(at) = of.of_key(load) else { return false };
        only.is_none_or(|only| only == at) && !not.contains(&at) && self.takes(of, at, only.is_some())
    }

    /// The limit of a server.
    pub(super) fn max_connections(&self, load: usize) -> u32 {
        self.servers.get(&load).map_or(0, |server| server.max)
    }

    /// How many requests may be in flight, and which limit says so.
    pub(super) fn in_flight(&self, adaptive: &Adaptive) -> (u32, Full) {
        least(self.pool, self.concurrency.as_ref(), adaptive)
    }

    /// True if the server takes a request now, which may be of a client that belongs to it.
    fn takes(&self, of: &Positions, at: usize, is_its_own: bool) -> bool {
        let Some(server) = self.server(of, at) else { return false };
        let (_, _, availability) = server.standing;
        let is_open = is_usable(server.standing) || (is_its_own && availability != Availability::Out);
        is_open && !(server.is_gone && self.is_any_left(of))
    }

    /// True if one of these servers is in the configuration in force and takes requests.
    fn is_any_left(&self, of: &Positions) -> bool {
        let mut servers = (0..of.keys().len()).filter_map(|at| self.server(of, at));
        servers.any(|server| !server.is_gone && is_usable(server.standing))
    }

    fn server(&self, of: &Positions, at: usize) -> Option<&KnownServer> {
        self.servers.get(&of.keys()[at])
    }
}

impl Default for PlaceLimits {
    fn default() -> Self {
        let pool = (u32::MAX, Full::Requests);
        Self { pool, concurrency: None, order: QueueOrder::First, servers: HashMap::new(), version: 0 }
    }
}

/// How many requests may be in flight in a pool, and which limit says so.
pub(super) fn in_flight(pool: &Pool, adaptive: &Adaptive) -> (u32, Full) {
    least(fixed(pool), pool.concurrency.as_ref(), adaptive)
}

fn is_usable((weight, _, availability): ServerStanding) -> bool {
    weight > 0 && availability != Availability::Out
}

/// How many requests of a pool may be in flight whatever their latency, and which key says so.
fn fixed(pool: &Pool) -> (u32, Full) {
    let Some(breaker) = &pool.breaker else { return (u32::MAX, Full::Requests) };
    let requests = breaker.max_requests.unwrap_or(u32::MAX);
    // Over HTTP/1.1 a request in flight is a connection in use.
    let connections = breaker.max_connections.filter(|_| pool.protocol == PoolProtocol::Http1);
    match connections {
        Some(max) if max < requests => (max, Full::Connections),
        _ => (requests, Full::Requests),
    }
}

/// The lesser of a fixed limit and the one that follows latency.
fn least(fixed: (u32, Full), concurrency: Option<&Concurrency>, adaptive: &Adaptive) -> (u32, Full) {
    match concurrency.map(|settings| adaptive.limit(settings)) {
        Some(max) if max < fixed.0 => (max, Full::Concurrency),
        _ => fixed,
    }
}
