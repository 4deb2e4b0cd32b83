//! Whose settings name a file.

use std::fmt;

use evenkeel_types::{ListenerName, PoolName};

/// Whose settings name a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FileOwner {
    /// `[listener.NAME]`
    Listener(ListenerName),
    /// `[pool.NAME]`
    Pool(PoolName),
    /// `[server]`, `[admin]`, `[redis]` or a `[[route]]`
    Process,
}

impl fmt::Display for FileOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listener(name) => write!(f, "listener `{name}`"),
            Self::Pool(name) => write!(f, "pool `{name}`"),
            Self::Process => f.write_str("the process"),
        }
    }
}
