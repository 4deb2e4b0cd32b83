//! The outbox: jobs that were written with what caused them, until a relay has put them into the queue.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreResult;
use crate::ports::queue::NewJob;

/// A job in the outbox of one database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OutboxId {
    /// Which database.
    pub database: u16,
    /// Its number there.
    pub number: i64,
}

/// A job that waits in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxJob {
    /// For [`Outbox::mark_sent`].
    pub id: OutboxId,
    /// What to put into the queue.
    pub job: NewJob,
}

/// The outbox of the store.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Jobs to put into the queue, oldest first. They are not returned again for the time of `lease`, so that two
    /// relays share the work; after it they are, unless [`Outbox::mark_sent`] was called. A job can thus be sent
    /// twice: its idempotency key makes the queue take it once.
    async fn take_outbox(&self, limit: u32, lease: Duration) -> StoreResult<Vec<OutboxJob>>;

    /// Removes jobs that the queue has acknowledged.
    async fn mark_sent(&self, ids: &[OutboxId]) -> StoreResult<()>;

    /// Jobs that wait, leased ones included.
    async fn outbox_len(&self) -> StoreResult<u64>;
}
