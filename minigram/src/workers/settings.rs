//! What a process of workers does at once, and for how long.

use std::net::SocketAddr;
use std::time::Duration;

use crate::app::edge::EdgeNode;

/// Settings of [`run`](super::run).
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Names the process in its logs.
    pub name: String,
    /// Where `/metrics` and `/healthz` are served; `None` if nowhere.
    pub listen: Option<SocketAddr>,
    /// The Evenkeels before the servers, which keep what everyone is shown of a photo. There may be none.
    pub edge: Vec<EdgeNode>,
    /// Relays that bring jobs from the outbox into the queue.
    pub relays: usize,
    /// Jobs of the topic `fan-out` at once.
    pub fan_out: usize,
    /// Jobs of the topic `thumbnails` at once, those included that read and write files.
    pub thumbnails: usize,
    /// Pictures that are decoded at once; each takes a core, and memory for all its pixels.
    pub decoders: usize,
    /// Jobs of the topic `notify` at once.
    pub notify: usize,
    /// Jobs of the topic `remove-files` at once.
    pub remove_files: usize,
    /// Pixels of a picture, at most. One that has more becomes a dead letter.
    pub pixels_max: u64,
    /// Bytes of an original, at most.
    pub original_bytes_max: u64,
    /// How long a call to the queue waits for a job. A worker notices within this time that it should leave.
    pub take_wait: Duration,
    /// How often a relay looks into an empty outbox.
    pub relay_every: Duration,
    /// How often a worker says that it still has its job: well below [`Policy::visibility`].
    ///
    /// [`Policy::visibility`]: crate::ports::queue::Policy::visibility
    pub extend_every: Duration,
    /// How long a job may take; it fails then, and is tried again.
    pub job_max: Duration,
    /// How long jobs have to finish once the process should leave. Those that have not are given back.
    pub finish_within: Duration,
    /// How often the gauges of the queue are read.
    pub gauges_every: Duration,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            name: "worker".to_owned(),
            listen: None,
            edge: Vec::new(),
            relays: 1,
            fan_out: 4,
            thumbnails: 4,
            decoders: 2,
            notify: 4,
            remove_files: 1,
            pixels_max: 50_000_000,
            original_bytes_max: 10 << 20,
            take_wait: Duration::from_millis(500),
            relay_every: Duration::from_millis(200),
            extend_every: Duration::from_secs(8),
            job_max: Duration::from_secs(120),
            finish_within: Duration::from_secs(10),
            gauges_every: Duration::from_secs(2),
        }
    }
}
