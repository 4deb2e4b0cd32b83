//! What a driver counts, and what it logs of a pool rather than of one request.

use std::time::Duration;

use crate::breaker::{CircuitChange, Full};
use crate::retry::{Cause, Decision};

/// Something that happened at a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A circuit breaker has changed its state.
    Circuit {
        /// The position of the server whose circuit breaker it is; `None` for that of the pool.
        server: Option<usize>,
        /// What has changed, and why.
        change: CircuitChange,
    },
    /// The limit of `concurrency` is this many requests now.
    Concurrency(u32),
    /// A request, a retry or a hedge was refused, and did not wait.
    Refused(RefusedBy),
    /// Something happened in the pool's queue.
    Queue(QueueNotice),
    /// The retry policy has decided about a failed try.
    Retry {
        /// What had failed.
        cause: Cause,
        /// What follows.
        decision: Decision,
    },
    /// A hedge has ended, or was not made.
    Hedge(HedgeNotice),
}

/// What has refused a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedBy {
    /// A limit on requests in flight.
    Full(Full),
    /// The pool's circuit breaker.
    PoolCircuit,
    /// The circuit breakers of all servers that it could have gone to.
    ServerCircuits,
    /// `breaker.max_retries`: the request itself goes on without this retry or hedge.
    RetriesMax,
}

/// What happened in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueNotice {
    /// A request has joined it.
    Joined,
    /// A request has left it, for whatever reason.
    Left,
    /// A request got the permit that it waited for, after this time.
    Granted {
        /// From joining to noticing.
        waited: Duration,
    },
    /// A request got none.
    Refused(QueueRefusal),
}

/// Why a request got nothing from the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueRefusal {
    /// `breaker.max_pending` requests are in it.
    Full,
    /// Its time was up: that of the queue, or its own.
    Timeout,
    /// Its client left.
    Gone,
}

/// What came of a hedge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HedgeNotice {
    /// Its server was the first to answer.
    Won,
    /// Another server was, or its own failed.
    Lost,
    /// It was not made, because the retry budget is used up.
    BudgetExhausted,
}
