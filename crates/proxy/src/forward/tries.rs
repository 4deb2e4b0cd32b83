//! How far a request has come on its way from server to server, and what it holds.

use evenkeel_core::balance::Members;
use evenkeel_core::retry::{self, Cause, Final};

use super::deferred::Deferred;
use super::holds::Holds;
use crate::server::error::ServerError;

/// Servers tried for one request. Only refused connections get this far, and they cost next to nothing.
const TRIES_MAX: usize = 16;
/// Connect timeouts that one request may sit through.
const CONNECT_TIMEOUTS_MAX: usize = 3;

/// A try that failed.
pub struct Failed<'x> {
    /// How.
    pub error: ServerError,
    /// What another server would have to make good; `None` if there is no time for it.
    pub cause: Option<Cause>,
    /// True if the connection may have been at fault: the same server can have the request over a fresh one.
    pub fresh: bool,
    /// The answer, if one has come that the route retries.
    pub deferred: Option<Box<Deferred<'x>>>,
}

impl Failed<'_> {
    /// An error before any byte of an answer.
    pub fn new(error: ServerError) -> Self {
        Self { cause: error.cause(false), error, fresh: false, deferred: None }
    }
}

/// The servers that were tried, and how often what happened.
#[derive(Debug, Default)]
pub struct Tries<'x> {
    tried: [usize; TRIES_MAX],
    count: usize,
    timeouts: usize,
    /// Servers that were sent the request.
    pub attempts: u32,
    /// Retries of requests that were sent.
    pub retries: u32,
    /// An answer that is passed on if no other comes.
    pub deferred: Option<Box<Deferred<'x>>>,
    /// What the request holds now.
    pub holds: Holds<'x>,
}

impl Tries<'_> {
    /// The servers that have been tried.
    pub fn tried(&self) -> &[usize] {
        &self.tried[..self.count]
    }

    /// Notes a server that is tried now; false if there were too many already.
    pub fn try_now(&mut self, server: usize) -> bool {
        if !self.may_go_on() {
            return false;
        }
        self.tried[self.count] = server;
        self.count += 1;
        true
    }

    /// Notes how a try ended.
    pub fn failed(&mut self, failed: &Failed<'_>) {
        self.timeouts += usize::from(matches!(failed.error, ServerError::ConnectTimeout));
        self.attempts += u32::from(failed.cause != Some(Cause::Connect));
    }

    fn may_go_on(&self) -> bool {
        self.count < TRIES_MAX && self.timeouts < CONNECT_TIMEOUTS_MAX
    }

    /// Why no other server of these can be asked, if none can.
    pub fn no_server(&self, members: &Members) -> Option<Final> {
        match retry::any_left(members, self.tried()) {
            false => Some(Final::Servers),
            true => (!self.may_go_on()).then_some(Final::Unreachable),
        }
    }

    /// Gives back what was taken for the try; `error` if it failed.
    pub fn give_back(&mut self, error: Option<&ServerError>) {
        let Holds { in_flight, seat, held } = &mut self.holds;
        *in_flight = None;
        if let Some(held) = held {
            held.tried(seat.take(), error);
        }
    }
}
