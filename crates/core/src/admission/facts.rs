//! What a driver tells the state machine, and what the state machine answers.

use std::fmt;
use std::time::Duration;

use evenkeel_config::{Hedge, Retry};
use evenkeel_types::Time;

use crate::breaker::{self, Full};
use crate::choose::{By, Chosen};
use crate::health::{Failure, LiveTraffic};
use crate::retry::{Cause, Final};

/// When a client that was refused may come again, if nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What stays the same about a request over all its tries.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a, K> {
    /// What it is: a request, a connection or a session.
    pub of: LiveTraffic,
    /// What the choice of a server may depend on.
    pub request: &'a K,
    /// A key whose owner gets the request, whatever the pool's algorithm.
    pub owner_of: Option<u64>,
    /// The route's `retry`.
    pub retry: &'a Retry,
    /// The route's `hedge`.
    pub hedge: Option<&'a Hedge>,
    /// True if two servers may have the request at once: it has no body, and asks for no other protocol.
    pub is_short: bool,
    /// When the request must be over.
    pub deadline: Option<Time>,
}

impl<'a, K> Terms<'a, K> {
    /// By what the request gets its servers.
    pub fn by(&self) -> By<'a, K> {
        By { request: self.request, owner_of: self.owner_of }
    }
}

/// One try of a request at one server. A request never asks the same server in two legs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leg(pub(super) u32);

impl Leg {
    /// How many legs came before it.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// How a leg is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// No other server is asked while this one is: report the head of its answer.
    Alone,
    /// Others may be asked as well if this one is slow: report the first byte of its answer before the head.
    First,
    /// A hedge: it is asked beside others. Report the first byte of its answer before the head.
    Hedge {
        /// How long the others have been silent.
        after: Duration,
    },
}

/// What happens to a request next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// This server gets it. The driver starts the leg and polls again.
    Send {
        /// The leg.
        leg: Leg,
        /// Its server.
        chosen: Chosen,
        /// Whether other servers have the request at the same time.
        role: Role,
    },
    /// It waits, until then at most: in the queue for a permit, or for a server that may be used.
    Wait {
        /// When to poll again if nothing wakes it before.
        until: Time,
    },
    /// It has waited for a server, and one may be used. The driver calls [`renew`](super::Admission::renew) with a gate to the
    /// pool as it is now, and polls again.
    Renew,
    /// It pauses before a retry.
    Pause {
        /// When to poll again.
        until: Time,
    },
    /// Servers have it, and no decision is due before one of them does something.
    Asking {
        /// When to poll again because a hedge is due; `None` if none is.
        until: Option<Time>,
    },
    /// A hedge was due, and was not made. Poll again.
    NotHedged(Final),
    /// The pool does not take it, and no server was asked.
    Refuse(Refusal),
    /// No server is asked any more. If [`deferred`](super::Admission::deferred) names a leg, its response is passed on; else
    /// the error of the last try decides, and without one there was no server.
    GiveUp(GiveUp),
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A limit is reached, and the pool has no queue.
    Full(Full),
    /// A limit is reached, and so is `breaker.max_pending`.
    QueueFull {
        /// The limit.
        full: Full,
        /// How long requests may wait.
        wait: Duration,
    },
    /// It waited as long as it may.
    QueueTimeout {
        /// The limit that was reached.
        full: Full,
        /// How long requests may wait.
        wait: Duration,
    },
    /// The request's own time was up while it waited.
    Deadline,
    /// The pool's circuit breaker is open.
    PoolOpen(breaker::Refused),
    /// The circuit breakers of all servers are open.
    ServersOpen,
    /// No server could be used for as long as requests may wait.
    NoServer {
        /// How long that is.
        wait: Duration,
    },
    /// No server may be used, and as many requests wait for one as may.
    TooManyWait,
}

impl Refusal {
    /// When the client may come again; `None` if that depends on the client.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Full(_) | Self::ServersOpen | Self::NoServer { .. } | Self::TooManyWait => {
                Some(RETRY_AFTER)
            }
            // A client that comes again before the queue has had its time would only make it longer.
            Self::QueueFull { wait, .. } | Self::QueueTimeout { wait, .. } => Some(*wait),
            Self::PoolOpen(open) => Some(open.after),
            Self::Deadline => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(full) => full.fmt(f),
            Self::QueueFull { full, .. } => write!(f, "{full}, and so is breaker.max_pending"),
            Self::QueueTimeout { full, wait } => write!(f, "{full}, and there was no place within {wait:?}"),
            Self::Deadline => f.write_str("request timeout"),
            Self::PoolOpen(open) => open.fmt(f),
            Self::ServersOpen => f.write_str("the circuit breakers of all servers are open"),
            Self::NoServer { wait } => write!(f, "no healthy server within {wait:?}"),
            Self::TooManyWait => f.write_str("no healthy server, and too many requests wait for one"),
        }
    }
}

/// Why no server is asked any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GiveUp {
    /// The request's time was up before a server was chosen.
    Deadline,
    /// No server is left, or too many could not be reached.
    NoServer,
    /// The next try was refused.
    Refused(Refusal),
    /// The last try failed, and the retry policy decided so.
    NotRetried(Final),
    /// The last try failed in a way that no other server could make good.
    Failed,
    /// The client left.
    Gone,
}

/// The head of a final answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Its status: 101, or 200 and above.
    pub status: u16,
    /// When it came.
    pub at: Time,
    /// How long after the end of the request; `None` if the upload had not ended by then.
    pub took: Option<Duration>,
    /// How much time had gone by for no other reason than that the client was sending the request.
    pub uploading: Duration,
    /// True if all of the request has been sent.
    pub is_sent: bool,
    /// True if bytes of a response have gone to the client, such as an interim one.
    pub has_begun: bool,
    /// True if all of the request is still there.
    pub replayable: bool,
}

impl Answer {
    /// The answer to a request that was sent whole at `sent`, and of which nothing has gone to a client.
    pub fn whole(status: u16, sent: Time, at: Time) -> Self {
        let (took, uploading) = (Some(at - sent), Duration::ZERO);
        Self { status, at, took, uploading, is_sent: true, has_begun: false, replayable: true }
    }

    /// True if it comes in place of the server's answer: how long it took says nothing of the server's speed.
    pub fn is_in_place(&self) -> bool {
        matches!(self.status, 502..=504)
    }
}

/// A try that has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedTry {
    /// What another server would have to make good; `None` if none could, or there is no time for it.
    pub cause: Option<Cause>,
    /// What it says of the server; `None` if that is not to blame.
    pub blame: Option<Failure>,
    /// True if no connection, or no head of an answer, was there in time.
    pub timed_out: bool,
    /// True if bytes of a response have gone to the client.
    pub has_begun: bool,
    /// True if all of the request is still there.
    pub replayable: bool,
}

/// What is to be done with an answer whose head has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterHead {
    /// Pass it on.
    PassOn,
    /// Pass it on, though the route retries its status.
    NotRetried {
        /// Why.
        why: Final,
        /// True if the retry policy was asked: the server has no permit for this request any more, and nothing can be retried.
        was_asked: bool,
    },
    /// Keep it, because another server is to give a better one: rewind the request's body, and poll.
    Defer,
}

/// What follows from a failed try.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AfterFailure {
    /// Others still have the request: poll.
    Others,
    /// Others have failed as well, and this leg's answer, which was kept, is the best there is.
    Won(Leg, Winner),
    /// Another server gets the request: rewind its body, and poll.
    Retry,
    /// No other server gets it, as [`Step::GiveUp`] will say; this is why, if the retry policy was asked.
    GiveUp(Option<Final>),
}

/// What follows from the first byte of an answer, where several servers may have the request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FirstByte {
    /// The route retries its status and others still have the request: keep what has come. An answer that was kept before is
    /// thrown away.
    Kept(Option<Dismissed>),
    /// It is the request's answer: end all other legs, and report its head.
    Won(Winner),
}

/// What came of several servers having a request at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Winner {
    /// True if a hedge has won.
    pub is_hedge: bool,
    /// An answer that was kept and is thrown away.
    pub dismissed: Option<Dismissed>,
    /// True if the deferred response of an earlier try is to be thrown away.
    pub discards_deferred: bool,
}

/// An answer that is thrown away. Its server is judged by it all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dismissed {
    /// The leg.
    pub leg: Leg,
    /// Its server.
    pub server: usize,
    /// Its status.
    pub status: u16,
    /// From the request sent to the answer's first byte.
    pub took: Duration,
}
