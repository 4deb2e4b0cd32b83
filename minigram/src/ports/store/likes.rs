//! Likes: who likes what, and how many. The number is spread over slots, because one row that everyone updates
//! would admit one update at a time.

use async_trait::async_trait;

use super::{Position, Positions, StoreResult};
use crate::clock::Time;
use crate::ids::{PhotoId, UserId};

/// A like to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewLike {
    /// Who.
    pub user: UserId,
    /// Which photo.
    pub photo: PhotoId,
    /// When.
    pub created: Time,
}

/// What became of a like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Liked {
    /// Where the log is now.
    pub position: Position,
    /// Whether something changed: false if the user liked the photo already (or did not, for an unlike).
    pub changed: bool,
}

/// Likes in the store.
#[async_trait]
pub trait Likes: Send + Sync {
    /// Makes a user like a photo. A like counts once.
    ///
    /// # Errors
    /// `NoSuchPhoto`.
    async fn like(&self, user: UserId, photo: PhotoId, now: Time) -> StoreResult<Liked>;

    /// Adds likes, at most [`PAGE_MAX`](super::PAGE_MAX), in one transaction for each database, and says in this
    /// order what became of each. The like of a photo that does not exist fails by itself; a database that fails
    /// fails all of its likes.
    async fn like_many(&self, likes: &[NewLike]) -> Vec<StoreResult<Liked>>;

    /// Takes a like back.
    async fn unlike(&self, user: UserId, photo: PhotoId) -> StoreResult<Liked>;

    /// How many like each of these photos, at most [`PAGE_MAX`](super::PAGE_MAX) of them, in this order; 0 for one
    /// that does not exist.
    async fn like_counts(&self, photos: &[PhotoId], after: &Positions) -> StoreResult<Vec<u64>>;

    /// Which of these photos, at most [`PAGE_MAX`](super::PAGE_MAX), the user likes, in this order.
    async fn likes(&self, user: UserId, photos: &[PhotoId], after: &Positions) -> StoreResult<Vec<bool>>;
}
