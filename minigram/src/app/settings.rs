//! What a server of the application can be set to, each with its default.

use std::time::Duration;

use super::edge::EdgeNode;
use crate::clock::Clock;
use crate::domain::likes::BatchSettings;
use crate::domain::passwords::Passwords;

/// Settings of one server. All servers of an application have the same `token_key`.
#[derive(Debug, Clone)]
pub struct AppSettings {
    /// The server's name: sent as `x-server` with every response, and part of every line of the log.
    pub name: String,
    /// Signs access tokens. 32 bytes or more, and secret.
    pub token_key: Vec<u8>,
    /// Where the time is read.
    pub clock: Clock,
    /// How passwords are hashed.
    pub passwords: Passwords,
    /// How long an access token is valid.
    pub access_ttl: Duration,
    /// How long a session lasts after it was last refreshed.
    pub session_ttl: Duration,
    /// How long answers of the store stay in the cache.
    pub cache_ttl: Duration,
    /// Scheme, host and port that browsers see, such as `https://photos.example.com`. Requests that change something
    /// are refused if a page of another origin sends them. `None`: the origin must have the request's `Host`.
    pub public_origin: Option<String>,
    /// The edges that are purged when something changes. There may be none.
    pub edge: Vec<EdgeNode>,
    /// How often what shows the likes of a photo is purged from the edge, at most.
    pub likes_purged_every: Duration,
    /// How likes are batched.
    pub likes: BatchSettings,
    /// What a server takes on at most.
    pub limits: Limits,
    /// How the server leaves.
    pub leaving: Leaving,
    /// The share of a core that the server's thread may use, more than 0 and at most 1, if it is bounded. The server must
    /// have one thread of its own.
    pub core_share: Option<f64>,
}

/// What a server takes on at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Open connections, WebSockets not counted. More wait to be accepted.
    pub connections: usize,
    /// Open WebSockets. More are refused.
    pub sockets: usize,
    /// Uploads at the same time. More are refused.
    pub uploads: usize,
    /// Bytes of a photo.
    pub photo_bytes: u64,
    /// Bytes of a request's JSON.
    pub json_bytes: usize,
    /// How long a request may take.
    pub request: Duration,
    /// How long an upload may take.
    pub upload: Duration,
    /// How long a connection may be idle, and how long a request's head may take.
    pub idle: Duration,
    /// How often a WebSocket must show that it lives, and its session is looked for.
    pub socket_check: Duration,
    /// Failed attempts to sign in under one name that are allowed at once.
    pub sign_in_burst: u32,
    /// After how long another failed attempt is allowed.
    pub sign_in_every: Duration,
}

/// How a server leaves: first it is not ready, then it finishes what it has begun.
#[derive(Debug, Clone, Copy)]
pub struct Leaving {
    /// How long `/readyz` answers 503 while requests are still served: as long as balancers need to notice.
    pub not_ready: Duration,
    /// How long open requests and WebSockets have to end after that.
    pub drain: Duration,
}

impl AppSettings {
    /// The defaults for a server with this name and this key.
    #[must_use]
    pub fn new(name: impl Into<String>, token_key: impl Into<Vec<u8>>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            name: name.into(),
            token_key: token_key.into(),
            clock: Clock::System,
            passwords: Passwords::new(cores),
            access_ttl: Duration::from_secs(5 * 60),
            session_ttl: Duration::from_secs(30 * 24 * 3600),
            cache_ttl: Duration::from_secs(5 * 60),
            public_origin: None,
            edge: Vec::new(),
            likes_purged_every: Duration::from_secs(5),
            likes: BatchSettings::default(),
            limits: Limits::default(),
            leaving: Leaving::default(),
            core_share: None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            sockets: 4096,
            uploads: 64,
            photo_bytes: 10 << 20,
            json_bytes: 16 << 10,
            request: Duration::from_secs(10),
            upload: Duration::from_secs(120),
            idle: Duration::from_secs(75),
            socket_check: Duration::from_secs(30),
            sign_in_burst: 10,
            sign_in_every: Duration::from_secs(6),
        }
    }
}

impl Default for Leaving {
    fn default() -> Self {
        Self { not_ready: Duration::from_secs(3), drain: Duration::from_secs(20) }
    }
}
