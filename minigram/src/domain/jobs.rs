//! Jobs: what they say, how they get from the outbox into the queue, and how a worker does them.

use std::future::Future;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{PhotoId, UserId};
use crate::ports::queue::{Fate, NewJob, Queue, QueueError};
use crate::ports::store::{Outbox, StoreError};
use crate::ports::{Retriable, Retry};

/// How long a relay has what it took from the outbox to itself.
const RELAY_LEASE: Duration = Duration::from_secs(10);

/// Jobs that a relay takes at once.
const RELAY_JOBS: u32 = 50;

/// Puts a photo into the feeds of its author's followers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FanOut {
    /// Which photo.
    pub photo: PhotoId,
    /// Its author.
    pub author: UserId,
}

impl FanOut {
    /// The topic of these jobs.
    pub const TOPIC: &str = "fan-out";

    /// As a job: one for each photo.
    ///
    /// # Panics
    /// Never: two numbers can be written as JSON.
    #[must_use]
    pub fn job(self) -> NewJob {
        let payload = serde_json::to_vec(&self).expect("two numbers can be written as JSON");
        NewJob { topic: Self::TOPIC.to_owned(), key: self.photo.to_string(), payload: payload.into() }
    }

    /// From what [`FanOut::job`] made.
    ///
    /// # Errors
    /// The payload is another.
    pub fn read(job: &NewJob) -> serde_json::Result<Self> {
        serde_json::from_slice(&job.payload)
    }
}

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
    let answered = match work(taken.job).await {
        Ok(()) => queue.ack(&taken.receipt).await.map(|()| Worked::Done),
        Err(error) => queue.fail(&taken.receipt, &error.to_string()).await.map(Worked::Failed),
    };
    match answered {
        Err(QueueError::Late) => Ok(Worked::Late),
        answered => answered,
    }
}
