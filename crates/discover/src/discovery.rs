//! What is known of a pool's discovered servers, and when to ask again: the last good list stays for as long as it takes.

use std::sync::Arc;
use std::time::Duration;

use evenkeel_config::{Backend, Discover, Resolver};
use evenkeel_types::Time;

/// The longest wait after a failure, unless `ttl_min` is longer or `ttl_max` shorter.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Between two looks at a file.
const FILE_EVERY: Duration = Duration::from_secs(1);

/// The shortest and the longest time between two questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// At least.
    pub min: Duration,
    /// At most.
    pub max: Duration,
}

/// What a question came to, when servers follow from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// At least one; their ids differ.
    pub servers: Vec<Backend>,
    /// How many more there are than a pool may have.
    pub left_out: usize,
    /// For how long this holds; `None` if nothing says so.
    pub ttl: Option<Duration>,
    /// What got no answer, so that what was known of it counts.
    pub fault: Option<String>,
}

/// What is known by asking one source again and again.
#[derive(Debug, Clone)]
pub struct Discovery {
    bounds: Bounds,
    servers: Arc<[Backend]>,
    left_out: usize,
    /// Since the last one that was good, or since the beginning.
    failures_in_a_row: u32,
    error: Option<String>,
    succeeded: Option<Time>,
    next: Time,
}

/// Something to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// From now on it fails, or fails in another way.
    Fails(String),
    /// It works again after so many failures.
    Recovered(u32),
    /// There are so many more servers than a pool may have.
    TooMany(usize),
}

/// What has become of it after an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The servers are others than before.
    pub has_changed: bool,
    /// False if there was no need to ask, because nothing had changed.
    pub is_asked: bool,
    /// What to log.
    pub notices: Vec<Notice>,
}

impl Bounds {
    /// The bounds for a source: those of the resolver, or how often a file is looked at.
    pub fn of(source: &Discover, resolver: &Resolver) -> Self {
        match source {
            Discover::Dns { .. } | Discover::Srv(_) => Self { min: resolver.ttl_min, max: resolver.ttl_max },
            Discover::File(_) => Self { min: FILE_EVERY, max: FILE_EVERY },
        }
    }

    fn clamp(self, time: Duration) -> Duration {
        time.min(self.max).max(self.min)
    }
}

impl Discovery {
    /// Nothing is known, and it is time to ask.
    pub fn new(bounds: Bounds, now: Time) -> Self {
        Self {
            bounds,
            servers: Arc::default(),
            left_out: 0,
            failures_in_a_row: 0,
            error: None,
            succeeded: None,
            next: now,
        }
    }

    /// Goes by other bounds, and asks at once.
    pub fn rebound(&mut self, bounds: Bounds, now: Time) {
        self.bounds = bounds;
        self.next = now;
    }

    /// Takes in what asking came to.
    pub fn concluded(&mut self, found: Result<Found, String>, now: Time) -> Outcome {
        let mut notices = Vec::new();
        let (fault, has_changed, ttl) = match found {
            Ok(Found { servers, left_out, ttl, fault }) => {
                if left_out > 0 && left_out != self.left_out {
                    notices.push(Notice::TooMany(left_out));
                }
                self.left_out = left_out;
                let has_changed = *servers != *self.servers;
                if has_changed {
                    self.servers = servers.into();
                }
                (fault, has_changed, ttl)
            }
            Err(error) => (Some(error), false, None),
        };
        let wait = match fault {
            None => {
                if self.failures_in_a_row > 0 {
                    notices.push(Notice::Recovered(self.failures_in_a_row));
                }
                self.failures_in_a_row = 0;
                self.error = None;
                self.succeeded = Some(now);
                self.bounds.clamp(ttl.unwrap_or(self.bounds.max))
            }
            Some(error) => {
                let wait = self.bounds.clamp(self.back_off());
                self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
                if self.error.as_ref() != Some(&error) {
                    notices.push(Notice::Fails(error.clone()));
                }
                self.error = Some(error);
                wait
            }
        };
        self.next = now + wait;
        Outcome { has_changed, is_asked: true, notices }
    }

    /// Takes in that nothing can have changed.
    pub fn unchanged(&mut self, now: Time) -> Outcome {
        if self.error.is_none() {
            self.succeeded = Some(now);
        }
        self.next = now + self.bounds.max;
        Outcome { has_changed: false, is_asked: false, notices: Vec::new() }
    }

    /// The wait after the failures so far: `ttl_min`, and twice as long with each, up to [`RETRY_MAX`].
    fn back_off(&self) -> Duration {
        let doubled = self.bounds.min.saturating_mul(1 << self.failures_in_a_row.min(16));
        doubled.min(RETRY_MAX.max(self.bounds.min))
    }

    /// When to ask next.
    pub fn next(&self) -> Time {
        self.next
    }

    /// The last good list of servers.
    pub fn servers(&self) -> &Arc<[Backend]> {
        &self.servers
    }

    /// Why the last question was not answered, if so.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// When all was answered for the last time.
    pub fn succeeded(&self) -> Option<Time> {
        self.succeeded
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
