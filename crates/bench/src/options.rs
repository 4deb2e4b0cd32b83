//! What a run is asked to do.

use std::path::PathBuf;
use std::time::Duration;

use crate::scenario::Scenario;
use crate::target::Target;

/// What a run is asked to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whom it asks.
    pub target: Target,
    /// What it asks.
    pub scenario: Scenario,
    /// How requests follow one another.
    pub load: Load,
    /// Connections, all threads together; at least 1.
    pub connections: usize,
    /// Requests under way at once on a connection of HTTP/2; at least 1.
    pub streams: usize,
    /// Threads, each with its share of connections and rate; 1 to `connections`.
    pub threads: usize,
    /// How long requests are sent before they count.
    pub warmup: Duration,
    /// How long they are sent and count; absent when `requests` alone ends the run.
    pub duration: Option<Duration>,
    /// How many requests are sent at most, those of the warm-up among them.
    pub requests: Option<u64>,
    /// How long a request may take, its connection included.
    pub timeout: Duration,
    /// HTTP/2: by ALPN over TLS, by prior knowledge in clear.
    pub http2: bool,
    /// Each request gets a connection of its own.
    pub new_connections: bool,
    /// Certificates are not verified.
    pub insecure: bool,
    /// Authorities to trust in place of the system's, in PEM.
    pub ca: Option<PathBuf>,
    /// The response header whose values figures are split by.
    pub split_by: Option<http::HeaderName>,
    /// Processes whose CPU time is that of the target, with all that they start; found by the port of a loopback target when empty.
    pub target_pids: Vec<u32>,
    /// How late an intended start may be, at the 99th percentile, before the run is invalid.
    pub late_max: Duration,
}

/// How requests follow one another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Load {
    /// Each connection sends its next request once it has the response to the one before.
    Closed,
    /// Requests start at this rate a second, whatever the server does.
    Rate(f64),
    /// The rate goes from one to the other over the run's duration.
    Ramp {
        /// At the begin, and during the warm-up.
        from: f64,
        /// At the end.
        to: f64,
    },
}
