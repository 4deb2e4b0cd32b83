//! Likes in batches: those that arrive within a few milliseconds are committed together, because each commit costs a
//! write to disk. A like is acknowledged when it is committed, and not before.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::ports::store::{Liked, NewLike, PAGE_MAX, Store, StoreError, StoreResult};

/// How batches are made.
#[derive(Debug, Clone, Copy)]
pub struct BatchSettings {
    /// How long a batch gathers likes after its first one.
    pub gather: Duration,
    /// Likes of one batch, at most [`PAGE_MAX`].
    pub batch_max: usize,
    /// Batches that are committed at the same time. More than one, so that a slow database does not delay the likes
    /// of the others.
    pub commits_max: usize,
    /// Likes that wait for a batch. More are refused.
    pub waiting_max: usize,
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self {
            gather: Duration::from_millis(3),
            batch_max: PAGE_MAX as usize,
            commits_max: 4,
            waiting_max: 4096,
        }
    }
}

/// Gathers likes into batches. The task that commits them ends with the last copy.
#[derive(Debug, Clone)]
pub struct LikeBatches {
    sender: mpsc::Sender<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    like: NewLike,
    answer: oneshot::Sender<StoreResult<Liked>>,
}

impl LikeBatches {
    /// Starts the task that commits batches. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(store: Arc<dyn Store>, settings: BatchSettings) -> Self {
        let (sender, receiver) = mpsc::channel(settings.waiting_max.max(1));
        tokio::spawn(gather(store, settings, receiver));
        Self { sender }
    }

    /// Makes a user like a photo, and returns when the batch is committed. The like is committed even if its caller
    /// goes away.
    ///
    /// # Errors
    /// `NoSuchPhoto`; `Unavailable` if too many likes wait; and what the store fails with.
    pub async fn like(&self, like: NewLike) -> StoreResult<Liked> {
        let (answer, committed) = oneshot::channel();
        let waiting = Waiting { like, answer };
        self.sender.try_send(waiting).map_err(|_| StoreError::Unavailable("too many likes wait".into()))?;
        committed.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the batch was dropped".into())))
    }
}

async fn gather(store: Arc<dyn Store>, settings: BatchSettings, mut waiting: mpsc::Receiver<Waiting>) {
    let batch_max = settings.batch_max.clamp(1, PAGE_MAX as usize);
    let commits = Arc::new(Semaphore::new(settings.commits_max.max(1)));
    loop {
        // While all commits are busy, likes gather in the channel.
        let Ok(permit) = commits.clone().acquire_owned().await else { return };
        let Some(first) = waiting.recv().await else { return };
        let mut batch = vec![first];
        let more = async {
            while batch.len() < batch_max {
                let Some(next) = waiting.recv().await else { return };
                batch.push(next);
            }
        };
        // Over: the batch is committed with what it has.
        let _ = tokio::time::timeout(settings.gather, more).await;
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let _permit = permit;
            commit(&*store, batch).await;
        });
    }
}

async fn commit(store: &dyn Store, batch: Vec<Waiting>) {
    let likes: Vec<NewLike> = batch.iter().map(|waiting| waiting.like).collect();
    let results = store.like_many(&likes).await;
    for (waiting, result) in batch.into_iter().zip(results) {
        // Fails if the caller has gone.
        let _ = waiting.answer.send(result);
    }
}
