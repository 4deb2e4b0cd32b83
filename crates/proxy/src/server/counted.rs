//! Where one worker counts what becomes of one server.

use std::sync::Arc;

use evenkeel_observe::{BackendMetrics, BackendShard, ServerNotes};

/// Where one worker counts what becomes of one server.
#[derive(Debug, Clone)]
pub struct Counted {
    metrics: Arc<BackendMetrics>,
    worker: usize,
}

impl Counted {
    /// Where `worker` counts in `metrics`.
    pub fn new(metrics: Arc<BackendMetrics>, worker: usize) -> Self {
        Self { metrics, worker }
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
