//! Who follows whom.

use async_trait::async_trait;

use super::{Position, Positions, StoreResult};
use crate::ids::UserId;

/// Follows in the store.
#[async_trait]
pub trait Follows: Send + Sync {
    /// Makes `follower` follow `followee`; nothing changes if that is so already, or if both are the same user.
    /// The followee becomes a celebrity with the follower that reaches the engine's threshold.
    ///
    /// # Errors
    /// `NoSuchUser`, for either.
    async fn follow(&self, follower: UserId, followee: UserId) -> StoreResult<Position>;

    /// Ends that; nothing changes if it was not so.
    async fn unfollow(&self, follower: UserId, followee: UserId) -> StoreResult<Position>;

    /// Whether `follower` follows `followee`.
    async fn follows(&self, follower: UserId, followee: UserId, after: &Positions) -> StoreResult<bool>;

    /// Followers of `user` with ids above `from`, in order of ids: a page for the fan-out, which goes on from the
    /// last one.
    async fn followers(
        &self,
        user: UserId,
        from: Option<UserId>,
        limit: u32,
        after: &Positions,
    ) -> StoreResult<Vec<UserId>>;

    /// Those whom `user` follows, with ids above `from`, in order of ids.
    async fn following(
        &self,
        user: UserId,
        from: Option<UserId>,
        limit: u32,
        after: &Positions,
    ) -> StoreResult<Vec<UserId>>;

    /// The celebrities whom `user` follows: whose photos a feed must pull.
    async fn celebrities_followed(&self, user: UserId, after: &Positions) -> StoreResult<Vec<UserId>>;
}
