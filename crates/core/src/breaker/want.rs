//! What a queued request waits for, and which limit made it wait.

use std::fmt;
use std::sync::Arc;

use crate::balance::Positions;

/// What a queued request waits for.
#[derive(Debug, Clone)]
pub enum Want {
    /// A place in the pool.
    Place,
    /// A place at one of its servers.
    Server {
        /// The servers of the pool when the request came.
        of: Arc<Positions>,
        /// At this one alone, while that takes requests.
        only: Option<usize>,
        /// Not at these.
        not: Box<[usize]>,
    },
}

/// Which limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// `breaker.max_requests`
    Requests,
    /// `breaker.max_connections`
    Connections,
    /// The limit of `concurrency`.
    Concurrency,
    /// `max_connections` of every server that could have been chosen.
    Servers,
    /// That of the one server that the client belongs to.
    OwnServer,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requests => "breaker.max_requests is reached",
            Self::Connections => "breaker.max_connections is reached",
            Self::Concurrency => "the limit of concurrency is reached",
            Self::Servers => "every server is at its max_connections",
            Self::OwnServer => "the client's own server is at its max_connections",
        })
    }
}
