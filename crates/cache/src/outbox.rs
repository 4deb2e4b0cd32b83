//! Purges on their way to the process that takes the place of this one: its store does not know them otherwise.

use std::sync::mpsc::{
    Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, TrySendError, channel, sync_channel,
};
use std::time::Duration;

use evenkeel_core::cache::{Scope, Strength};

use crate::disk::record;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Mutex, lock};

/// Purges that wait to be sent. One more purges everything.
const WAITING_MAX: usize = 4_096;
/// Purges that are sent together.
const BATCH_MAX: usize = 256;

type Purge = (Scope, Strength);

/// Where a store leaves its purges for another process. Closed, unless another process is about to take over or has.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    is_open: AtomicBool,
    sending: Mutex<Option<Sending>>,
}

#[derive(Debug)]
struct Sending {
    purges: SyncSender<Purge>,
    /// Set when more came than may wait.
    is_overfull: Arc<AtomicBool>,
    /// Closed when the other end is gone.
    gone: Receiver<()>,
}

/// The purges of a store from a moment on, to be sent to another process.
#[derive(Debug)]
pub struct Outgoing {
    purges: Receiver<Purge>,
    is_overfull: Arc<AtomicBool>,
    _gone: Sender<()>,
}

impl Outgoing {
    /// The next purges, each in the form that `take_purge` of a store reads; empty if none come within `wait`. `None` when no more come.
    pub fn next(&self, wait: Duration) -> Option<Vec<Vec<u8>>> {
        let first = self.purges.recv_timeout(wait);
        let is_over = first == Err(RecvTimeoutError::Disconnected);
        let more = self.purges.try_iter().take(BATCH_MAX - 1);
        let mut purges: Vec<Purge> = first.into_iter().chain(more).collect();
        if self.is_overfull.swap(false, Ordering::AcqRel) {
            purges = vec![(Scope::All, Strength::Hard)];
        }
        let encoded = |(scope, strength)| record::encode(&(0, scope, strength));
        (!is_over || !purges.is_empty()).then(|| purges.into_iter().map(encoded).collect())
    }
}

impl Outbox {
    /// Opens it.
    pub fn open(&self) -> Outgoing {
        let (purges, waiting) = sync_channel(WAITING_MAX);
        let (end, gone) = channel();
        let is_overfull = Arc::<AtomicBool>::default();
        *lock(&self.sending) = Some(Sending { purges, is_overfull: Arc::clone(&is_overfull), gone });
        self.is_open.store(true, Ordering::Release);
        Outgoing { purges: waiting, is_overfull, _gone: end }
    }

    /// Closes it. What is returned ends when the other end is gone, which may have purges to send yet.
    pub fn close(&self) -> Option<Receiver<()>> {
        self.is_open.store(false, Ordering::Release);
        lock(&self.sending).take().map(|sending| sending.gone)
    }

    /// Leaves a purge for the other process, if there is one.
    pub fn put(&self, scope: &Scope, strength: Strength) {
        if !self.is_open.load(Ordering::Acquire) {
            return;
        }
        let sending = lock(&self.sending);
        let Some(sending) = &*sending else { return };
        if let Err(TrySendError::Full(purge)) = sending.purges.try_send((scope.clone(), strength)) {
            sending.is_overfull.store(true, Ordering::Release);
            // The other end may have taken all of them by now, and would wait although it is to purge everything.
            let _ = sending.purges.try_send(purge);
        }
    }

    /// Whether it is open, and the other end is gone.
    pub fn is_cut_off(&self) -> bool {
        let is_gone = |sending: &Sending| matches!(sending.gone.try_recv(), Err(TryRecvError::Disconnected));
        self.is_open.load(Ordering::Acquire) && lock(&self.sending).as_ref().is_some_and(is_gone)
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn form(scope: Scope) -> Vec<u8> {
        record::encode(&(0, scope, Strength::Hard))
    }

    #[test]
    fn purges_are_for_another_process_while_one_takes_over() {
        let outbox = Outbox::default();
        let (a, b) = (Scope::tag("a"), Scope::url("test", "/", None));
        outbox.put(&Scope::tag("before"), Strength::Hard);
        let outgoing = outbox.open();
        outbox.put(&a, Strength::Hard);
        outbox.put(&b, Strength::Hard);
        assert_eq!(outgoing.next(Duration::ZERO), Some(vec![form(a), form(b)]));
        assert_eq!(outgoing.next(Duration::ZERO), Some(Vec::new()));
        assert!(!outbox.is_cut_off());
        drop(outbox.close());
        outbox.put(&Scope::tag("after"), Strength::Hard);
        assert_eq!(outgoing.next(Duration::ZERO), None);
    }

    #[test]
    fn one_purge_more_than_may_wait_purges_everything() {
        let outbox = Outbox::default();
        let outgoing = outbox.open();
        for _ in 0..=WAITING_MAX {
            outbox.put(&Scope::tag("a"), Strength::Hard);
        }
        assert_eq!(outgoing.next(Duration::ZERO), Some(vec![form(Scope::All)]));
    }

    #[test]
    fn it_is_known_when_no_other_process_takes_them_any_more() {
        let outbox = Outbox::default();
        drop(outbox.open());
        assert!(outbox.is_cut_off());
        outbox.put(&Scope::All, Strength::Hard);
        drop(outbox.close());
        assert!(!outbox.is_cut_off());
    }
}
