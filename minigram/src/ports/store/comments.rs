//! Comments on photos.

use async_trait::async_trait;

use super::{Once, Position, Positions, Post, StoreResult};
use crate::clock::Time;
use crate::ids::{CommentId, PhotoId, UserId};
use crate::ports::queue::NewJob;
use crate::text::{Malformed, plain_text};

/// Characters in a comment, at most.
pub const COMMENT_CHARS_MAX: usize = 500;

/// The text of a comment; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommentText(String);

impl CommentText {
    /// A comment's text; white space at the ends is removed.
    ///
    /// # Errors
    /// A text that is empty, longer than [`COMMENT_CHARS_MAX`], or contains control characters.
    pub fn new(text: &str) -> Result<Self, Malformed> {
        let text = plain_text(text, COMMENT_CHARS_MAX, "a comment")?;
        if text.is_empty() {
            return Err(Malformed { what: "a comment needs a text".to_owned() });
        }
        Ok(Self(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A comment to be added.
#[derive(Debug, Clone)]
pub struct NewComment {
    /// From [`IdMaker::comment`](crate::ids::IdMaker::comment).
    pub id: CommentId,
    /// On which photo.
    pub photo: PhotoId,
    /// By whom.
    pub author: UserId,
    /// What it says.
    pub text: CommentText,
    /// When.
    pub created: Time,
    /// Given if the client may repeat the request.
    pub once: Option<Once>,
}

impl NewComment {
    /// What the comment is to its request's key.
    #[must_use]
    pub fn post(&self) -> Post {
        let (id, about) = (self.id.to_sql(), self.photo.to_sql());
        Post { id, about, user: self.author.to_sql(), created: self.created.to_sql() }
    }
}

/// A comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// The id.
    pub id: CommentId,
    /// On which photo.
    pub photo: PhotoId,
    /// By whom.
    pub author: UserId,
    /// What it says.
    pub text: CommentText,
    /// When.
    pub created: Time,
}

/// Comments in the store.
#[async_trait]
pub trait Comments: Send + Sync {
    /// Adds a comment, and `jobs` to the outbox, in one transaction.
    ///
    /// # Errors
    /// `NoSuchPhoto`; `IdTaken`, `Repeated` and `KeyReused`, and then no job is added.
    async fn add_comment(&self, comment: &NewComment, jobs: &[NewJob]) -> StoreResult<Position>;

    /// Deletes a comment if `author` wrote it; otherwise nothing changes.
    async fn delete_comment(&self, id: CommentId, author: UserId) -> StoreResult<Position>;

    /// Comments on a photo from new to old, `before` the last id of the page before.
    async fn comments(
        &self,
        photo: PhotoId,
        before: Option<CommentId>,
        limit: u32,
        after: &Positions,
    ) -> StoreResult<Vec<Comment>>;

    /// How many comments each of these photos has, at most [`PAGE_MAX`](super::PAGE_MAX) of them, in this order.
    async fn comment_counts(&self, photos: &[PhotoId], after: &Positions) -> StoreResult<Vec<u64>>;
}
