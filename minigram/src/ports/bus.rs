//! Port: messages between servers, for notifications to clients that are connected to any of them.
//!
//! Guarantees of every engine:
//! - A message reaches every subscriber of its topic that had subscribed before it was published, in the order of one
//!   publisher, or the subscriber receives [`Event::Lost`] in its place. Nothing is kept for later subscribers.
//! - A publisher never waits for a subscriber: one that is slow loses the oldest messages.

use async_trait::async_trait;
use bytes::Bytes;

use super::{Retriable, Retry, Source};

/// What a subscriber receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A message.
    Message(Bytes),
    /// At least so many messages were lost, because the subscriber was too slow or the connection broke. What the
    /// subscriber shows may be out of date: it should read it again.
    Lost(u64),
}

/// One subscription; dropping it ends it.
#[async_trait]
pub trait Subscription: Send {
    /// The next event; waits for one. `None` when the engine has shut down.
    async fn next(&mut self) -> Option<Event>;
}

/// The bus.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Sends a message to the subscribers of `topic`. It is no error if there are none.
    async fn publish(&self, topic: &str, message: Bytes) -> BusResult<()>;

    /// Subscribes to `topic`. Messages that are published after this returns arrive.
    async fn subscribe(&self, topic: &str) -> BusResult<Box<dyn Subscription>>;
}

/// What calls return.
pub type BusResult<T> = Result<T, BusError>;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// There are as many topics with subscribers as the engine may keep.
    #[error("{0} topics have subscribers, which is the limit")]
    Full(usize),
    /// The engine cannot be reached.
    #[error("the bus is unavailable: {0}")]
    Unavailable(#[source] Source),
}

impl Retriable for BusError {
    fn retry(&self) -> Retry {
        Retry::Soon
    }
}
