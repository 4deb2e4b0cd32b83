//! Configuration files of the Redis pair, and of the Sentinels that decide which of the two is the primary.
//!
//! Sentinel promotes the replica when the primary is lost; Evenkeel's check of the role then sends connections to it.
//! Both programs rewrite their files when that happens, so they must be able to write them.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What Sentinels call the pair.
pub const PAIR: &str = "minigram";

/// One Redis server.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    /// Where its append-only file and snapshots are.
    pub directory: PathBuf,
    /// The port of the primary that it follows. Give it to each node that starts while there is a primary, a former
    /// primary too: without it there would be two primaries until Sentinel notices.
    pub replica_of: Option<u16>,
    /// Memory for data. When it is used up, values of the cache are evicted, and sessions are not.
    pub maxmemory_bytes: u64,
}

impl Node {
    /// A primary.
    #[must_use]
    pub fn new(port: u16, directory: &Path) -> Self {
        Self { port, directory: directory.to_owned(), replica_of: None, maxmemory_bytes: 256 << 20 }
    }

    /// `redis.conf`.
    #[must_use]
    pub fn to_conf(&self) -> String {
        let mut conf = format!(
            "bind 127.0.0.1\n\
             port {}\n\
             dir \"{}\"\n\
             maxmemory {}\n\
             # Sessions have no lifetime of Redis's, so that this never evicts them.\n\
             maxmemory-policy volatile-lru\n\
             appendonly yes\n\
             appendfsync everysec\n\
             save 300 1000\n\
             repl-diskless-sync-delay 0\n\
             repl-ping-replica-period 1\n\
             # Scripts of the application take less than a millisecond.\n\
             busy-reply-threshold 1000\n",
            self.port,
            self.directory.display(),
            self.maxmemory_bytes,
        );
        if let Some(primary) = self.replica_of {
            // Writing to a String cannot fail.
            let _ = writeln!(conf, "replicaof 127.0.0.1 {primary}");
        }
        conf
    }
}

/// One of the Sentinels. There should be three, so that two of them decide.
#[derive(Debug, Clone)]
pub struct Sentinel {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    /// Its directory.
    pub directory: PathBuf,
    /// The port of the present primary.
    pub primary: u16,
    /// How many Sentinels must miss the primary.
    pub quorum: u32,
    /// How long the primary may be silent.
    pub down_after: Duration,
}

impl Sentinel {
    /// One of three.
    #[must_use]
    pub fn new(port: u16, directory: &Path, primary: u16) -> Self {
        let down_after = Duration::from_secs(1);
        Self { port, directory: directory.to_owned(), primary, quorum: 2, down_after }
    }

    /// `sentinel.conf`, for `redis-server FILE --sentinel`.
    #[must_use]
    pub fn to_conf(&self) -> String {
        format!(
            "bind 127.0.0.1\n\
             port {port}\n\
             dir \"{directory}\"\n\
             sentinel monitor {PAIR} 127.0.0.1 {primary} {quorum}\n\
             sentinel down-after-milliseconds {PAIR} {down_after}\n\
             # How long until another attempt, if a failover does not succeed: a quarter of it is what each step may take.\n\
             sentinel failover-timeout {PAIR} 10000\n\
             sentinel parallel-syncs {PAIR} 1\n",
            port = self.port,
            directory = self.directory.display(),
            primary = self.primary,
            quorum = self.quorum,
            down_after = self.down_after.as_millis(),
        )
    }
}
