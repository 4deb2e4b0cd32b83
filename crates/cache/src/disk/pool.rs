//! The threads that read and write files, so that no worker waits for a disk.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::sync::Arc;

/// What a disk thread does. It knows the store, which knows the pool: that is why it is of no closed type.
pub type Job = Box<dyn FnOnce() + Send>;

/// Threads and what they are to do. They end when the pool is dropped, after what they are at.
pub struct Pool(Arc<Shared>);

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pool")
    }
}

struct Shared {
    queues: Mutex<Queues>,
    more: Condvar,
    /// All that was to be written is written.
    settled: Condvar,
}

struct Queues {
    /// Requests wait for these.
    reads: VecDeque<Job>,
    /// Objects to be written, each with its size.
    writes: VecDeque<(u64, Job)>,
    writes_bytes: u64,
    /// Files to be removed. As many as there are files at most.
    removals: VecDeque<Job>,
    /// Threads that write or remove.
    changing: usize,
    is_closed: bool,
}

impl Queues {
    fn is_settled(&self) -> bool {
        self.writes.is_empty() && self.removals.is_empty() && self.changing == 0
    }
}

impl Pool {
    /// Reads that may wait. One more finds nothing on the disk.
    const READS_MAX: usize = 1_024;
    /// Bytes that may wait to be written. Another object is not stored on the disk.
    const WRITES_BYTES_MAX: u64 = 64 << 20;
    /// Disks do a few things at once, and the page cache needs no more.
    const THREADS: usize = 4;

    /// Starts the threads.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start() -> std::io::Result<Self> {
        let queues = Queues {
            reads: VecDeque::new(),
            writes: VecDeque::new(),
            writes_bytes: 0,
            removals: VecDeque::new(),
            changing: 0,
            is_closed: false,
        };
        let shared =
            Arc::new(Shared { queues: Mutex::new(queues), more: Condvar::new(), settled: Condvar::new() });
        for n in 0..Self::THREADS {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name(format!("cache-disk-{n}")).spawn(move || shared.work())?;
        }
        Ok(Self(shared))
    }

    /// Gives out a read; false if too many wait.
    pub fn read(&self, job: Job) -> bool {
        self.add(|queues| {
            let room = queues.reads.len() < Self::READS_MAX;
            if room {
                queues.reads.push_back(job);
            }
            room
        })
    }

    /// Gives out a read that goes on with what was begun.
    pub fn resume(&self, job: Job) {
        self.add(|queues| {
            queues.reads.push_back(job);
            true
        });
    }

    /// Gives out a write of so many bytes; false if too many wait.
    pub fn write(&self, bytes: u64, job: Job) -> bool {
        self.add(|queues| {
            let room = queues.writes_bytes + bytes <= Self::WRITES_BYTES_MAX;
            if room {
                queues.writes_bytes += bytes;
                queues.writes.push_back((bytes, job));
            }
            room
        })
    }

    /// Gives out the removal of files.
    pub fn remove(&self, job: Job) {
        self.add(|queues| {
            queues.removals.push_back(job);
            true
        });
    }

    /// Waits until nothing is to be written or removed, for so long at most.
    pub fn settle(&self, at_most: Duration) {
        let queues = self.0.queues.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.0.settled.wait_timeout_while(queues, at_most, |queues| !queues.is_settled()));
    }

    fn add(&self, to: impl FnOnce(&mut Queues) -> bool) -> bool {
        let added = to(&mut self.0.queues.lock().unwrap_or_else(PoisonError::into_inner));
        if added {
            self.0.more.notify_one();
        }
        added
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.0.queues.lock().unwrap_or_else(PoisonError::into_inner).is_closed = true;
        self.0.more.notify_all();
    }
}

impl Shared {
    fn work(&self) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let (changes, bytes, job) = if let Some(job) = queues.reads.pop_front() {
                (0, 0, job)
            } else if let Some(job) = queues.removals.pop_front() {
                (1, 0, job)
            } else if let Some((bytes, job)) = queues.writes.pop_front() {
                (1, bytes, job)
            } else if queues.is_closed {
                return;
            } else {
                queues = self.more.wait(queues).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            queues.changing += changes;
            drop(queues);
            job();
            queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
            queues.changing -= changes;
            queues.writes_bytes -= bytes;
            if queues.is_settled() {
                self.settled.notify_all();
            }
        }
    }
}
