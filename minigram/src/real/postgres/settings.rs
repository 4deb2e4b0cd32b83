//! Where the databases are, and how long the store waits for them.

use std::time::Duration;

/// The databases of a store.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// The databases, in the order of their numbers. A further one goes to the end; the order never changes.
    pub databases: Vec<DatabaseSettings>,
    /// With how many followers a user becomes a celebrity.
    pub celebrity_followers: u64,
    /// Connections to each of the addresses, at most.
    pub connections_max: u32,
    /// How long to wait.
    pub timeouts: Timeouts,
}

impl PostgresSettings {
    /// The defaults for these databases: 16 connections, celebrities from 1,000 followers.
    #[must_use]
    pub fn new(databases: Vec<DatabaseSettings>) -> Self {
        Self { databases, celebrity_followers: 1000, connections_max: 16, timeouts: Timeouts::default() }
    }
}

/// The two addresses of one database, as `postgres://user:password@host:port/name`.
///
/// A connection must stay with one server as long as it is open, as it does through Evenkeel. A proxy that pools
/// transactions does not keep that.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// Leads to the primary.
    pub write: String,
    /// Spreads over replicas. Without it the primary answers all reads.
    pub read: Option<String>,
}

/// How long the store waits.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a connection, free or new.
    pub acquire: Duration,
    /// For the answer to one statement; the server gives up then, too.
    pub statement: Duration,
    /// For the primary to come back, or for a shard to have moved, before a call fails as unavailable. Waiting stops
    /// here at the latest, whatever the others say.
    pub retry: Duration,
    /// How old what is known of the shards may be. A move waits longer than this before it deletes the old rows.
    pub map_age_max: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            acquire: Duration::from_secs(2),
            statement: Duration::from_secs(5),
            retry: Duration::from_secs(5),
            map_age_max: Duration::from_secs(3),
        }
    }
}
