//! The streams of a connection as futures that its one task polls, each when something has woken it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Acquire, Ordering::Release};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::http2::Turn;

/// How many are polled at a time once the connection is over, before others have their turn.
const REST_POLLS: usize = 32;

/// What is polled.
type Stream = Pin<Box<dyn Future<Output = ()>>>;

/// Futures by their keys.
pub struct Futures {
    slots: Vec<Slot>,
    free: Vec<usize>,
    ready: Arc<Ready>,
    active: usize,
}

#[derive(Default)]
struct Slot {
    future: Option<Stream>,
    /// Made for the first stream in the slot.
    waker: Option<(Arc<SlotWaker>, Waker)>,
}

/// Slots whose futures were woken, and the task that polls them.
#[derive(Default)]
struct Ready {
    slots: Mutex<VecDeque<usize>>,
    task: Mutex<Option<Waker>>,
    /// While the task is polled it looks for what was woken by itself.
    is_polled: AtomicBool,
}

struct SlotWaker {
    slot: usize,
    is_listed: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_listed.swap(true, AcqRel) {
            lock(&self.ready.slots).push_back(self.slot);
            if !self.ready.is_polled.load(Acquire)
                && let Some(task) = lock(&self.ready.task).as_ref()
            {
                task.wake_by_ref();
            }
        }
    }
}

impl Futures {
    /// None yet.
    pub fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), ready: Arc::default(), active: 0 }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.active
    }

    /// The task begins to be polled: what is woken from here on is found by [`poll_ready`](Self::poll_ready).
    pub fn enter(&self) {
        self.ready.is_polled.store(true, Release);
    }

    /// The task has been polled with `cx`, and is woken from here on.
    pub fn leave(&self, cx: &mut Context<'_>) {
        let mut task = lock(&self.ready.task);
        if !task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            *task = Some(cx.waker().clone());
        }
        drop(task);
        self.ready.is_polled.store(false, Release);
        // In this order, so that none is missed that another thread wakes meanwhile.
        if !lock(&self.ready.slots).is_empty() {
            Turn::pass(cx);
        }
    }

    /// Adds a future, which is polled with the next [`poll_ready`](Self::poll_ready); yields its key, by which it can be
    /// polled until it has ended.
    pub fn insert(&mut self, future: Stream) -> usize {
        let key = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        let ready = &self.ready;
        let entry = &mut self.slots[key];
        let (waker, _) = entry.waker.get_or_insert_with(|| {
            let waker = Arc::new(SlotWaker {
                slot: key,
                is_listed: AtomicBool::new(false),
                ready: Arc::clone(ready),
            });
            let as_waker = Waker::from(Arc::clone(&waker));
            (waker, as_waker)
        });
        waker.wake_by_ref();
        entry.future = Some(future);
        self.active += 1;
        key
    }

    /// Polls the future in a slot, if there is one.
    pub fn poll(&mut self, slot: usize) {
        let Some(entry) = self.slots.get_mut(slot) else { return };
        let (Some(future), Some((_, waker))) = (&mut entry.future, &entry.waker) else { return };
        if future.as_mut().poll(&mut Context::from_waker(waker)).is_ready() {
            entry.future = None;
            self.active -= 1;
            self.free.push(slot);
        }
    }

    /// Polls those that were woken, at most `count` of them; tells how many were.
    pub fn poll_ready(&mut self, count: usize) -> usize {
        for at in 0..count {
            let Some(slot) = lock(&self.ready.slots).pop_front() else { return at };
            if let Some((waker, _)) = self.slots.get(slot).and_then(|entry| entry.waker.as_ref()) {
                waker.is_listed.store(false, Release);
            }
            self.poll(slot);
        }
        count
    }

    /// Lets go of memory that no future needs.
    pub fn shrink(&mut self) {
        if self.active == 0 {
            (self.slots, self.free) = (Vec::new(), Vec::new());
        }
    }

    /// Ready when none is left; polls some of those that were woken.
    pub fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.enter();
        self.poll_ready(REST_POLLS);
        self.leave(cx);
        if self.active == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::future::poll_fn;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn each_is_polled_when_it_is_woken_and_no_more_often() {
        let mut futures = Futures::new();
        let (polls, wakers) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(Vec::new())));
        for _ in 0..3 {
            let (polls, wakers) = (Rc::clone(&polls), Rc::clone(&wakers));
            let work = poll_fn(move |cx| {
                polls.update(|polls| polls + 1);
                wakers.borrow_mut().push(cx.waker().clone());
                if polls.get() > 3 { Poll::Ready(()) } else { Poll::Pending }
            });
            futures.insert(Box::pin(work));
        }
        let mut cx = Context::from_waker(Waker::noop());
        assert!(futures.poll_rest(&mut cx).is_pending());
        assert_eq!((polls.get(), futures.len()), (3, 3));
        assert_eq!(futures.poll_ready(10), 0);
        let waker: Waker = wakers.borrow()[1].clone();
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert_eq!(futures.poll_ready(10), 1);
        assert_eq!((polls.get(), futures.len()), (4, 2));
        (0..3).for_each(|key| futures.poll(key));
        assert!(futures.poll_rest(&mut cx).is_ready());
    }
}
