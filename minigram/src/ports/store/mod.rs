//! Port: what must outlive everything else, in a database with a primary and replicas.
//!
//! Guarantees of every engine:
//! - A write that was acknowledged is durable, and returns its [`Position`].
//! - A read that is given [`Positions`] shows all of these writes, or fails with [`StoreError::Behind`]. It never
//!   shows less.
//! - A write is whole or absent: a photo and the jobs that it causes are added in one transaction.
//! - A write that is repeated because its answer was lost has its effect once. What has an id is refused the second
//!   time with [`StoreError::IdTaken`]; follows and likes count once. A photo or comment with the [`Once`] of an earlier
//!   one, and another id, is refused with [`StoreError::Repeated`].

use async_trait::async_trait;

use super::position::{Position, Positions};
use crate::ids::Shard;

mod comments;
mod error;
mod feeds;
mod follows;
mod likes;
mod once;
mod outbox;
mod photos;
mod users;

pub use comments::{COMMENT_CHARS_MAX, Comment, CommentText, Comments, NewComment};
pub use error::{StoreError, StoreResult};
pub use feeds::{FEED_ENTRIES_MAX, FeedEntry, Feeds};
pub use follows::Follows;
pub use likes::{Liked, Likes, NewLike};
pub use once::{Earlier, IdempotencyKey, KEPT, KEY_CHARS_MAX, Once, Post};
pub use outbox::{Outbox, OutboxId, OutboxJob};
pub use photos::{CAPTION_CHARS_MAX, Caption, NewPhoto, Photo, PhotoState, Photos};
pub use users::{NewUser, Profile, User, Users};

/// Entries that one call returns at most, whatever its `limit` says.
pub const PAGE_MAX: u32 = 100;

/// All of the database.
#[async_trait]
pub trait Store: Users + Follows + Photos + Likes + Comments + Feeds + Outbox {
    /// How far this store has got in the log of the database that has `shard`; what [`Positions`] are compared with.
    async fn reached(&self, shard: Shard) -> StoreResult<Position>;

    /// Connections to databases that are in use now, by this process.
    fn connections_active(&self) -> u64;

    /// Who answered the application's reads, since this store was opened. Nothing where there are no replicas.
    fn reads(&self) -> Reads {
        Reads::default()
    }
}

/// Numbers of reads, by the server that answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reads {
    /// Answered by replicas.
    pub replica: u64,
    /// Answered by primaries.
    pub primary: u64,
}
