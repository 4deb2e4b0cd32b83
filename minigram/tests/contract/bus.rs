//! The contract of the bus.

/// How many messages a subscriber of the bus under test may be behind.
pub const BEHIND_MAX: usize = 16;

macro_rules! bus_contract {
    ($engine:ident, $start:path) => {
        mod $engine {
            use crate::bus::cases;
            cases! { $start:
                a_message_reaches_all_subscribers_of_its_topic_in_order,
                nothing_is_kept_for_later_subscribers,
                a_slow_subscriber_learns_what_it_lost_and_goes_on,
                a_subscription_ends_when_it_is_dropped,
            }
        }
    };
}

pub mod cases {
    //! All cases by name.

    use std::time::Duration;

    use bytes::Bytes;
    use minigram::ports::bus::{Bus, Event, Subscription};
    use tokio::time::timeout;

    use super::BEHIND_MAX;
    use crate::subject::Subject;

    fn message(number: usize) -> Bytes {
        format!("message {number}").into()
    }

    async fn next(subscription: &mut Box<dyn Subscription>) -> Event {
        let event = timeout(Duration::from_secs(10), subscription.next()).await;
        event.expect("an event arrives").expect("the bus runs")
    }

    pub async fn a_message_reaches_all_subscribers_of_its_topic_in_order(subject: Subject<dyn Bus>) {
        let bus = &*subject.port;
        let mut subscribers = [bus.subscribe("a").await.unwrap(), bus.subscribe("a").await.unwrap()];
        let mut other = bus.subscribe("b").await.unwrap();
        for number in 0..BEHIND_MAX {
            bus.publish("a", message(number)).await.unwrap();
        }
        bus.publish("b", message(100)).await.unwrap();
        for subscriber in &mut subscribers {
            for number in 0..BEHIND_MAX {
                assert_eq!(next(subscriber).await, Event::Message(message(number)));
            }
        }
        assert_eq!(next(&mut other).await, Event::Message(message(100)));
    }

    pub async fn nothing_is_kept_for_later_subscribers(subject: Subject<dyn Bus>) {
        let bus = &*subject.port;
        bus.publish("a", message(1)).await.unwrap();
        let mut first = bus.subscribe("a").await.unwrap();
        bus.publish("a", message(2)).await.unwrap();
        let mut second = bus.subscribe("a").await.unwrap();
        bus.publish("a", message(3)).await.unwrap();
        assert_eq!(next(&mut first).await, Event::Message(message(2)));
        assert_eq!(next(&mut first).await, Event::Message(message(3)));
        assert_eq!(next(&mut second).await, Event::Message(message(3)));
    }

    pub async fn a_slow_subscriber_learns_what_it_lost_and_goes_on(subject: Subject<dyn Bus>) {
        let bus = &*subject.port;
        let mut slow = bus.subscribe("a").await.unwrap();
        let sent = 1000;
        for number in 0..sent {
            bus.publish("a", message(number)).await.unwrap();
        }
        let (mut lost, mut arrived) = (0, Vec::new());
        while arrived.last() != Some(&message(sent - 1)) {
            match next(&mut slow).await {
                Event::Message(bytes) => arrived.push(bytes),
                Event::Lost(messages) => lost += usize::try_from(messages).unwrap(),
            }
        }
        assert!(lost > 0 && lost + arrived.len() <= sent, "{lost} lost, {} arrived", arrived.len());
        bus.publish("a", message(sent)).await.unwrap();
        assert_eq!(next(&mut slow).await, Event::Message(message(sent)));
    }

    pub async fn a_subscription_ends_when_it_is_dropped(subject: Subject<dyn Bus>) {
        let bus = &*subject.port;
        // More in turn than may exist at once.
        for _ in 0..1000 {
            drop(bus.subscribe("a").await.unwrap());
        }
        bus.publish("a", message(1)).await.unwrap();
        let mut subscriber = bus.subscribe("a").await.unwrap();
        bus.publish("a", message(2)).await.unwrap();
        assert_eq!(next(&mut subscriber).await, Event::Message(message(2)));
    }
}
