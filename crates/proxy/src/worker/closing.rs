//! How the tasks that accept on one address learn that it is closed.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};

/// Whether an address is closed, and the tasks that wait for that.
#[derive(Debug, Default)]
pub struct Closing {
    closed: Cell<bool>,
    /// Another process accepts what waits there.
    handed_over: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Closing {
    /// Closes it, and wakes the tasks.
    pub fn close(&self) {
        self.closed.set(true);
        self.waiting.take().into_iter().for_each(Waker::wake);
    }

    /// Closes it: another process has its sockets, and what waits there.
    pub fn hand_over(&self) {
        self.handed_over.set(true);
        self.close();
    }

    /// True once another process has its sockets.
    pub fn is_handed_over(&self) -> bool {
        self.handed_over.get()
    }

    /// Ready once it is closed.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.closed.get() {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }
}
