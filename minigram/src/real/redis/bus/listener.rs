//! The task that holds the connection of all subscriptions, makes it anew when it breaks, and subscribes again.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::{FutureExt, Stream, StreamExt};
use redis::aio::{PubSubSink, PubSubStream};
use redis::{Msg, RedisResult};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{info, warn};

use super::channel;
use crate::ports::bus::{BusError, BusResult, Event};
use crate::real::redis::link::client;
use crate::real::redis::settings::RedisSettings;

/// How long to wait before connecting again; doubles up to the second one.
const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// How often to ask whether the connection lives. Silence alone does not show that it broke.
const PING_EVERY: Duration = Duration::from_secs(2);

/// Channels in one command.
const CHANNELS_MAX: usize = 1000;

/// A request to subscribe.
pub(super) struct Ask {
    pub(super) topic: String,
    pub(super) answer: oneshot::Sender<BusResult<broadcast::Receiver<Event>>>,
}

/// The task.
pub(super) struct Listener {
    settings: RedisSettings,
    asks: mpsc::Receiver<Ask>,
    gone: mpsc::UnboundedReceiver<String>,
    /// Topics that have subscribers, by their channel.
    topics: HashMap<String, broadcast::Sender<Event>>,
}

/// A live connection.
struct Connection {
    commands: PubSubSink,
    messages: PubSubStream,
    response_timeout: Duration,
}

/// The connection is of no use any more.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Redis(#[from] redis::RedisError),
    #[error("no answer within {0:?}")]
    Slow(Duration),
    #[error("Redis closed the connection")]
    Closed,
}

impl Listener {
    pub(super) fn new(
        settings: RedisSettings,
        asks: mpsc::Receiver<Ask>,
        gone: mpsc::UnboundedReceiver<String>,
    ) -> Self {
        Self { settings, asks, gone, topics: HashMap::new() }
    }

    /// Listens until the bus is gone.
    pub(super) async fn run(mut self) {
        let mut pause = PAUSE_FIRST;
        loop {
            match self.connect().await {
                Ok(connection) => {
                    pause = PAUSE_FIRST;
                    let Err(broken) = self.listen(connection).await else { return };
                    info!(%broken, topics = self.topics.len(), "the bus lost its connection to Redis");
                }
                Err(broken) => warn!(%broken, "the bus cannot connect to Redis"),
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Connects, and subscribes to what there are subscribers for: they have lost what was published meanwhile.
    async fn connect(&mut self) -> Result<Connection, Broken> {
        let span = self.settings.connect_timeout;
        let pubsub = async { client(&self.settings)?.get_async_pubsub().await };
        let (commands, messages) = timeout(span, pubsub).await.map_err(|_| Broken::Slow(span))??.split();
        let response_timeout = self.settings.response_timeout;
        let mut connection = Connection { commands, messages, response_timeout };
        self.topics.retain(|_, sender| sender.receiver_count() > 0);
        let channels: Vec<&String> = self.topics.keys().collect();
        for some in channels.chunks(CHANNELS_MAX) {
            bounded(response_timeout, connection.commands.subscribe(some)).await?;
        }
        for sender in self.topics.values() {
            // Fails when the last subscriber is about to go.
            drop(sender.send(Event::Lost(1)));
        }
        Ok(connection)
    }

    /// Hands messages on, and does what is asked for, until the connection breaks; ends well when the bus is gone.
    async fn listen(&mut self, mut connection: Connection) -> Result<(), Broken> {
        let mut ping = interval(PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = connection.messages.next() => self.hand_on(&message.ok_or(Broken::Closed)?),
                ask = self.asks.recv() => match ask {
                    Some(ask) => self.subscribe(&mut connection, ask).await?,
                    None => return Ok(()),
                },
                topic = self.gone.recv() => match topic {
                    Some(topic) => self.unsubscribe(&mut connection, &topic).await?,
                    None => return Ok(()),
                },
                _ = ping.tick() => {
                    let pong = connection.commands.ping::<redis::Value>();
                    bounded(connection.response_timeout, pong).await?;
                }
            }
        }
    }

    fn hand_on(&self, message: &Msg) {
        if let Some(sender) = self.topics.get(message.get_channel_name()) {
            let bytes = message.get_payload_bytes().to_vec();
            drop(sender.send(Event::Message(bytes.into())));
        }
    }

    async fn subscribe(&mut self, connection: &mut Connection, ask: Ask) -> Result<(), Broken> {
        if ask.answer.is_closed() {
            return Ok(());
        }
        let channel = channel(&self.settings.prefix, &ask.topic);
        if !self.topics.contains_key(&channel) && self.topics.len() >= self.settings.topics_max {
            drop(ask.answer.send(Err(BusError::Full(self.settings.topics_max))));
            return Ok(());
        }
        // Also if there is a subscriber already: what arrives before the confirmation was published before, and is
        // not for the new subscriber.
        bounded(connection.response_timeout, connection.commands.subscribe(&channel)).await?;
        while let Some(Some(message)) = arrived(&mut connection.messages) {
            self.hand_on(&message);
        }
        let messages_max = self.settings.messages_max;
        let sender = self.topics.entry(channel).or_insert_with(|| broadcast::Sender::new(messages_max));
        // If the caller has gone, so has the receiver, and the next `connect` or `unsubscribe` tidies up.
        drop(ask.answer.send(Ok(sender.subscribe())));
        Ok(())
    }

    async fn unsubscribe(&mut self, connection: &mut Connection, topic: &str) -> Result<(), Broken> {
        let channel = channel(&self.settings.prefix, topic);
        if self.topics.get(&channel).is_some_and(|sender| sender.receiver_count() == 0) {
            self.topics.remove(&channel);
            bounded(connection.response_timeout, connection.commands.unsubscribe(&channel)).await?;
        }
        Ok(())
    }
}

/// The next message, if it has arrived already.
fn arrived(messages: &mut (impl Stream<Item = Msg> + Unpin)) -> Option<Option<Msg>> {
    messages.next().now_or_never()
}

async fn bounded<T>(span: Duration, answer: impl Future<Output = RedisResult<T>>) -> Result<T, Broken> {
    match timeout(span, answer).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Broken::Slow(span)),
    }
}
