//! Photos: what is known about them. Their bytes are blobs.

use async_trait::async_trait;

use super::{Once, Position, Positions, Post, StoreResult};
use crate::clock::Time;
use crate::ids::{PhotoId, UserId};
use crate::media::MediaType;
use crate::ports::queue::NewJob;
use crate::text::{Malformed, plain_text};

/// Characters in a caption, at most.
pub const CAPTION_CHARS_MAX: usize = 500;

/// What the author writes below a photo; may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caption(String);

impl Caption {
    /// A caption; white space at the ends is removed.
    ///
    /// # Errors
    /// A text that is longer than [`CAPTION_CHARS_MAX`] or contains control characters.
    pub fn new(text: &str) -> Result<Self, Malformed> {
        plain_text(text, CAPTION_CHARS_MAX, "a caption").map(Self)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How far a photo has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhotoState {
    /// Its thumbnails are not made yet.
    Processing,
    /// All its sizes are there.
    Ready,
}

/// A photo to be added. Its original must be in the blobs already.
#[derive(Debug, Clone)]
pub struct NewPhoto {
    /// From [`IdMaker::photo`](crate::ids::IdMaker::photo).
    pub id: PhotoId,
    /// Who posted it.
    pub author: UserId,
    /// The caption.
    pub caption: Caption,
    /// Type of the original.
    pub media: MediaType,
    /// Size of the original.
    pub bytes: u64,
    /// When.
    pub created: Time,
    /// Given if the client may repeat the request.
    pub once: Option<Once>,
}

impl NewPhoto {
    /// What the photo is to its request's key.
    #[must_use]
    pub fn post(&self) -> Post {
        let (id, user) = (self.id.to_sql(), self.author.to_sql());
        Post { id, about: 0, user, created: self.created.to_sql() }
    }
}

/// A photo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Photo {
    /// The id.
    pub id: PhotoId,
    /// Who posted it.
    pub author: UserId,
    /// The caption.
    pub caption: Caption,
    /// Type of the original.
    pub media: MediaType,
    /// Size of the original.
    pub bytes: u64,
    /// Whether its sizes are there.
    pub state: PhotoState,
    /// When it was posted.
    pub created: Time,
}

/// Photos in the store. Lists are from new to old, and go on `before` the last id that they returned.
#[async_trait]
pub trait Photos: Send + Sync {
    /// Adds a photo, and `jobs` to the outbox, in one transaction. A photo is never there without its jobs, nor jobs
    /// without their photo.
    ///
    /// # Errors
    /// `NoSuchUser`; `IdTaken`, `Repeated` and `KeyReused`, and then no job is added.
    async fn add_photo(&self, photo: &NewPhoto, jobs: &[NewJob]) -> StoreResult<Position>;

    /// Says that all sizes of a photo are there; nothing changes if that is known.
    ///
    /// # Errors
    /// `NoSuchPhoto`.
    async fn set_ready(&self, id: PhotoId) -> StoreResult<Position>;

    /// Deletes a photo with its likes and comments, and adds `jobs` to the outbox, in one transaction.
    ///
    /// # Errors
    /// `NoSuchPhoto`, and then no job is added.
    async fn delete_photo(&self, id: PhotoId, jobs: &[NewJob]) -> StoreResult<Position>;

    /// The photo with this id.
    async fn photo(&self, id: PhotoId, after: &Positions) -> StoreResult<Option<Photo>>;

    /// The photos with these ids, at most [`PAGE_MAX`](super::PAGE_MAX), in this order; those that do not exist are
    /// left out.
    async fn photos(&self, ids: &[PhotoId], after: &Positions) -> StoreResult<Vec<Photo>>;

    /// Photos that were posted before `posted` and are [`PhotoState::Processing`], with ids above `from`, in order of ids:
    /// a page. Shows all that was acknowledged.
    async fn processing(&self, posted: Time, from: Option<PhotoId>, limit: u32) -> StoreResult<Vec<Photo>>;

    /// Photos by any of `authors`, at most [`PAGE_MAX`](super::PAGE_MAX) of these.
    async fn photos_by(
        &self,
        authors: &[UserId],
        before: Option<PhotoId>,
        limit: u32,
        after: &Positions,
    ) -> StoreResult<Vec<Photo>>;
}
