//! Jobs: what they say, how they get from the outbox into the queue, and how a worker does them.

use std::future::Future;
use std::time::Duration;

use crate::ports::queue::{Fate, NewJob, Queue, QueueError, Receipt};
use crate::ports::store::{Outbox, StoreError};
use crate::ports::{Retriable, Retry};

mod kinds;
mod stuck;

pub use kinds::{FanOut, Notify, RemoveFiles, TOPICS, Thumbnails, traceparent};
pub use stuck::{Requeued, requeue, stuck};

/// How long a relay has what it took from the outbox to itself.
const RELAY_LEASE: Duration = Duration::from_secs(10);

/// Jobs that a relay takes at once.
const RELAY_JOBS: u32 = 50;

/// Why jobs did not get from the outbox into the queue. They stay in the outbox.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The outbox failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue failed, or is full.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl Retriable for RelayError {
    fn retry(&self) -> Retry {
        match self {
            Self::Store(error) => error.retry(),
            Self::Queue(error) => error.retry(),
        }
    }
}

/// Puts waiting jobs of the outbox into the queue, and says how many. Any number of relays may run.
///
/// # Errors
/// What outbox and queue fail with; jobs before the one that failed are in the queue.
pub async fn relay(outbox: &(impl Outbox + ?Sized), queue: &dyn Queue) -> Result<usize, RelayError> {
    let taken = outbox.take_outbox(RELAY_JOBS, RELAY_LEASE).await?;
    let mut sent = Vec::new();
    let mut failed = None;
    for entry in &taken {
        // One that was sent before is known to the queue, which is as good.
        if let Err(error) = queue.push(&entry.job).await {
            failed = Some(error);
            break;
        }
        sent.push(entry.id);
    }
    outbox.mark_sent(&sent).await?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(sent.len()),
    }
}

/// What became of one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worked {
    /// There was none.
    Nothing,
    /// It is done.
    Done,
    /// It was done too late: another worker has it as well.
    Late,
    /// It failed.
    Failed(Fate),
}

/// Takes one job of `topic`, for which it waits for at most `wait`, and does it by `work`.
///
/// # Errors
/// What the queue fails with. The job comes back after its visibility.
pub async fn work<F, W, E>(
    queue: &dyn Queue,
    topic: &str,
    wait: Duration,
    work: F,
) -> Result<Worked, QueueError>
where
    F: FnOnce(NewJob) -> W,
    W: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let Some(taken) = queue.take(topic, wait).await? else { return Ok(Worked::Nothing) };
    let done = work(taken.job).await.map_err(|error| Failure::again(error));
    settle(queue, &taken.receipt, &done).await
}

/// Why a job was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Failure {
    reason: String,
    can_be_done: bool,
}

impl Failure {
    /// A failure that may pass: the job is tried again, as often as the queue's policy says.
    pub fn again(reason: impl ToString) -> Self {
        Self { reason: reason.to_string(), can_be_done: true }
    }

    /// A failure that no further attempt mends: the job becomes a dead letter at once.
    pub fn for_good(reason: impl ToString) -> Self {
        Self { reason: reason.to_string(), can_be_done: false }
    }
}

/// Tells the queue what became of a job.
///
/// # Errors
/// What the queue fails with. The job comes back after its visibility.
pub async fn settle(
    queue: &dyn Queue,
    receipt: &Receipt,
    done: &Result<(), Failure>,
) -> Result<Worked, QueueError> {
    let answered = match done {
        Ok(()) => queue.ack(receipt).await.map(|()| Worked::Done),
        Err(Failure { reason, can_be_done: true }) => queue.fail(receipt, reason).await.map(Worked::Failed),
        Err(Failure { reason, can_be_done: false }) => queue.bury(receipt, reason).await.map(Worked::Failed),
    };
    match answered {
        Err(QueueError::Late) => Ok(Worked::Late),
        answered => answered,
    }
}
