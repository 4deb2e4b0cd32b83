//! What serves the streams of a connection: lanes, each of which serves one stream after the other. The connection's one task
//! polls a lane when something has woken it.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Release};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::http2::Turn;

/// How many are polled at a time once the connection is over, before others have their turn.
const REST_POLLS: usize = 8;

/// Serves what comes by its inlet, for as long as something comes.
type Serving = Pin<Box<dyn Future<Output = ()>>>;

/// The lanes of a connection, by their keys. What they serve is a `J`.
pub struct Lanes<J> {
    lanes: Vec<Lane<J>>,
    free: Vec<usize>,
    /// Those that were woken and have not been polled since.
    woken: VecDeque<usize>,
    ready: Arc<Ready>,
    /// The waker that `ready` has.
    task: Option<Waker>,
    active: usize,
}

struct Lane<J> {
    serving: Serving,
    inlet: Rc<Inlet<J>>,
    waker: (Arc<LaneWaker>, Waker),
}

/// Where a lane gets what it is to serve next.
pub struct Inlet<J> {
    next: Cell<Option<J>>,
    /// True while it serves nothing.
    is_idle: Cell<bool>,
}

/// Lanes that were woken, and the task that polls them.
#[derive(Default)]
struct Ready {
    lanes: Mutex<VecDeque<usize>>,
    task: Mutex<Option<Waker>>,
    /// The task is polled, or is going to be, and then looks for what was woken by itself.
    is_awake: AtomicBool,
}

struct LaneWaker {
    key: usize,
    is_listed: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for LaneWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_listed.swap(true, AcqRel) {
            return;
        }
        lock(&self.ready.lanes).push_back(self.key);
        if !self.ready.is_awake.swap(true, AcqRel)
            && let Some(task) = lock(&self.ready.task).as_ref()
        {
            task.wake_by_ref();
        }
    }
}

impl<J> Inlet<J> {
    /// Waits for what is to be served next.
    pub async fn next(&self) -> J {
        poll_fn(|_| match self.next.take() {
            Some(job) => Poll::Ready(job),
            None => {
                self.is_idle.set(true);
                Poll::Pending
            }
        })
        .await
    }
}

impl<J> Lanes<J> {
    /// None yet.
    pub fn new() -> Self {
        Self {
            lanes: Vec::new(),
            free: Vec::new(),
            woken: VecDeque::new(),
            ready: Arc::default(),
            task: None,
            active: 0,
        }
    }

    /// How many serve something.
    pub fn len(&self) -> usize {
        self.active
    }

    /// The task begins to be polled: what is woken from here on is found by [`poll_ready`](Self::poll_ready).
    pub fn enter(&self) {
        self.ready.is_awake.store(true, Release);
    }

    /// The task has been polled with `cx`, and is woken from here on. False if something was woken meanwhile: then it must be polled
    /// again, and need not be woken before.
    #[must_use]
    pub fn leave(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            self.task = Some(cx.waker().clone());
            *lock(&self.ready.task) = Some(cx.waker().clone());
        }
        self.ready.is_awake.store(false, Release);
        // In this order, so that none is missed that another thread wakes meanwhile.
        let is_done = self.woken.is_empty() && lock(&self.ready.lanes).is_empty();
        if !is_done {
            self.enter();
        }
        is_done
    }

    /// Has a lane serve `job` from the next [`poll_ready`](Self::poll_ready) on; yields the lane's key, by which it can be
    /// polled. If none is free, `open` makes what serves another one.
    pub fn serve(&mut self, job: J, open: impl FnOnce(Rc<Inlet<J>>) -> Serving) -> usize {
        let key = self.free.pop().unwrap_or_else(|| self.open_lane(open));
        let lane = &self.lanes[key];
        lane.inlet.next.set(Some(job));
        lane.inlet.is_idle.set(false);
        if !lane.waker.0.is_listed.swap(true, AcqRel) {
            self.woken.push_back(key);
        }
        self.active += 1;
        key
    }

    fn open_lane(&mut self, open: impl FnOnce(Rc<Inlet<J>>) -> Serving) -> usize {
        let key = self.lanes.len();
        let inlet = Rc::new(Inlet { next: Cell::new(None), is_idle: Cell::new(true) });
        let ready = Arc::clone(&self.ready);
        let waker = Arc::new(LaneWaker { key, is_listed: AtomicBool::new(false), ready });
        let as_waker = Waker::from(Arc::clone(&waker));
        let serving = open(Rc::clone(&inlet));
        self.lanes.push(Lane { serving, inlet, waker: (waker, as_waker) });
        key
    }

    /// Polls a lane, if it serves something.
    pub fn poll(&mut self, key: usize) {
        let Some(lane) = self.lanes.get_mut(key).filter(|lane| !lane.inlet.is_idle.get()) else { return };
        let polled = lane.serving.as_mut().poll(&mut Context::from_waker(&lane.waker.1));
        debug_assert!(polled.is_pending(), "a lane ends with its connection");
        if lane.inlet.is_idle.get() {
            self.active -= 1;
            self.free.push(key);
        }
    }

    /// Polls those that were woken, at most `count` of them; tells how many were.
    pub fn poll_ready(&mut self, count: usize) -> usize {
        for at in 0..count {
            if self.woken.is_empty() {
                std::mem::swap(&mut self.woken, &mut lock(&self.ready.lanes));
            }
            let Some(key) = self.woken.pop_front() else { return at };
            if let Some(lane) = self.lanes.get(key) {
                lane.waker.0.is_listed.store(false, Release);
            }
            self.poll(key);
        }
        count
    }

    /// Lets go of the lanes if none serves anything.
    pub fn shrink(&mut self) {
        if self.active == 0 {
            (self.lanes, self.free) = (Vec::new(), Vec::new());
        }
    }

    /// Ready when none serves anything; polls some of those that were woken.
    pub fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.enter();
        self.poll_ready(REST_POLLS);
        if !self.leave(cx) {
            Turn::pass(cx);
        }
        if self.active == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// What the lanes of a test have seen: how often they were polled, and by whom they can be woken.
    #[derive(Default)]
    struct Seen {
        polls: Cell<usize>,
        wakers: RefCell<Vec<Waker>>,
    }

    /// Has a lane serve a number: it is polled as often.
    fn serve(lanes: &mut Lanes<usize>, seen: &Rc<Seen>, polls: usize) -> usize {
        let seen = Rc::clone(seen);
        lanes.serve(polls, |inlet| {
            Box::pin(async move {
                loop {
                    let mut left = inlet.next().await;
                    poll_fn(|cx| {
                        seen.polls.update(|polls| polls + 1);
                        seen.wakers.borrow_mut().push(cx.waker().clone());
                        left -= 1;
                        if left == 0 { Poll::Ready(()) } else { Poll::Pending }
                    })
                    .await;
                }
            })
        })
    }

    #[test]
    fn each_is_polled_when_it_is_woken_and_no_more_often() {
        let seen = Rc::<Seen>::default();
        let mut lanes = Lanes::new();
        for _ in 0..3 {
            serve(&mut lanes, &seen, 2);
        }
        let mut cx = Context::from_waker(Waker::noop());
        assert!(lanes.poll_rest(&mut cx).is_pending());
        assert_eq!((seen.polls.get(), lanes.len()), (3, 3));
        assert_eq!(lanes.poll_ready(10), 0);
        let waker: Waker = seen.wakers.borrow()[1].clone();
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert_eq!(lanes.poll_ready(10), 1);
        assert_eq!((seen.polls.get(), lanes.len()), (4, 2));
        (0..3).for_each(|key| lanes.poll(key));
        assert_eq!(seen.polls.get(), 6);
        assert!(lanes.poll_rest(&mut cx).is_ready());
    }

    #[test]
    fn a_lane_serves_one_after_the_other_and_none_is_opened_in_vain() {
        let seen = Rc::<Seen>::default();
        let mut lanes = Lanes::new();
        for _ in 0..5 {
            let keys = [serve(&mut lanes, &seen, 1), serve(&mut lanes, &seen, 1)];
            assert!(keys.iter().all(|key| *key < 2), "{keys:?}");
            assert_eq!(lanes.poll_ready(10), 2);
            assert_eq!(lanes.len(), 0);
        }
        assert_eq!(seen.polls.get(), 10);
        let late: Waker = seen.wakers.borrow()[0].clone();
        lanes.shrink();
        late.wake();
        assert_eq!((lanes.poll_ready(10), lanes.poll_ready(10)), (1, 0));
        assert_eq!(serve(&mut lanes, &seen, 1), 0);
    }
}
