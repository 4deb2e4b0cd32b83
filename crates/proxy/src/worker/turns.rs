//! Which connections are at work next, where several have more to do than one turn allows: a few of them between two looks at what
//! has come for others.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Connections that have another turn before the worker looks again for what has come.
const AT_ONCE: usize = 4;

/// The connections of a worker that have used up a turn, in the order in which they get the next one.
///
/// The runtime polls what is ready in the order in which it became so. With hundreds of busy connections, what has come for an
/// idle one would wait for a turn of each of them.
#[derive(Debug, Default)]
pub struct Turns {
    waiting: RefCell<VecDeque<(Waker, Rc<Cell<bool>>)>>,
    giver: RefCell<Option<Waker>>,
}

/// Whether a connection waits for its next turn. Until then it does nothing, whatever wakes its task.
#[derive(Debug, Default)]
pub struct Ticket(Rc<Cell<bool>>);

impl Ticket {
    /// True if it waits.
    pub fn waits(&self) -> bool {
        self.0.get()
    }
}

impl Turns {
    /// The connection waits for its next turn; its task, which is polled with `cx`, is woken then.
    pub fn wait(&self, ticket: &Ticket, cx: &Context<'_>) {
        ticket.0.set(true);
        self.waiting.borrow_mut().push_back((cx.waker().clone(), Rc::clone(&ticket.0)));
        if let Some(giver) = self.giver.take() {
            giver.wake();
        }
    }

    /// Gives turns for as long as the worker runs.
    pub async fn give(&self) {
        loop {
            self.is_wanted().await;
            // Only now does the runtime look for what has come, and queue up what that wakes before this task.
            tokio::task::yield_now().await;
            for _ in 0..AT_ONCE {
                let Some((waker, waits)) = self.waiting.borrow_mut().pop_front() else { break };
                waits.set(false);
                waker.wake();
            }
        }
    }

    /// Waits until some connection waits.
    async fn is_wanted(&self) {
        poll_fn(|cx| {
            if !self.waiting.borrow().is_empty() {
                return Poll::Ready(());
            }
            *self.giver.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a test beside what gives turns.
    fn run(test: impl AsyncFnOnce(&Rc<Turns>)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(<_>::default());
        runtime.expect("a runtime").block_on(async {
            let turns = Rc::<Turns>::default();
            let giver = Rc::clone(&turns);
            tokio::task::spawn_local(async move { giver.give().await });
            test(&turns).await;
        });
    }

    /// A task that uses up `turns_left` turns, and says when it has had one.
    fn busy(turns: &Rc<Turns>, name: usize, had: &Rc<RefCell<Vec<usize>>>, mut turns_left: usize) {
        let (turns, had, ticket) = (Rc::clone(turns), Rc::clone(had), Ticket::default());
        tokio::task::spawn_local(poll_fn(move |cx| {
            if ticket.waits() {
                return Poll::Pending;
            }
            had.borrow_mut().push(name);
            turns_left -= 1;
            if turns_left == 0 {
                return Poll::Ready(());
            }
            turns.wait(&ticket, cx);
            // Whatever else wakes it gives it no turn.
            cx.waker().wake_by_ref();
            Poll::Pending
        }));
    }

    #[test]
    fn turns_go_round() {
        run(async |turns| {
            let had = Rc::default();
            (0..10).for_each(|name| busy(turns, name, &had, 3));
            while had.borrow().len() < 30 {
                tokio::task::yield_now().await;
            }
            let expected: Vec<usize> = (0..3).flat_map(|_| 0..10).collect();
            assert_eq!(*had.borrow(), expected);
        });
    }

    #[test]
    fn what_comes_for_another_task_waits_for_few_turns() {
        run(async |turns| {
            let had = Rc::<RefCell<Vec<usize>>>::default();
            (0..200).for_each(|name| busy(turns, name, &had, 1_000));
            // All have had their first turn, which they need not wait for.
            while had.borrow().len() < 200 {
                tokio::task::yield_now().await;
            }
            // Each look at what has come lets a few of them be at work, and not all 200.
            for _ in 0..20 {
                let before = had.borrow().len();
                tokio::task::yield_now().await;
                assert!(had.borrow().len() - before <= 2 * AT_ONCE);
            }
        });
    }
}
