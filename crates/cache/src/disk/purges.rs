//! Purges of a store with a disk: written down before they take effect, and what happens when that fails.

use std::io;

use evenkeel_core::cache::{Scope, Strength};

use super::area::Disk;
use super::log::PurgeLog;
use super::open::{remove_objects, write_seed};
use super::record::Record;
use crate::store::Store;
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, lock};

impl<M: Clone + Send + Sync + 'static> Store<M> {
    /// Adds a purge and writes it down before it takes effect. One more than the log has room for purges everything.
    ///
    /// A purge of a URL of which nothing is on the disk is not written down: they are many, because each `POST` is one.
    pub(crate) fn log_purge(self: &Arc<Self>, scope: &Scope, strength: Strength) -> u64 {
        let Some(disk) = self.own_disk() else { return self.purges.add(scope, strength) };
        let mut log = lock(&disk.log);
        // It may have been released in the meantime.
        if disk.is_closed.load(Ordering::Acquire) || self.own_disk().is_none() {
            return self.purges.add(scope, strength);
        }
        // The rule is there before the disk is looked at: what comes to the disk later is held against it.
        if let Scope::Url { whole, bare } = scope {
            let urls = [self.url_hash(*whole), self.url_hash(*bare)];
            let is_hard = strength == Strength::Hard;
            let sequence = self.purges.add(scope, strength);
            let mut index = lock(&disk.index);
            if !urls.iter().any(|url| index.may_have_url(*url)) {
                return sequence;
            }
            if is_hard && !index.is_walking() && !log.is_full() {
                let entries: Vec<_> = urls.iter().flat_map(|url| index.remove_url(*url)).collect();
                drop(index);
                self.write_down(disk, &mut log, (sequence, scope.clone(), strength));
                disk.remove_files(entries);
                return sequence;
            }
        }
        let (scope, strength) = if log.is_full() { (&Scope::All, Strength::Hard) } else { (scope, strength) };
        let record: Record = (self.purges.newest() + 1, scope.clone(), strength);
        self.write_down(disk, &mut log, record);
        let sequence = self.purges.add_for(scope, strength, true);
        drop(log);
        if (scope, strength) == (&Scope::All, Strength::Hard) {
            let entries = lock(&disk.index).clear();
            disk.remove_files(entries);
        }
        sequence
    }

    fn write_down(self: &Arc<Self>, disk: &Disk<M>, log: &mut PurgeLog, record: Record) {
        let is_all = (&record.1, record.2) == (&Scope::All, Strength::Hard);
        let written = if is_all { log.restart(&record) } else { log.append(&record) };
        match written.and_then(|()| log.handle()) {
            Ok(handle) => {
                let store = Arc::clone(self);
                disk.pool.remove(Box::new(move || {
                    if let (Err(error), Some(disk)) = (handle.sync_data(), store.disk()) {
                        disk.failed("a purge", &error);
                    }
                }));
            }
            Err(error) => disk.close(&error),
        }
    }

    /// Whether the disk is empty and unused because a purge could not be written down.
    pub fn is_disk_closed(&self) -> bool {
        self.disk().is_some_and(|disk| disk.is_closed.load(Ordering::Acquire))
    }

    /// Uses the disk again, if it was closed and nothing is on it any more that a purge was about.
    pub fn reopen_disk(self: &Arc<Self>) {
        let Some(disk) = self.own_disk().filter(|_| self.is_disk_closed()) else { return };
        let store = Arc::clone(self);
        disk.pool.remove(Box::new(move || {
            // If it fails, the disk stays closed: the caller tries again.
            let _ = store.reopen();
        }));
    }

    fn reopen(&self) -> io::Result<()> {
        let Some(disk) = self.disk() else { return Ok(()) };
        let mut log = lock(&disk.log);
        // What another process has in the directory is not touched.
        if !disk.is_closed.load(Ordering::Acquire) || self.own_disk().is_none() {
            return Ok(());
        }
        remove_objects(&disk.root)?;
        // What is still being written comes from before this purge.
        log.restart(&(self.purges.newest(), Scope::All, Strength::Hard))?;
        write_seed(&disk.root, self.seed())?;
        disk.is_closed.store(false, Ordering::Release);
        Ok(())
    }
}

impl<M> Disk<M> {
    /// A purge could not be written down: nothing of the disk may be found after a restart.
    pub fn close(&self, why: &io::Error) {
        self.is_closed.store(true, Ordering::Release);
        self.failed("a purge", why);
        // Without its seed, files are not found any more.
        drop(std::fs::remove_file(Self::seed_path(&self.root)));
        let entries = lock(&self.index).clear();
        self.remove_files(entries);
    }
}
