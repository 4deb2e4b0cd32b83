//! Which Redis a process works with, and how long it waits for it.

use std::time::Duration;

/// Which Redis, and how long to wait for it.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// `redis://[USER:PASSWORD@]HOST:PORT[/DATABASE]`: the port at which the primary answers, whichever node that is.
    pub url: String,
    /// What keys and channels begin with.
    pub prefix: String,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long an answer may take.
    pub response_timeout: Duration,
    /// How many replicas should have a change of a session before the call returns. The call waits for them for
    /// [`RedisSettings::replicas_timeout`] at most, and then succeeds nevertheless. While there are too few, one call a second
    /// waits.
    pub replicas: u32,
    /// How long to wait for replicas.
    pub replicas_timeout: Duration,
    /// Sessions at most.
    pub sessions_max: u64,
    /// Topics of the bus that may have subscribers in this process.
    pub topics_max: usize,
    /// How many messages a subscriber may be behind before it loses some; rounded up to a power of two.
    pub messages_max: usize,
}

impl RedisSettings {
    /// Settings for the Redis at `url`, with all else as usual.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            prefix: "minigram".to_owned(),
            connect_timeout: Duration::from_millis(500),
            response_timeout: Duration::from_millis(500),
            replicas: 0,
            replicas_timeout: Duration::from_millis(50),
            sessions_max: 1_000_000,
            topics_max: 50_000,
            messages_max: 256,
        }
    }
}
