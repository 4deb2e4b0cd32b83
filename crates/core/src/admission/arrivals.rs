//! Requests that wait because no server of their pool may be used, and how they learn that one may be used again.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::sync::{Mutex, MutexGuard};

/// The requests of one pool that wait for a server, over all workers. It outlives the configuration.
#[derive(Debug, Default)]
pub struct Arrivals(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    /// Which state of the pool's servers is in force.
    edition: u64,
    /// True if one of them may be used.
    is_usable: bool,
    keys: u64,
    /// The requests that wait; each has a waker once it was polled.
    wakers: HashMap<u64, Option<Waker>>,
}

/// One request that waits. It leaves when this is dropped.
#[derive(Debug)]
pub(super) struct Arrival {
    of: Arc<Arrivals>,
    key: u64,
    /// The state of the servers that the request has seen.
    seen: u64,
}

impl Arrivals {
    /// A state of the pool's servers is in force: all requests that wait look again if a server may be used.
    pub fn publish(&self, edition: u64, is_usable: bool) {
        let mut waiting = self.lock();
        (waiting.edition, waiting.is_usable) = (edition, is_usable);
        if is_usable {
            let wakers: Vec<Waker> = waiting.wakers.values_mut().filter_map(Option::take).collect();
            drop(waiting);
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.lock().wakers.len()
    }

    /// One more request waits, which has seen the state `seen`; `None` if `max` wait already.
    pub(super) fn join(self: &Arc<Self>, seen: u64, max: usize) -> Option<Arrival> {
        let mut waiting = self.lock();
        if waiting.wakers.len() >= max {
            return None;
        }
        waiting.keys += 1;
        let key = waiting.keys;
        waiting.wakers.insert(key, None);
        Some(Arrival { of: Arc::clone(self), key, seen })
    }

    /// A panic elsewhere leaves the requests whole.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Arrival {
    /// Ready once a newer state is in force than the request has seen, with a server that may be used.
    pub fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut waiting = self.of.lock();
        if waiting.is_usable && waiting.edition > self.seen {
            return Poll::Ready(());
        }
        waiting.wakers.insert(self.key, Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.of.lock().wakers.remove(&self.key);
    }
}
