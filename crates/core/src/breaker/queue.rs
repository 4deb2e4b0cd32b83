//! The order in which queued requests get a place: first come first served, or the newest first while there is
//! no end to the waiting.

use std::collections::BTreeMap;
use std::time::Duration;

use evenkeel_config::QueueOrder;
use evenkeel_types::Time;

/// A queue that has not been empty for this long is overloaded: the request at its front has waited too long to be
/// worth serving, while the newest can still be answered in time (adaptive LIFO: Maurer, "Fail at Scale", ACM Queue
/// 13(8), 2015; the interval is CoDel's, RFC 8289, 4.2).
pub const OVERLOADED_AFTER: Duration = Duration::from_millis(100);

/// The queued requests, each under a ticket.
#[derive(Debug)]
pub struct Queue<T> {
    waiting: BTreeMap<u64, T>,
    tickets: u64,
    /// Since when it has not been empty.
    busy_since: Time,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), tickets: 0, busy_since: Time::ZERO }
    }
}

impl<T> Queue<T> {
    /// Joins the queue, if fewer than `max` wait.
    pub fn join(&mut self, who: T, max: usize, now: Time) -> Option<u64> {
        if self.waiting.len() >= max {
            return None;
        }
        if self.waiting.is_empty() {
            self.busy_since = now;
        }
        self.tickets += 1;
        self.waiting.insert(self.tickets, who);
        Some(self.tickets)
    }

    /// Leaves it without a place.
    pub fn leave(&mut self, ticket: u64) -> Option<T> {
        self.waiting.remove(&ticket)
    }

    /// Takes out the requests that should not wait any longer, in the order in which they came.
    pub fn dismiss(&mut self, mut is_done: impl FnMut(&mut T) -> bool) -> Vec<(u64, T)> {
        let done = self.waiting.iter_mut().filter_map(|(ticket, who)| is_done(who).then_some(*ticket));
        let done: Vec<u64> = done.collect();
        done.into_iter().filter_map(|ticket| Some((ticket, self.leave(ticket)?))).collect()
    }

    /// A queued request.
    pub fn get_mut(&mut self, ticket: u64) -> Option<&mut T> {
        self.waiting.get_mut(&ticket)
    }

    /// Takes out the next request of those that `want` the free place.
    pub fn next(&mut self, order: QueueOrder, now: Time, want: impl Fn(&T) -> bool) -> Option<(u64, T)> {
        let mut wanting = self.waiting.iter().filter(|(_, who)| want(who)).map(|(ticket, _)| *ticket);
        let ticket = if order == QueueOrder::NewestUnderOverload && self.is_overloaded(now) {
            wanting.next_back()
        } else {
            wanting.next()
        }?;
        drop(wanting);
        Some((ticket, self.waiting.remove(&ticket)?))
    }

    /// True if a queued request `wants` the free place.
    pub fn any(&self, wants: impl Fn(&T) -> bool) -> bool {
        self.waiting.values().any(wants)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// True if it is empty.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn is_overloaded(&self, now: Time) -> bool {
        now.since(self.busy_since) >= OVERLOADED_AFTER
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::QueueOrder::{First, NewestUnderOverload};
    use super::*;

    fn of(names: &[&'static str]) -> Queue<&'static str> {
        let mut queue = Queue::default();
        names.iter().for_each(|name| assert!(queue.join(*name, 100, Time::ZERO).is_some()));
        queue
    }

    fn served(mut queue: Queue<&'static str>, order: QueueOrder, now: Time) -> Vec<&'static str> {
        std::iter::from_fn(|| Some(queue.next(order, now, |_| true)?.1)).collect()
    }

    #[test]
    fn first_come_first_served() {
        assert_eq!(served(of(&["a", "b", "c"]), First, Time::from_millis(1000)), ["a", "b", "c"]);
    }

    #[test]
    fn the_newest_first_once_the_queue_has_been_busy_for_a_while() {
        let names = ["a", "b", "c"];
        assert_eq!(served(of(&names), NewestUnderOverload, Time::from_millis(99)), ["a", "b", "c"]);
        assert_eq!(served(of(&names), NewestUnderOverload, Time::from_millis(100)), ["c", "b", "a"]);
    }

    #[test]
    fn an_empty_queue_ends_an_overload() {
        let mut queue = of(&["a"]);
        queue.next(First, Time::ZERO, |_| true);
        queue.join("b", 100, Time::from_millis(950));
        queue.join("c", 100, Time::from_millis(951));
        assert_eq!(served(queue, NewestUnderOverload, Time::from_millis(1000)), ["b", "c"]);
    }

    #[test]
    fn a_request_that_refuses_a_permit_keeps_its_place_in_the_queue() {
        let mut queue = of(&["a", "b", "c"]);
        assert_eq!(queue.next(First, Time::ZERO, |name| *name != "a").map(|(_, name)| name), Some("b"));
        assert_eq!(queue.next(First, Time::ZERO, |name| *name == "x"), None);
        assert_eq!(served(queue, First, Time::ZERO), ["a", "c"]);
    }

    proptest! {
        #[test]
        fn everybody_who_joins_is_served_or_leaves_once(
            steps in prop::collection::vec((0_u8..3, any::<prop::sample::Index>(), any::<bool>()), 1..200)
        ) {
            let (mut queue, mut inside) = (Queue::default(), std::collections::BTreeSet::new());
            for (at, (what, which, newest)) in steps.into_iter().enumerate() {
                let now = Time::from_millis(at as u64 * 20);
                match what {
                    0 => match queue.join(at, 10, now) {
                        Some(ticket) => prop_assert!(inside.insert(ticket)),
                        None => prop_assert_eq!(inside.len(), 10),
                    },
                    1 if !inside.is_empty() => {
                        let ticket = *inside.iter().nth(which.index(inside.len())).expect("one of them");
                        prop_assert!(queue.leave(ticket).is_some() && queue.leave(ticket).is_none());
                        inside.remove(&ticket);
                    }
                    _ => {
                        let order = if newest { NewestUnderOverload } else { First };
                        match queue.next(order, now, |_| true) {
                            Some((ticket, _)) => prop_assert!(inside.remove(&ticket)),
                            None => prop_assert!(inside.is_empty()),
                        }
                    }
                }
                prop_assert_eq!(queue.len(), inside.len());
            }
        }
    }
}
