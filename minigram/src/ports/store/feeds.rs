//! Feeds: for each user, which photos of those they follow were pushed to them.

use async_trait::async_trait;

use super::{Position, Positions, StoreResult};
use crate::ids::{PhotoId, UserId};

/// Entries that a feed keeps; older ones go.
pub const FEED_ENTRIES_MAX: u32 = 500;

/// A photo in a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FeedEntry {
    /// Which photo. It may have been deleted since.
    pub photo: PhotoId,
    /// Who posted it.
    pub author: UserId,
}

/// Feeds in the store.
#[async_trait]
pub trait Feeds: Send + Sync {
    /// Puts every one of `entries` into the feed of every one of `users`, at most [`PAGE_MAX`](super::PAGE_MAX) of
    /// each. One that is there stays as it is, so that a job that runs twice pushes once.
    async fn push_to_feeds(&self, entries: &[FeedEntry], users: &[UserId]) -> StoreResult<Position>;

    /// The feed of a user from new to old, `before` the last photo of the page before. Only authors whom the user
    /// follows now.
    async fn feed(
        &self,
        user: UserId,
        before: Option<PhotoId>,
        limit: u32,
        after: &Positions,
    ) -> StoreResult<Vec<FeedEntry>>;
}
