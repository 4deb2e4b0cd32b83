//! How connections learn at once that their server has lost its role: each server counts the terms that have ended.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use slab::Slab;

/// The terms of one server, shared by all workers. A term ends when the server loses its role; a connection belongs to the
/// term that the state named by which its server was chosen ([`ServerState::term`](crate::snapshot::ServerState::term)).
#[derive(Debug, Default)]
pub struct Terms {
    /// Written while the wakers are locked.
    ended: AtomicU64,
    /// Of connections of the present term alone.
    wakers: Mutex<Slab<Waker>>,
}

impl Terms {
    /// The number of the present term.
    pub fn present(&self) -> u64 {
        self.ended.load(Acquire)
    }

    /// Ends all terms before this one, and wakes those that watch them.
    pub fn begin(&self, term: u64) {
        let mut wakers = self.lock();
        if self.ended.swap(term, Release) == term {
            return;
        }
        let ended = std::mem::take(&mut *wakers);
        drop(wakers);
        ended.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// Watches a term.
    pub fn watch(self: &Arc<Self>, term: u64) -> TermWatch {
        TermWatch { terms: Arc::clone(self), term, key: None, waker: None }
    }

    /// A panic elsewhere leaves the wakers whole.
    fn lock(&self) -> std::sync::MutexGuard<'_, Slab<Waker>> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells one connection when the term that it belongs to has ended.
#[derive(Debug)]
pub struct TermWatch {
    terms: Arc<Terms>,
    term: u64,
    /// Under which the waker is kept.
    key: Option<usize>,
    /// The waker that is kept.
    waker: Option<Waker>,
}

impl TermWatch {
    /// True once the term has ended.
    pub fn has_ended(&self) -> bool {
        self.terms.present() != self.term
    }

    /// Ready once the term has ended.
    pub fn poll_ended(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.has_ended() {
            return Poll::Ready(());
        }
        // What is polled for each message takes no lock.
        if self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        let mut wakers = self.terms.lock();
        // It may have ended in the meantime.
        if self.has_ended() {
            return Poll::Ready(());
        }
        match self.key.and_then(|key| wakers.get_mut(key)) {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.key = Some(wakers.insert(cx.waker().clone())),
        }
        drop(wakers);
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for TermWatch {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let mut wakers = self.terms.lock();
        // The end of the term has taken its wakers away: the key may be that of another watch by now.
        if !self.has_ended() {
            wakers.try_remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_watch_is_woken_once_when_its_term_ends_and_not_by_a_later_one() {
        let (terms, count) = (Arc::new(Terms::default()), Arc::new(Count::default()));
        let waker = Waker::from(Arc::clone(&count));
        let cx = Context::from_waker(&waker);
        let mut watch = terms.watch(terms.present());
        assert!(watch.poll_ended(&cx).is_pending());
        terms.begin(0);
        assert!(watch.poll_ended(&cx).is_pending(), "the same term goes on");
        terms.begin(1);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(watch.poll_ended(&cx).is_ready());
        assert!(terms.watch(terms.present()).poll_ended(&cx).is_pending());
    }

    #[test]
    fn a_connection_whose_term_ended_while_it_was_made_is_notified_at_once() {
        let terms = Arc::new(Terms::default());
        let chosen_in = terms.present();
        terms.begin(1);
        let mut watch = terms.watch(chosen_in);
        assert!(watch.poll_ended(&Context::from_waker(Waker::noop())).is_ready());
    }

    #[test]
    fn a_watch_whose_term_has_ended_leaves_those_of_the_next_term_alone() {
        let (terms, count) = (Arc::new(Terms::default()), Arc::new(Count::default()));
        let waker = Waker::from(Arc::clone(&count));
        let mut first = terms.watch(0);
        assert!(first.poll_ended(&Context::from_waker(Waker::noop())).is_pending());
        terms.begin(1);
        let mut second = terms.watch(1);
        assert!(second.poll_ended(&Context::from_waker(&waker)).is_pending());
        drop(first);
        terms.begin(2);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(second.poll_ended(&Context::from_waker(&waker)).is_ready());
    }

    #[test]
    fn a_watch_that_is_dropped_leaves_nothing() {
        let terms = Arc::new(Terms::default());
        let mut watch = terms.watch(0);
        assert!(watch.poll_ended(&Context::from_waker(Waker::noop())).is_pending());
        drop(watch);
        assert!(terms.lock().is_empty());
    }
}
