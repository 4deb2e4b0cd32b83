//! What the demo needs of a balancer that runs: it starts none itself, because only the program knows how.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use evenkeel_core::snapshot::Snapshot;
use evenkeel_observe::Registry;
use evenkeel_types::Address;

/// A running balancer.
pub struct Balancer {
    /// The addresses that it listens on.
    pub listening: Vec<Address>,
    /// Where its admin API is.
    pub admin: Option<Address>,
    /// The configuration in force and the states of the servers.
    pub snapshots: Arc<ArcSwap<Snapshot>>,
    /// Its metrics.
    pub registry: Arc<Registry>,
    /// Ends it: requests in flight have this long to finish. Returns when all is done.
    pub leave: Box<dyn FnOnce(Duration) + Send>,
}
