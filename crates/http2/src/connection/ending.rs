//! How far the end of a connection is, and when something is due.

use std::time::Duration;

use evenkeel_types::Time;

use crate::config::Config;

/// How often streams are looked at for those that are too slow.
pub(super) const PACE_EVERY: Duration = Duration::from_secs(1);

/// How far the end is.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    pub(super) stage: Stage,
    /// The last stream that the peer has looked at, by its GOAWAY.
    pub(super) peer_last: Option<u32>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Stage {
    #[default]
    Staying,
    /// The first GOAWAY is sent: requests that are under way are still taken.
    Announced,
    /// The second is sent: streams beyond this one are not looked at.
    Final(u32),
}

impl Leaving {
    pub(super) fn is_final(&self) -> bool {
        matches!(self.stage, Stage::Final(_)) || self.peer_last.is_some()
    }

    /// True for a request that came after the last one that is looked at.
    pub(super) fn is_beyond(&self, number: u32) -> bool {
        matches!(self.stage, Stage::Final(last) if number > last)
    }

    /// True if no more requests are to be made.
    pub(super) fn has_begun(&self) -> bool {
        self.stage != Stage::Staying || self.peer_last.is_some()
    }
}

/// When something is due.
#[derive(Debug)]
pub(super) struct Timers {
    /// When something came last.
    pub(super) heard: Time,
    /// When our SETTINGS must have been acknowledged.
    pub(super) settings_due: Option<Time>,
    /// When a PING must have been answered.
    pub(super) ping_due: Option<Time>,
    /// When the second GOAWAY is sent.
    pub(super) leave_due: Option<Time>,
    /// When streams are looked at for those that are too slow.
    pub(super) pace_due: Time,
}

impl Timers {
    pub(super) fn new(config: &Config, now: Time) -> Self {
        Self {
            heard: now,
            settings_due: config.settings_timeout.map(|timeout| now + timeout),
            ping_due: None,
            leave_due: None,
            pace_due: now + PACE_EVERY,
        }
    }
}
