//! Photos that stay without their sizes, because their job was lost or is a dead letter: found in the store, and put into
//! the queue again.

use super::{FanOut, Thumbnails};
use crate::clock::Time;
use crate::ids::PhotoId;
use crate::ports::queue::{NewJob, Pushed, Queue, QueueResult};
use crate::ports::store::{PAGE_MAX, Photo, Photos, StoreResult};

/// What became of the jobs of a photo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requeued {
    /// There was none, and now there is.
    Lost,
    /// It was a dead letter, and is ready again.
    Dead,
    /// It is in the queue, or was done minutes ago.
    There,
}

/// Photos that were posted before `posted` and whose sizes are not there, at most `limit` of them, oldest first.
///
/// # Errors
/// What the store fails with.
pub async fn stuck(store: &(impl Photos + ?Sized), posted: Time, limit: usize) -> StoreResult<Vec<Photo>> {
    let (mut found, mut last) = (Vec::new(), None::<PhotoId>);
    while found.len() < limit {
        let page = store.processing(posted, last, PAGE_MAX).await?;
        let Some(end) = page.last() else { break };
        last = Some(end.id);
        found.extend(page);
    }
    found.truncate(limit);
    Ok(found)
}

/// Puts the jobs of a photo into the queue again: for its sizes, and for the feeds that lack it if both were lost. What
/// they do a second time changes nothing.
///
/// # Errors
/// What the queue fails with.
pub async fn requeue(queue: &dyn Queue, photo: &Photo) -> QueueResult<Requeued> {
    let (photo, author) = (photo.id, photo.author);
    let sizes = put(queue, &Thumbnails { photo, author }.job()).await?;
    put(queue, &FanOut { photo, author }.job()).await?;
    Ok(sizes)
}

async fn put(queue: &dyn Queue, job: &NewJob) -> QueueResult<Requeued> {
    if queue.push(job).await? == Pushed::New {
        return Ok(Requeued::Lost);
    }
    let replayed = queue.replay(&job.topic, std::slice::from_ref(&job.key)).await?;
    Ok(if replayed > 0 { Requeued::Dead } else { Requeued::There })
}
