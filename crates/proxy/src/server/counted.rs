//! Where one worker counts and logs what becomes of one server.

use std::fmt::Display;
use std::rc::Rc;
use std::sync::Arc;

use evenkeel_observe::{BackendMetrics, BackendShard, ServerNotes};
use evenkeel_types::{BackendId, PoolName};

/// Where one worker counts what becomes of one server.
#[derive(Debug, Clone)]
pub struct Counted {
    metrics: Arc<BackendMetrics>,
    worker: usize,
    /// The server, with its pool.
    of: Rc<(PoolName, BackendId)>,
}

impl Counted {
    /// Where `worker` counts in `metrics`, which are those of a server of a pool.
    pub fn new(of: (PoolName, BackendId), metrics: Arc<BackendMetrics>, worker: usize) -> Self {
        Self { metrics, worker, of: Rc::new(of) }
    }

    /// Logs that a connection to the server was opened.
    pub fn log_opened(&self) {
        let (pool, server) = &*self.of;
        tracing::debug!(%pool, %server, "connection to the server opened");
    }

    /// Logs that a connection to the server is closed, and why.
    #[cold]
    pub fn log_closed(&self, why: impl Display) {
        let (pool, server) = &*self.of;
        tracing::debug!(%pool, %server, %why, "connection to the server closed");
    }

    /// Logs that no connection to the server could be opened, and why.
    #[cold]
    pub fn log_failed(&self, why: impl Display) {
        let (pool, server) = &*self.of;
        tracing::debug!(%pool, %server, %why, "no connection to the server");
    }

    /// The figures.
    pub fn figures(&self) -> &BackendShard {
        self.metrics.shard(self.worker)
    }

    /// What people are shown of how it fails.
    pub fn notes(&self) -> &ServerNotes {
        &self.metrics.notes
    }
}
