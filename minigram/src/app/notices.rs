//! Live messages on the bus. They are sent after a write was acknowledged, and losing one is allowed: clients that miss
//! a message read what they show again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;

use super::metrics::Metrics;
use crate::domain::messages::{Message, photo_topic, user_topic};
use crate::engines::Engines;
use crate::ids::{CommentId, PhotoId, UserId};
use crate::leave::Leave;
use crate::ports::position::{Position, Positions};
use crate::ports::store::{PAGE_MAX, StoreResult};

/// Messages that wait for the bus. More are lost.
const WAITING_MAX: usize = 1024;

/// How long the likes of a photo are gathered, so that a photo that many like at once causes few messages.
const GATHER: Duration = Duration::from_millis(100);

/// Photos whose likes are gathered at the same time.
const PHOTOS_MAX: usize = 4096;

/// Users of whom the author of a photo receives the name, of those whose likes were gathered.
const NAMED_MAX: usize = 20;

/// Sends messages in the background.
pub(crate) struct Notices {
    sender: mpsc::Sender<(String, Bytes)>,
    likes: Arc<GatheredLikes>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct GatheredLikes {
    photos: Mutex<HashMap<PhotoId, News>>,
    any: Notify,
}

#[derive(Default)]
struct News {
    after: Positions,
    by: Vec<UserId>,
}

impl Notices {
    /// Sends messages until `closing` is requested. Must be called within a tokio runtime.
    pub fn start(engines: &Engines, metrics: Arc<Metrics>, closing: Leave) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let likes = Arc::new(GatheredLikes::default());
        tokio::spawn(send(engines.clone(), receiver, metrics.clone()));
        tokio::spawn(count_likes(engines.clone(), likes.clone(), sender.clone(), closing));
        Self { sender, likes, metrics }
    }

    /// The likes of a photo changed; `by` is a user who likes it now.
    pub fn likes_changed(&self, photo: PhotoId, written: Position, by: Option<UserId>) {
        let mut photos = self.likes.photos.lock().unwrap_or_else(PoisonError::into_inner);
        if photos.len() >= PHOTOS_MAX && !photos.contains_key(&photo) {
            self.metrics.notices_lost.inc();
            return;
        }
        let news = photos.entry(photo).or_default();
        news.after.note(written);
        news.by.extend(by.filter(|_| news.by.len() < NAMED_MAX));
        self.likes.any.notify_one();
    }

    pub fn commented(&self, photo: PhotoId, comment: CommentId, by: UserId) {
        self.send(photo_topic(photo), &Message::Comment { photo, comment, by });
    }

    pub fn followed(&self, followee: UserId, by: UserId) {
        self.send(user_topic(followee), &Message::Follow { by });
    }

    fn send(&self, topic: String, message: &Message) {
        if self.sender.try_send((topic, message.json())).is_err() {
            self.metrics.notices_lost.inc();
        }
    }
}

async fn send(engines: Engines, mut messages: mpsc::Receiver<(String, Bytes)>, metrics: Arc<Metrics>) {
    while let Some((topic, message)) = messages.recv().await {
        if let Err(error) = engines.bus.publish(&topic, message).await {
            metrics.notices_lost.inc();
            tracing::debug!(%error, topic, "a live message was lost");
        }
    }
}

/// Sends, for each photo whose likes changed, how many there are now.
async fn count_likes(
    engines: Engines,
    likes: Arc<GatheredLikes>,
    sender: mpsc::Sender<(String, Bytes)>,
    mut closing: Leave,
) {
    loop {
        tokio::select! {
            () = likes.any.notified() => {}
            () = closing.requested() => return,
        }
        sleep(GATHER).await;
        let changed = std::mem::take(&mut *likes.photos.lock().unwrap_or_else(PoisonError::into_inner));
        let changed: Vec<(PhotoId, News)> = changed.into_iter().collect();
        for page in changed.chunks(PAGE_MAX as usize) {
            match messages(&engines, page).await {
                Ok(messages) => {
                    for message in messages {
                        // Fails when the server has gone.
                        let _ = sender.send(message).await;
                    }
                }
                Err(error) => tracing::debug!(%error, "the likes of photos were not sent"),
            }
        }
    }
}

async fn messages(engines: &Engines, page: &[(PhotoId, News)]) -> StoreResult<Vec<(String, Bytes)>> {
    let ids: Vec<PhotoId> = page.iter().map(|(photo, _)| *photo).collect();
    let mut after = Positions::none();
    page.iter().for_each(|(_, news)| after.merge(&news.after));
    let (counts, photos) =
        tokio::try_join!(engines.store.like_counts(&ids, &after), engines.store.photos(&ids, &after))?;
    let authors: HashMap<PhotoId, UserId> = photos.iter().map(|photo| (photo.id, photo.author)).collect();
    let mut messages = Vec::new();
    for ((photo, news), likes) in page.iter().zip(counts) {
        let photo = *photo;
        messages.push((photo_topic(photo), Message::Likes { photo, likes }.json()));
        let Some(author) = authors.get(&photo) else { continue };
        for by in news.by.iter().filter(|by| *by != author) {
            messages.push((user_topic(*author), Message::Liked { photo, by: *by }.json()));
        }
    }
    Ok(messages)
}
