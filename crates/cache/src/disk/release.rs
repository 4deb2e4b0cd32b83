//! A disk cache on its way to another process, which takes the place of this one.

use std::io;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::area::Disk;
use crate::store::Store;
use crate::sync::atomic::Ordering;

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
        disk.is_released.store(true, Ordering::Release);
        disk.pool.settle(at_most);
        // A lock that cannot be given back keeps the other process out, which says so.
        let _ = flock(&disk.lock, FlockOperation::Unlock);
        Some(Released(self.purges.newest()))
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
}
