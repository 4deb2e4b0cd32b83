//! Calls that may wait for a disk, away from the worker's thread, and no more of them at once than are good for the process.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

/// Calls of one worker below one root that run at once. A disk that hangs holds so many threads, and no more; the files of
/// other roots have theirs.
const AT_ONCE: usize = 16;
/// Calls of one worker below one root that wait until they may run.
const WAITING_MAX: usize = 4_096;
/// How long a call may take, with the wait for its turn, before its request is given up.
pub const CALL_MAX: Duration = Duration::from_secs(10);

/// Why a call has no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoOutcome {
    /// Too many calls wait.
    Busy,
    /// It took too long.
    Slow,
}

/// The calls of one worker.
#[derive(Debug, Default)]
pub struct DiskPool {
    by_root: RefCell<HashMap<PathBuf, Rc<RootCalls>>>,
}

impl DiskPool {
    /// The calls below a root.
    pub fn below(&self, root: &Path) -> Rc<RootCalls> {
        let mut by_root = self.by_root.borrow_mut();
        if let Some(calls) = by_root.get(root) {
            return Rc::clone(calls);
        }
        // Roots that a reload took away. One whose calls still hang is kept, so that it has no other threads if it is back.
        by_root.retain(|_, calls| !calls.is_idle());
        let calls = Rc::<RootCalls>::default();
        by_root.insert(root.to_owned(), Rc::clone(&calls));
        calls
    }
}

/// The calls of one worker below one root.
#[derive(Debug)]
pub struct RootCalls {
    permits: Arc<Semaphore>,
    waiting: Cell<usize>,
}

impl Default for RootCalls {
    fn default() -> Self {
        Self { permits: Arc::new(Semaphore::new(AT_ONCE)), waiting: Cell::new(0) }
    }
}

impl RootCalls {
    fn is_idle(&self) -> bool {
        self.waiting.get() == 0 && self.permits.available_permits() == AT_ONCE
    }

    /// Runs `call` on another thread. If this is dropped, or the call takes too long, it goes on there, and its outcome is lost.
    ///
    /// # Errors
    /// It had no turn, or took too long.
    pub async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NoOutcome> {
        if self.waiting.get() >= WAITING_MAX {
            return Err(NoOutcome::Busy);
        }
        let _waiting = Waiting::new(&self.waiting);
        let running = async {
            let permit = Arc::clone(&self.permits).acquire_owned().await;
            tokio::task::spawn_blocking(move || {
                let outcome = call();
                drop(permit);
                outcome
            })
            .await
        };
        match tokio::time::timeout(CALL_MAX, running).await {
            Ok(Ok(outcome)) => Ok(outcome),
            // The thread has panicked, and has said so.
            Ok(Err(_)) => Err(NoOutcome::Busy),
            Err(_) => Err(NoOutcome::Slow),
        }
    }
}

struct Waiting<'p>(&'p Cell<usize>);

impl<'p> Waiting<'p> {
    fn new(count: &'p Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl fmt::Display for NoOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => {
                write!(f, "the disk has too much to do: {WAITING_MAX} calls wait for it")
            }
            Self::Slow => write!(f, "the disk did not answer within {} s", CALL_MAX.as_secs()),
        }
    }
}
