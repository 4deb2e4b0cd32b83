//! One change of the configuration: of what, from what to what, in words, and with what effect.

use std::fmt;

use evenkeel_types::{BackendId, ListenerName, PoolName, RouteName};

use super::effect::Effect;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What changes.
    pub subject: Subject,
    /// The key that changes, as in `timeout.connect`; empty if the subject as a whole comes or goes.
    pub key: String,
    /// The value before, in TOML; `None` if there was none.
    pub before: Option<String>,
    /// The value from now on, in TOML; `None` if there is none.
    pub after: Option<String>,
    /// The change in words, as in `pool api: algorithm: round-robin -> random`.
    pub sentence: String,
    /// What it does to traffic.
    pub effect: Effect,
}

/// What a change is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A table that is there once, such as `[limits]`.
    Process,
    /// A listener.
    Listener(ListenerName),
    /// A route.
    Route(RouteName),
    /// The routes as a list.
    Routes,
    /// A pool.
    Pool(PoolName),
    /// A server of a pool.
    Server(PoolName, BackendId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process => f.write_str("process"),
            Self::Listener(name) => write!(f, "listener {name}"),
            Self::Route(name) => write!(f, "route {name}"),
            Self::Routes => f.write_str("routes"),
            Self::Pool(name) => write!(f, "pool {name}"),
            Self::Server(pool, id) => write!(f, "server {id} of pool {pool}"),
        }
    }
}

impl Subject {
    /// `process`, `listener`, `route`, `routes`, `pool` or `server`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Listener(_) => "listener",
            Self::Route(_) => "route",
            Self::Routes => "routes",
            Self::Pool(_) => "pool",
            Self::Server(..) => "server",
        }
    }
}

impl Change {
    /// What changes, without from what to what: `pool api: timeout.connect`.
    pub fn subject_and_key(&self) -> String {
        match (&self.subject, self.key.as_str()) {
            (Subject::Process, key) => key.into(),
            (subject, "") => subject.to_string(),
            (subject, key) => format!("{subject}: {key}"),
        }
    }
}
