//! What goes to another process, which takes the place of this one: the disk cache, and what is purged from then on.

use std::io;
use std::time::Duration;

use evenkeel_core::cache::{Scope, Strength};
use rustix::fs::{FlockOperation, flock};

use super::area::Disk;
use super::record;
use crate::outbox::Outgoing;
use crate::store::Store;
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, lock};

/// The newest purge when the directory was given away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Released(u64);

impl<M: Clone + Send + Sync + 'static> Store<M> {
    /// The disk, unless another process has it.
    pub(crate) fn own_disk(&self) -> Option<&Disk<M>> {
        self.disk().filter(|disk| !disk.is_released.load(Ordering::Acquire))
    }

    /// Lets another process have the directory, after what is to be written there, which may take so long at most. From here on this
    /// store is in memory alone; bodies that come from the disk go on to do so. `None` without a disk.
    pub fn release_disk(&self, at_most: Duration) -> Option<Released> {
        let disk = self.own_disk()?;
        let log = lock(&disk.log);
        // What is purged from here on is not written down.
        let newest = self.purges.newest();
        disk.is_released.store(true, Ordering::Release);
        drop(log);
        disk.pool.settle(at_most);
        // A lock that cannot be given back keeps the other process out, which says so.
        let _ = flock(&disk.lock, FlockOperation::Unlock);
        Some(Released(newest))
    }

    /// Takes the directory back, which the other process does not use after all. What was purged meanwhile may still be there: then
    /// all of it is removed.
    ///
    /// # Errors
    /// Another process has it. This store stays in memory.
    pub fn reclaim_disk(&self, released: Released) -> io::Result<()> {
        let Some(disk) = self.disk() else { return Ok(()) };
        flock(&disk.lock, FlockOperation::NonBlockingLockExclusive)?;
        disk.is_released.store(false, Ordering::Release);
        if self.purges.newest() != released.0 {
            disk.close(&io::Error::other("another process had the directory"));
        }
        Ok(())
    }

    /// All purges from now on, for another process. To be called before that process may have the disk.
    pub fn hand_over_purges(&self) -> Outgoing {
        self.outbox.open()
    }

    /// No other process takes over after all: purges are for this store alone again.
    pub fn keep_purges(&self) {
        drop(self.outbox.close());
    }

    /// No more purges come: waits until all that came are sent, for so long at most.
    pub fn finish_purges(&self, at_most: Duration) {
        if let Some(gone) = self.outbox.close() {
            // Nothing is ever sent: it ends when the other end is dropped.
            let _ = gone.recv_timeout(at_most);
        }
    }

    /// Whether another process has taken over to which purges cannot be sent any more.
    pub fn is_cut_off(&self) -> bool {
        self.outbox.is_cut_off()
    }

    /// Purges what another process has purged. Everything, if that cannot be understood.
    pub fn take_purge(self: &Arc<Self>, purge: &[u8]) {
        let (_, scope, strength) = record::decode(purge).unwrap_or((0, Scope::All, Strength::Hard));
        self.purge(&scope, strength);
    }
}
