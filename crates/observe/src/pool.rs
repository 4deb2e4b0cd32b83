//! What is counted of a pool as a whole.

use crate::counter::Gauge;
use crate::retries::RetryMetrics;

/// The figures of one pool.
#[derive(Debug, Default)]
pub struct PoolMetrics {
    /// 1 while ejected servers are used as well, else 0.
    pub panic: Gauge,
    /// Its retries and hedges.
    pub retries: RetryMetrics,
}
