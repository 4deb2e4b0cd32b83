//! The bus in memory: a ring of messages for each topic that has subscribers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::lock;
use crate::ports::bus::{Bus, BusError, BusResult, Event, Subscription};

type Topics = Arc<Mutex<HashMap<String, broadcast::Sender<Bytes>>>>;

/// The bus of one process.
#[derive(Debug)]
pub struct MemoryBus {
    topics: Topics,
    topics_max: usize,
    messages_max: usize,
}

impl MemoryBus {
    /// A bus with at most `topics_max` topics that have subscribers. A subscriber may be `messages_max` behind, which
    /// is rounded up to a power of two, before it loses messages.
    #[must_use]
    pub fn new(topics_max: usize, messages_max: usize) -> Self {
        Self { topics: Arc::default(), topics_max, messages_max }
    }
}

#[async_trait]
impl Bus for MemoryBus {
    async fn publish(&self, topic: &str, message: Bytes) -> BusResult<()> {
        if let Some(sender) = lock(&self.topics).get(topic) {
            // Fails when the last subscriber is about to go.
            drop(sender.send(message));
        }
        Ok(())
    }

    async fn subscribe(&self, topic: &str) -> BusResult<Box<dyn Subscription>> {
        let mut topics = lock(&self.topics);
        if !topics.contains_key(topic) && topics.len() >= self.topics_max {
            return Err(BusError::Full(self.topics_max));
        }
        let sender =
            topics.entry(topic.to_owned()).or_insert_with(|| broadcast::Sender::new(self.messages_max));
        let receiver = Some(sender.subscribe());
        Ok(Box::new(MemorySubscription { receiver, topic: topic.to_owned(), topics: self.topics.clone() }))
    }
}

struct MemorySubscription {
    /// `None` only while it is dropped.
    receiver: Option<broadcast::Receiver<Bytes>>,
    topic: String,
    topics: Topics,
}

#[async_trait]
impl Subscription for MemorySubscription {
    async fn next(&mut self) -> Option<Event> {
        match self.receiver.as_mut()?.recv().await {
            Ok(message) => Some(Event::Message(message)),
            Err(RecvError::Lagged(messages)) => Some(Event::Lost(messages)),
            Err(RecvError::Closed) => None,
        }
    }
}

impl Drop for MemorySubscription {
    fn drop(&mut self) {
        let mut topics = lock(&self.topics);
        self.receiver = None;
        if topics.get(&self.topic).is_some_and(|sender| sender.receiver_count() == 0) {
            topics.remove(&self.topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn topics_are_bounded_and_go_with_their_last_subscriber() {
        let bus = MemoryBus::new(1, 8);
        let first = bus.subscribe("a").await.unwrap();
        let second = bus.subscribe("a").await.unwrap();
        assert!(matches!(bus.subscribe("b").await, Err(BusError::Full(1))));
        drop(first);
        assert!(matches!(bus.subscribe("b").await, Err(BusError::Full(1))));
        drop(second);
        assert!(bus.subscribe("b").await.is_ok());
    }
}
