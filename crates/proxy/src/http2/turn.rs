//! How long the task of a connection is at work before others have their turn: one that has thousands of streams must not hold up
//! one that has a single one.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::task::Context;
use std::time::Duration;

use evenkeel_types::{Clock, Time};

/// How long a connection that has little to do waits for those that have much, at most, but for what is begun by then: for so long,
/// all of these are at work together.
const ROUND: Duration = Duration::from_millis(2);
/// How long one of them is at work, at most and at least.
const LENGTH_MAX: Duration = Duration::from_micros(200);
const LENGTH_MIN: Duration = Duration::from_micros(25);
/// What is done between two looks at the clock, and from how many connections on it is looked at each time.
const BATCH: usize = 4;
const CROWD: u32 = 8;

/// The connections of a worker that wait for their next turn.
#[derive(Debug, Default)]
pub struct Turns(Rc<Cell<u32>>);

/// A connection among them, until it is dropped.
#[derive(Debug)]
pub struct Waiting(Rc<Cell<u32>>);

/// One turn of a task.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    clock: Clock,
    until: Time,
    batch: usize,
}

impl Turns {
    /// Ends the turn of a task, which is polled again as [`Turn::pass`] says.
    pub fn pass(&self, cx: &mut Context<'_>) -> Waiting {
        Turn::pass(cx);
        self.0.update(|count| count + 1);
        Waiting(Rc::clone(&self.0))
    }

    /// A turn that begins now. The task may be one of those that wait.
    pub fn begin(&self, clock: Clock) -> Turn {
        let others = self.0.get();
        let batch = if others > CROWD { 1 } else { BATCH };
        Turn { clock, until: clock.now() + length(others), batch }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.update(|count| count.saturating_sub(1));
    }
}

impl Turn {
    /// How many things are to be done before it is asked whether the turn [is over](Self::is_over).
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// True if others are to have their turn. Reads the clock.
    pub fn is_over(&self) -> bool {
        self.clock.now() >= self.until
    }

    /// Has the task be polled again after all others that wait, and after those for which something has come meanwhile.
    pub fn pass(cx: &mut Context<'_>) {
        // A task that wakes itself would be polled again before the runtime looks for what has come, for some 60 polls.
        let passing = pin!(tokio::task::yield_now());
        let _ = passing.poll(cx);
    }
}

/// How long a turn is while so many others wait for theirs.
fn length(others: u32) -> Duration {
    (ROUND / others.max(1)).clamp(LENGTH_MIN, LENGTH_MAX)
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn the_more_wait_the_shorter_is_a_turn() {
        assert_eq!(
            [0, 1, 10, 20, 80, 10_000].map(|others| length(others).as_micros()),
            [200, 200, 200, 100, 25, 25]
        );
        let (turns, clock, mut cx) = (Turns::default(), Clock::start(), Context::from_waker(Waker::noop()));
        let waiting: Vec<Waiting> = (0..=CROWD).map(|_| turns.pass(&mut cx)).collect();
        assert_eq!(turns.begin(clock).batch(), 1);
        drop(waiting);
        assert_eq!((turns.begin(clock).batch(), turns.0.get()), (BATCH, 0));
    }
}
