//! Jobs of the topic `thumbnails`: the sizes of a photo, and the word that it can be seen.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::Semaphore;

use super::metrics::Metrics;
use super::notify::publish;
use super::pictures::{self, Made};
use super::settings::WorkerSettings;
use crate::app::edge::{Edge, about_photo_tag, user_tag};
use crate::domain::jobs::{Failure, Notify, Thumbnails};
use crate::domain::messages::{Message, photo_topic, user_topic};
use crate::domain::posting::original;
use crate::domain::sizes::Size;
use crate::domain::views::keys;
use crate::engines::Engines;
use crate::media::MediaType;
use crate::ports::blobs::{BlobsError, Part};
use crate::ports::queue::QueueError;
use crate::ports::store::{Photo, PhotoState, StoreError};

/// Makes thumbnails.
pub struct Thumbnailer {
    engines: Engines,
    edge: Edge,
    decoders: Arc<Semaphore>,
    pixels_max: u64,
    original_bytes_max: u64,
}

impl Thumbnailer {
    /// Decodes as many pictures at once as `settings` say. Must be called within a tokio runtime.
    pub fn new(engines: Engines, settings: &WorkerSettings, metrics: &Metrics) -> Self {
        Self {
            engines,
            edge: Edge::start(&settings.edge, metrics.purges_failed.clone()),
            decoders: Arc::new(Semaphore::new(settings.decoders.max(1))),
            pixels_max: settings.pixels_max,
            original_bytes_max: settings.original_bytes_max,
        }
    }

    /// Makes the sizes of a photo. A second time writes the same files. A photo that was deleted needs none.
    ///
    /// # Errors
    /// The engines fail; for good if the picture is broken or has too many pixels.
    pub async fn make(&self, job: Thumbnails) -> Result<(), Failure> {
        let Some(photo) = self.photo(job).await? else { return Ok(()) };
        let written = match photo.state {
            PhotoState::Processing => {
                let file = self.original(&photo).await?;
                let made = self.sizes(file, photo.media).await?;
                self.keep(&photo, made).await?;
                match self.engines.store.set_ready(photo.id).await {
                    Ok(written) => written,
                    // Deleted meanwhile. The job that removes its files may have run before they were written.
                    Err(StoreError::NoSuchPhoto) => return self.remove(&photo).await,
                    Err(error) => return Err(Failure::again(error)),
                }
            }
            // An earlier attempt got this far.
            PhotoState::Ready => {
                self.engines.store.reached(photo.id.shard()).await.map_err(Failure::again)?
            }
        };
        self.engines.cache.invalidate(&keys::photo(photo.id), written).await.map_err(Failure::again)?;
        // Strangers are shown the photo, and it in its author's list, as it is now.
        self.edge.purge(&[about_photo_tag(photo.id), user_tag(photo.author)]).await;
        self.announce(&photo).await
    }

    /// Says that the photo can be seen: to those who look at it, to its author, and to the author's followers.
    async fn announce(&self, photo: &Photo) -> Result<(), Failure> {
        let ready = Message::Ready { photo: photo.id };
        publish(&*self.engines.bus, &photo_topic(photo.id), &ready).await?;
        publish(&*self.engines.bus, &user_topic(photo.author), &ready).await?;
        let notify = Notify::Posted { photo: photo.id, author: photo.author };
        match self.engines.queue.push(&notify.job()).await {
            // Followers find the photo in their feeds without it. Trying again would keep a full queue full.
            Err(error @ QueueError::Full(_)) => {
                tracing::warn!(photo = %photo.id, %error, "followers get no message about a photo");
                Ok(())
            }
            pushed => pushed.map(drop).map_err(Failure::again),
        }
    }

    async fn photo(&self, job: Thumbnails) -> Result<Option<Photo>, Failure> {
        // A replica that lags must not make the photo look deleted.
        let after = self.engines.store.reached(job.photo.shard()).await.map_err(Failure::again)?.into();
        self.engines.store.photo(job.photo, &after).await.map_err(Failure::again)
    }

    async fn original(&self, photo: &Photo) -> Result<Bytes, Failure> {
        let key = original(photo.author, photo.id, photo.media);
        let blob = self.engines.blobs.get(&key, Part::Whole).await.map_err(|error| match error {
            BlobsError::NotFound => Failure::again(format!("the original {key} is not there")),
            error => Failure::again(error),
        })?;
        if blob.size > self.original_bytes_max {
            let (size, max) = (blob.size, self.original_bytes_max);
            return Err(Failure::for_good(format!(
                "the original has {size} bytes; at most {max} are allowed"
            )));
        }
        let mut file = BytesMut::with_capacity(usize::try_from(blob.size).unwrap_or(0));
        let mut body = blob.body;
        while let Some(bytes) = body.try_next().await.map_err(Failure::again)? {
            file.extend_from_slice(&bytes);
        }
        Ok(file.freeze())
    }

    async fn sizes(&self, file: Bytes, media: MediaType) -> Result<Vec<Made>, Failure> {
        let permit = self.decoders.clone().acquire_owned().await.map_err(Failure::again)?;
        let pixels_max = self.pixels_max;
        let decoding = tokio::task::spawn_blocking(move || {
            let made = pictures::make(&file, media, pixels_max);
            // Here and not by the caller: decoding goes on if the job is given up meanwhile.
            drop(permit);
            made
        });
        match decoding.await {
            Ok(made) => made.map_err(Failure::for_good),
            Err(error) if error.is_panic() => Err(Failure::for_good("the decoder panicked on this picture")),
            Err(error) => Err(Failure::again(error)),
        }
    }

    async fn keep(&self, photo: &Photo, made: Vec<Made>) -> Result<(), Failure> {
        for Made { size, media, bytes } in made {
            let key = size.key(photo.author, photo.id, media);
            let length = bytes.len() as u64;
            let body = stream::iter([Ok(Bytes::from(bytes))]).boxed();
            self.engines.blobs.put(&key, body, length).await.map_err(Failure::again)?;
        }
        Ok(())
    }

    async fn remove(&self, photo: &Photo) -> Result<(), Failure> {
        for size in Size::ALL {
            for media in Size::MEDIA {
                let key = size.key(photo.author, photo.id, media);
                self.engines.blobs.delete(&key).await.map_err(Failure::again)?;
            }
        }
        Ok(())
    }
}
