//! Jobs of the topic `notify`: messages to users who are connected to any server.

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::domain::jobs::{Failure, Notify};
use crate::domain::messages::{Message, user_topic};
use crate::engines::Engines;
use crate::ids::{CommentId, PhotoId, UserId};
use crate::ports::bus::Bus;
use crate::ports::store::PAGE_MAX;

/// Messages on their way at once, of one job.
const PUBLISHING: usize = 16;

/// Sends the messages of a job. Those of a second time say nothing new: browsers know photos and comments by their
/// ids.
///
/// # Errors
/// The engines fail; some users may have their message then.
pub async fn notify(engines: &Engines, job: Notify) -> Result<(), Failure> {
    match job {
        Notify::Posted { photo, author } => posted(engines, photo, author).await,
        Notify::Commented { photo, comment, by } => commented(engines, photo, comment, by).await,
        Notify::Followed { followee, by } => {
            publish(&*engines.bus, &user_topic(followee), &Message::Follow { by }).await
        }
    }
}

/// Sends a message to the subscribers of `topic`.
///
/// # Errors
/// The bus fails.
pub async fn publish(bus: &dyn Bus, topic: &str, message: &Message) -> Result<(), Failure> {
    bus.publish(topic, message.json()).await.map_err(Failure::again)
}

/// To the author of the photo. One's own comment is no news.
async fn commented(engines: &Engines, photo: PhotoId, comment: CommentId, by: UserId) -> Result<(), Failure> {
    let after = engines.store.reached(photo.shard()).await.map_err(Failure::again)?.into();
    let Some(photo) = engines.store.photo(photo, &after).await.map_err(Failure::again)? else {
        return Ok(());
    };
    if photo.author == by {
        return Ok(());
    }
    let message = Message::Comment { photo: photo.id, comment, by };
    publish(&*engines.bus, &user_topic(photo.author), &message).await
}

/// To all followers, page by page. Those of a celebrity are too many for one photo: they see it when they read
/// their feed.
async fn posted(engines: &Engines, photo: PhotoId, author: UserId) -> Result<(), Failure> {
    let after = engines.store.reached(author.shard()).await.map_err(Failure::again)?.into();
    let user = engines.store.user(author, &after).await.map_err(Failure::again)?;
    if user.is_none_or(|author| author.celebrity) {
        return Ok(());
    }
    let message = Message::Photo { photo, author };
    let mut last = None;
    loop {
        let page = engines.store.followers(author, last, PAGE_MAX, &after).await.map_err(Failure::again)?;
        let Some(end) = page.last().copied() else { return Ok(()) };
        let send = |follower| {
            let message = &message;
            async move { publish(&*engines.bus, &user_topic(follower), message).await }
        };
        stream::iter(page.into_iter().map(send))
            .buffer_unordered(PUBLISHING)
            .try_collect::<Vec<()>>()
            .await?;
        last = Some(end);
    }
}
