//! The engines that a process works with, one for each port.

use std::sync::Arc;

use crate::ports::blobs::Blobs;
use crate::ports::bus::Bus;
use crate::ports::cache::Cache;
use crate::ports::queue::Queue;
use crate::ports::sessions::Sessions;
use crate::ports::store::Store;

/// One engine for each port. A copy is cheap, and works with the same engines.
#[derive(Clone)]
pub struct Engines {
    /// Users, photos, likes, comments, feeds, outbox.
    pub store: Arc<dyn Store>,
    /// Refresh sessions, and what each user wrote last.
    pub sessions: Arc<dyn Sessions>,
    /// Answers of the store, for minutes.
    pub cache: Arc<dyn Cache>,
    /// Jobs for workers.
    pub queue: Arc<dyn Queue>,
    /// Messages between servers.
    pub bus: Arc<dyn Bus>,
    /// Pictures.
    pub blobs: Arc<dyn Blobs>,
}
