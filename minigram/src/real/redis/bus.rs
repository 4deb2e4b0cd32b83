//! The bus on Redis's channels. A process has one connection for all its subscriptions; a ring for each topic hands
//! messages to the subscribers, so that a slow one does not delay the others.

use async_trait::async_trait;
use bytes::Bytes;
use redis::Cmd;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::timeout;

use super::link::Link;
use super::settings::RedisSettings;
use crate::ports::Source;
use crate::ports::bus::{Bus, BusError, BusResult, Event, Subscription};
use listener::{Ask, Listener};

mod listener;

/// Requests to the listener that may wait.
const ASKS_MAX: usize = 1024;

/// The bus of all servers.
#[derive(Debug)]
pub struct RedisBus {
    link: Link,
    settings: RedisSettings,
    asks: mpsc::Sender<Ask>,
    /// Topics whose subscriber has gone. Bounded by the subscriptions that there are.
    gone: mpsc::UnboundedSender<String>,
    listener: tokio::task::JoinHandle<()>,
}

impl RedisBus {
    /// Connects, and listens in a task that ends when the bus is dropped.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn connect(settings: &RedisSettings) -> BusResult<Self> {
        let link = Link::connect(settings).await.map_err(BusError::Unavailable)?;
        let (asks, asked) = mpsc::channel(ASKS_MAX);
        let (gone, left) = mpsc::unbounded_channel();
        let listener = tokio::spawn(Listener::new(settings.clone(), asked, left).run());
        Ok(Self { link, settings: settings.clone(), asks, gone, listener })
    }
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

#[async_trait]
impl Bus for RedisBus {
    async fn publish(&self, topic: &str, message: Bytes) -> BusResult<()> {
        let mut publish = Cmd::new();
        publish.arg("PUBLISH").arg(channel(&self.settings.prefix, topic)).arg(&message[..]);
        self.link.command(&publish).await.map_err(BusError::Unavailable)
    }

    async fn subscribe(&self, topic: &str) -> BusResult<Box<dyn Subscription>> {
        let (answer, answered) = oneshot::channel();
        let ask = Ask { topic: topic.to_owned(), answer };
        let wait = async {
            self.asks.send(ask).await.map_err(|_| unavailable("the listener has ended"))?;
            answered.await.map_err(|_| unavailable("the listener lost its connection"))?
        };
        let patience = self.settings.connect_timeout + self.settings.response_timeout;
        let receiver =
            timeout(patience, wait).await.map_err(|_| unavailable("Redis did not confirm in time"))??;
        let receiver = Some(receiver);
        Ok(Box::new(RedisSubscription { receiver, topic: topic.to_owned(), gone: self.gone.clone() }))
    }
}

/// The name of a topic in Redis.
fn channel(prefix: &str, topic: &str) -> String {
    format!("{prefix}:bus:{topic}")
}

fn unavailable(why: &str) -> BusError {
    BusError::Unavailable(Source::from(why))
}

struct RedisSubscription {
    /// `None` only while it is dropped.
    receiver: Option<broadcast::Receiver<Event>>,
    topic: String,
    gone: mpsc::UnboundedSender<String>,
}

#[async_trait]
impl Subscription for RedisSubscription {
    async fn next(&mut self) -> Option<Event> {
        match self.receiver.as_mut()?.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(messages)) => Some(Event::Lost(messages)),
            Err(RecvError::Closed) => None,
        }
    }
}

impl Drop for RedisSubscription {
    fn drop(&mut self) {
        self.receiver = None;
        // Fails when the bus has ended.
        drop(self.gone.send(std::mem::take(&mut self.topic)));
    }
}
