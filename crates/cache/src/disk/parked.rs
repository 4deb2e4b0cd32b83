//! Work of the disk threads that waits for somebody else, without keeping a thread.

use std::task::{Wake, Waker};

use crate::store::Store;
use crate::sync::{Arc, Mutex, lock};

/// How a piece of work goes on.
pub type Run<M, T> = fn(Box<T>, &Arc<Store<M>>);

/// Where work waits until it is woken; a disk thread goes on with it then.
pub struct Parked<M, T> {
    store: Arc<Store<M>>,
    run: Run<M, T>,
    state: Mutex<State<T>>,
}

enum State<T> {
    /// It has not been put here yet.
    Running,
    /// It was woken before it was put here.
    Woken,
    Waiting(Box<T>),
}

impl<M: Clone + Send + Sync + 'static, T: Send + 'static> Parked<M, T> {
    /// A place for work, and what wakes it.
    pub fn new(store: &Arc<Store<M>>, run: Run<M, T>) -> (Arc<Self>, Waker) {
        let parked = Arc::new(Self { store: Arc::clone(store), run, state: Mutex::new(State::Running) });
        let waker = Waker::from(Arc::clone(&parked));
        (parked, waker)
    }

    /// Puts work here. Returns it if it was woken meanwhile.
    pub fn park(&self, work: Box<T>) -> Option<Box<T>> {
        let mut state = lock(&self.state);
        if matches!(*state, State::Running) {
            *state = State::Waiting(work);
            return None;
        }
        Some(work)
    }
}

impl<M: Clone + Send + Sync + 'static, T: Send + 'static> Wake for Parked<M, T> {
    fn wake(self: std::sync::Arc<Self>) {
        let before = std::mem::replace(&mut *lock(&self.state), State::Woken);
        if let (State::Waiting(work), Some(disk)) = (before, self.store.disk()) {
            let (store, run) = (Arc::clone(&self.store), self.run);
            disk.pool.resume(Box::new(move || run(work, &store)));
        }
    }
}
