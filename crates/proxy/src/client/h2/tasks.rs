//! Tasks that serve one stream after another: to make a task costs about as much as to serve a small stream.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// The tasks of a connection that wait for work.
pub struct Tasks<T> {
    waiting: RefCell<Vec<Rc<Seat<T>>>>,
    is_over: Cell<bool>,
}

impl<T> Default for Tasks<T> {
    fn default() -> Self {
        Self { waiting: RefCell::default(), is_over: Cell::new(false) }
    }
}

impl<T> Tasks<T> {
    /// Gives work to a task that waits for it; gives it back if there is none.
    pub fn give(&self, work: T) -> Option<T> {
        let Some(seat) = self.waiting.borrow_mut().pop() else { return Some(work) };
        seat.change(State::Given(work));
        None
    }

    /// True if tasks wait.
    pub fn are_waiting(&self) -> bool {
        !self.waiting.borrow().is_empty()
    }

    /// Ends the tasks that wait.
    pub fn dismiss(&self) {
        for seat in self.waiting.take() {
            seat.change(State::Dismissed);
        }
    }

    /// Ends the tasks that wait, and those that are at work once they have done it.
    pub fn close(&self) {
        self.is_over.set(true);
        self.dismiss();
    }
}

/// Where one task waits.
pub struct Seat<T>(Cell<State<T>>);

#[derive(Default)]
enum State<T> {
    #[default]
    AtWork,
    Waiting(Waker),
    Given(T),
    Dismissed,
}

impl<T> Default for Seat<T> {
    fn default() -> Self {
        Self(Cell::default())
    }
}

impl<T> Seat<T> {
    /// Waits for work; `None` if there will be none.
    pub async fn next(self: &Rc<Self>, tasks: &Tasks<T>) -> Option<T> {
        poll_fn(|cx| match self.0.take() {
            State::Given(work) => Poll::Ready(Some(work)),
            State::Dismissed => Poll::Ready(None),
            State::AtWork if tasks.is_over.get() => Poll::Ready(None),
            State::AtWork => {
                self.0.set(State::Waiting(cx.waker().clone()));
                tasks.waiting.borrow_mut().push(Rc::clone(self));
                Poll::Pending
            }
            // Woken by what the last piece of work has left behind.
            waiting @ State::Waiting(_) => {
                self.0.set(waiting);
                Poll::Pending
            }
        })
        .await
    }

    fn change(&self, state: State<T>) {
        if let State::Waiting(waker) = self.0.replace(state) {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Context;

    use super::*;

    fn poll(work: std::pin::Pin<&mut impl Future<Output = Option<u8>>>) -> Poll<Option<u8>> {
        work.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn work_goes_to_an_idle_task() {
        let (tasks, seats) = (Tasks::default(), [(); 2].map(|()| Rc::new(Seat::default())));
        assert_eq!(tasks.give(1), Some(1), "no task waits");
        let (mut a, mut b) = (pin!(seats[0].next(&tasks)), pin!(seats[1].next(&tasks)));
        assert!(poll(a.as_mut()).is_pending() && poll(b.as_mut()).is_pending());
        assert!(poll(a.as_mut()).is_pending(), "woken for nothing");
        assert_eq!((tasks.give(1), tasks.give(2), tasks.give(3)), (None, None, Some(3)));
        assert_eq!((poll(a.as_mut()), poll(b.as_mut())), (Poll::Ready(Some(2)), Poll::Ready(Some(1))));
    }

    #[test]
    fn a_dismissed_task_ends_and_a_later_one_ends_only_after_the_close() {
        let (tasks, seats) = (Tasks::default(), [(); 2].map(|()| Rc::new(Seat::default())));
        let (mut a, mut b) = (pin!(seats[0].next(&tasks)), pin!(seats[1].next(&tasks)));
        assert!(poll(a.as_mut()).is_pending());
        tasks.dismiss();
        assert_eq!(poll(a.as_mut()), Poll::Ready(None));
        assert!(!tasks.are_waiting() && poll(b.as_mut()).is_pending() && tasks.are_waiting());
        tasks.close();
        assert_eq!(poll(b.as_mut()), Poll::Ready(None));
        assert_eq!(poll(pin!(seats[0].next(&tasks))), Poll::Ready(None));
    }
}
