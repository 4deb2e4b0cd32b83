//! How long a client may take: to end a head that it has begun, to take what is written to it, and with nothing to ask.

use std::time::Duration;

use evenkeel_config::ListenerTimeout;
use evenkeel_types::{Clock, Time};

use super::guard::Alarm;

/// Why a connection ends.
pub enum Over {
    /// Nothing was asked for too long.
    Idle,
    /// A head has been begun, and does not end.
    Slow,
    /// The client takes nothing of what is written to it.
    Stuck,
    /// It has ended by itself.
    Closed,
}

/// What a connection waits for.
pub struct Watch {
    /// What its guard sees.
    pub alarm: Alarm,
    clock: Clock,
    timeout: ListenerTimeout,
    has_asked: bool,
    /// Since when a head is under way.
    head_since: Option<Time>,
    /// Since when nothing could be written, and how much had been by then.
    stuck_since: Option<(Time, u64)>,
}

impl Watch {
    /// Of a connection that has just been greeted.
    pub fn new(alarm: Alarm, clock: Clock, timeout: ListenerTimeout) -> Self {
        Self { alarm, clock, timeout, has_asked: false, head_since: None, stuck_since: None }
    }

    /// A request has come.
    pub fn asked(&mut self) {
        self.has_asked = true;
    }

    /// When the connection is over, and why, if nothing happens until then; `rested` since then, if no request is under
    /// way.
    pub fn due(&mut self, rested: Option<Time>) -> Option<(Time, Over)> {
        let head = self.head().map(|due| (due, Over::Slow));
        let write = self.write().map(|due| (due, Over::Stuck));
        let idle = if self.has_asked { self.timeout.idle } else { self.timeout.head };
        let rest = rested.map(|since| (since + idle, Over::Idle));
        [head, write, rest].into_iter().flatten().min_by_key(|(due, _)| *due)
    }

    fn head(&mut self) -> Option<Time> {
        if !self.alarm.is_in_head() {
            self.head_since = None;
            return None;
        }
        Some(*self.head_since.get_or_insert_with(|| self.clock.now()) + self.timeout.head)
    }

    fn write(&mut self) -> Option<Time> {
        if !self.alarm.is_blocked() {
            self.stuck_since = None;
            return None;
        }
        let written = self.alarm.written();
        let (since, _) = match self.stuck_since {
            Some(stuck) if stuck.1 == written => stuck,
            _ => *self.stuck_since.insert((self.clock.now(), written)),
        };
        Some(since + self.timeout.write)
    }

    /// How long it may take to be told that it is over.
    pub fn farewell(&self) -> Duration {
        self.timeout.write
    }
}
