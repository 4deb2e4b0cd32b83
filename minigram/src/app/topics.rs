//! The topics that one socket is subscribed to, and their events in the order in which they come.

use std::collections::HashMap;
use std::future::pending;

use futures_util::future::{AbortHandle, Abortable, BoxFuture};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};

use crate::ports::bus::{Bus, BusResult, Event, Subscription};

/// A topic's next event, with its subscription; `None` if the subscription was given up.
type Next = Option<(String, Box<dyn Subscription>, Option<Event>)>;

/// Subscriptions. Dropping it ends them.
#[derive(Default)]
pub(crate) struct Topics {
    next: FuturesUnordered<BoxFuture<'static, Next>>,
    subscribed: HashMap<String, AbortHandle>,
}

impl Topics {
    /// Subscribes to a topic, unless that is so already.
    pub async fn add(&mut self, bus: &dyn Bus, topic: String) -> BusResult<()> {
        if !self.subscribed.contains_key(&topic) {
            let subscription = bus.subscribe(&topic).await?;
            self.wait(topic, subscription);
        }
        Ok(())
    }

    /// Ends all subscriptions but those that `wanted` names.
    pub fn keep(&mut self, wanted: impl Fn(&str) -> bool) {
        self.subscribed.retain(|topic, subscription| {
            let keep = wanted(topic);
            if !keep {
                subscription.abort();
            }
            keep
        });
    }

    /// The next event of any topic; `None` with the topic when the bus has shut down. Nothing is lost when the caller
    /// stops to wait.
    pub async fn next(&mut self) -> (String, Option<Event>) {
        loop {
            match self.next.next().await {
                Some(Some((topic, subscription, event))) => {
                    if event.is_some() {
                        self.wait(topic.clone(), subscription);
                    }
                    return (topic, event);
                }
                Some(None) => {}
                None => return pending().await,
            }
        }
    }

    fn wait(&mut self, topic: String, mut subscription: Box<dyn Subscription>) {
        let (handle, registration) = AbortHandle::new_pair();
        self.subscribed.insert(topic.clone(), handle);
        let event = async move {
            let event = subscription.next().await;
            (topic, subscription, event)
        };
        self.next.push(Abortable::new(event, registration).map(Result::ok).boxed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::bus::MemoryBus;

    #[tokio::test]
    async fn events_of_all_topics_come_and_those_of_topics_given_up_do_not() {
        let bus = MemoryBus::new(10, 8);
        let mut topics = Topics::default();
        for topic in ["a", "b", "a"] {
            topics.add(&bus, topic.to_owned()).await.unwrap();
        }
        bus.publish("a", "1".into()).await.unwrap();
        assert_eq!(topics.next().await, ("a".to_owned(), Some(Event::Message("1".into()))));
        bus.publish("a", "2".into()).await.unwrap();
        bus.publish("b", "3".into()).await.unwrap();
        topics.keep(|topic| topic == "b");
        assert_eq!(topics.next().await, ("b".to_owned(), Some(Event::Message("3".into()))));
        topics.add(&bus, "a".to_owned()).await.unwrap();
        bus.publish("a", "4".into()).await.unwrap();
        assert_eq!(topics.next().await, ("a".to_owned(), Some(Event::Message("4".into()))));
    }
}
