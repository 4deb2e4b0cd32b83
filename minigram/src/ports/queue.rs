//! Port: jobs for workers.
//!
//! Guarantees of every engine:
//! - At least once: a job that was accepted is handed out until a worker acknowledges it, or until it is a dead
//!   letter. No crash of a worker loses it. A worker must therefore expect a job a second time.
//! - While a worker has a job, no other gets it, for the time of [`Policy::visibility`], which the worker can extend.
//! - A job that failed [`Policy::attempts_max`] times becomes a dead letter, which stays until it is replayed or
//!   removed.
//! - Of jobs with the same topic and idempotency key one is accepted, as long as the engine remembers the key:
//!   while the job is there, and for [`Policy::remembered`] after its acknowledgement.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Retriable, Retry, Source};
use crate::clock::Time;

/// A job to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// Which workers do it.
    pub topic: String,
    /// The same for the same job, and for no other job of the topic.
    pub key: String,
    /// What the worker needs to know.
    pub payload: Bytes,
}

/// How an engine treats jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How long a worker has a job to itself.
    pub visibility: Duration,
    /// How often a job is tried before it becomes a dead letter. At least 1.
    pub attempts_max: u32,
    /// How long to wait after the first failure. Doubles with each further one.
    pub backoff_first: Duration,
    /// How long to wait at most.
    pub backoff_max: Duration,
    /// Jobs that wait or are being done, at most; dead letters are not counted.
    pub jobs_max: u64,
    /// How long the key of a job that is done is remembered.
    pub remembered: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            visibility: Duration::from_secs(30),
            attempts_max: 5,
            backoff_first: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
            jobs_max: 100_000,
            remembered: Duration::from_secs(600),
        }
    }
}

impl Policy {
    /// How long a job waits after it has failed `attempts` times.
    #[must_use]
    pub fn backoff(&self, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        self.backoff_first.saturating_mul(1 << doublings).min(self.backoff_max)
    }
}

/// What became of a job that was pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It was accepted.
    New,
    /// A job with its topic and key is known; it was not accepted again.
    Known,
}

/// Shows that a worker has a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Names the job within the engine.
    pub job: String,
    /// Which handing out of the job.
    pub delivery: u64,
}

/// A job in the hands of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// For [`Queue::ack`], [`Queue::fail`] and [`Queue::extend`].
    pub receipt: Receipt,
    /// What to do.
    pub job: NewJob,
    /// Which attempt this is, from 1.
    pub attempt: u32,
}

/// What becomes of a job that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is handed out again, not before this time has passed.
    Again(Duration),
    /// It is a dead letter.
    Dead,
}

/// A job that failed too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The job.
    pub job: NewJob,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub reason: String,
    /// When it was given up.
    pub died: Time,
}

/// How many jobs a topic has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Jobs that a worker would get now.
    pub ready: u64,
    /// Jobs that wait for their next attempt.
    pub delayed: u64,
    /// Jobs that workers have.
    pub taken: u64,
    /// Dead letters.
    pub dead: u64,
}

/// The queue.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Accepts a job. Once this returns, the job is kept.
    ///
    /// # Errors
    /// `Full`.
    async fn push(&self, job: &NewJob) -> QueueResult<Pushed>;

    /// Hands out a job of `topic`, the one that has been ready for longest first; waits for one for at most `wait`.
    async fn take(&self, topic: &str, wait: Duration) -> QueueResult<Option<Taken>>;

    /// Removes a job that is done.
    ///
    /// # Errors
    /// `Late`, if the visibility is over and the job has another fate by now. It may be done twice.
    async fn ack(&self, receipt: &Receipt) -> QueueResult<()>;

    /// Gives a job back that could not be done.
    ///
    /// # Errors
    /// `Late`.
    async fn fail(&self, receipt: &Receipt, reason: &str) -> QueueResult<Fate>;

    /// Makes a dead letter of a job that no further attempt can do.
    ///
    /// An engine that does not implement this treats the job as [`Queue::fail`] does, which ends in a dead letter as
    /// well, after attempts that are in vain.
    ///
    /// # Errors
    /// `Late`.
    async fn bury(&self, receipt: &Receipt, reason: &str) -> QueueResult<Fate> {
        self.fail(receipt, reason).await
    }

    /// Starts the visibility of a job anew.
    ///
    /// # Errors
    /// `Late`.
    async fn extend(&self, receipt: &Receipt) -> QueueResult<()>;

    /// Dead letters of `topic`, oldest first.
    async fn dead(&self, topic: &str, limit: u32) -> QueueResult<Vec<DeadLetter>>;

    /// Makes dead letters of `topic` ready again, with all their attempts: those with these keys. Returns how many
    /// there were.
    async fn replay(&self, topic: &str, keys: &[String]) -> QueueResult<u64>;

    /// How many jobs `topic` has.
    async fn depth(&self, topic: &str) -> QueueResult<Depth>;

    /// When the oldest job of `topic` was accepted that is neither done nor a dead letter. `None` if there is none, or
    /// if the engine does not keep it.
    async fn oldest(&self, _topic: &str) -> QueueResult<Option<Time>> {
        Ok(None)
    }
}

/// What calls return.
pub type QueueResult<T> = Result<T, QueueError>;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// There are as many jobs as the policy allows.
    #[error("the queue has {0} jobs, which is the limit")]
    Full(u64),
    /// The worker's time with the job is over.
    #[error("the job is no longer in the hands of this worker")]
    Late,
    /// The engine cannot be reached.
    #[error("the queue is unavailable: {0}")]
    Unavailable(#[source] Source),
}

impl Retriable for QueueError {
    fn retry(&self) -> Retry {
        match self {
            Self::Late => Retry::Never,
            Self::Full(_) | Self::Unavailable(_) => Retry::Soon,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backoff_doubles_up_to_its_maximum() {
        let policy = Policy::default();
        let seconds: Vec<u64> = (1..=8).map(|attempts| policy.backoff(attempts).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(policy.backoff(u32::MAX).as_secs(), 60);
    }
}
