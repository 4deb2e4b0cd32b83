//! How long a client may take: to take what is written to it, and with nothing to ask. The state machine watches the rest.

use std::time::Duration;

use evenkeel_config::ListenerTimeout;
use evenkeel_types::Time;

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Nothing was asked for too long.
    Idle,
    /// The client did not do in time what it must: a GOAWAY says why.
    Late,
    /// The client takes nothing of what is written to it.
    Stuck,
    /// It has ended by itself, by an error of the client, or because it was to end.
    Closed,
}

/// What a connection waits for.
#[derive(Debug)]
pub struct Watch {
    /// How long a client may have nothing to ask, at first and after a request, and how long it may take nothing of what is written.
    head: Duration,
    idle: Duration,
    write: Duration,
    has_asked: bool,
    /// Since when no request is under way, if none is.
    rested: Option<Time>,
}

impl Watch {
    /// Of a connection that has just begun.
    pub fn new(timeout: &ListenerTimeout, now: Time) -> Self {
        let ListenerTimeout { head, idle, write, .. } = *timeout;
        Self { head, idle, write, has_asked: false, rested: Some(now) }
    }

    /// How long the client may take to hear why the connection ends.
    pub fn farewell(&self) -> Duration {
        self.write
    }

    /// A request has come.
    pub fn asked(&mut self) {
        (self.has_asked, self.rested) = (true, None);
    }

    /// No request is under way any more.
    pub fn rest(&mut self, now: Time) {
        self.rested.get_or_insert(now);
    }

    /// The idle time begins anew.
    pub fn rest_again(&mut self, now: Time) {
        self.rested = Some(now);
    }

    /// Since when no request is under way, if none is.
    pub fn rested(&self) -> Option<Time> {
        self.rested
    }

    /// When the connection is over, and why, if nothing happens until then; nothing could be written since `stuck`.
    pub fn due(&self, stuck: Option<Time>) -> Option<(Time, Over)> {
        let idle = if self.has_asked { self.idle } else { self.head };
        let rest = self.rested.map(|since| (since + idle, Over::Idle));
        let stuck = stuck.map(|since| (since + self.write, Over::Stuck));
        [rest, stuck].into_iter().flatten().min_by_key(|(due, _)| *due)
    }
}
