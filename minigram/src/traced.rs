//! Engines whose calls are spans, so that a trace shows where a request's time goes. Queues are left out: the
//! application does not call them.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tracing::{Instrument, Span};

use crate::clock::Time;
use crate::engines::Engines;
use crate::ids::{CommentId, PhotoId, Shard, UserId};
use crate::ports::blobs::{Blob, BlobKey, Blobs, BlobsResult, Body, Part};
use crate::ports::bus::{Bus, BusResult, Subscription};
use crate::ports::cache::{Cache, CacheResult, Counts, Fill, Found, Key, Kind, Outdated};
use crate::ports::position::{Position, Positions};
use crate::ports::queue::NewJob;
use crate::ports::sessions::{RefreshToken, Session, SessionId, Sessions, SessionsResult};
use crate::ports::store::{
    Comment, Comments, FeedEntry, Feeds, Follows, Liked, Likes, NewComment, NewLike, NewPhoto, NewUser,
    Outbox, OutboxId, OutboxJob, Photo, Photos, Profile, Reads, Store, StoreResult, User, Users,
};
use crate::text::UserName;

/// An engine whose calls are spans.
pub struct Traced<E: ?Sized>(Arc<E>);

impl Engines {
    /// The same engines, whose calls are spans.
    #[must_use]
    pub fn traced(self) -> Self {
        Self {
            store: Arc::new(Traced(self.store)),
            sessions: Arc::new(Traced(self.sessions)),
            cache: Arc::new(Traced(self.cache)),
            queue: self.queue,
            bus: Arc::new(Traced(self.bus)),
            blobs: Arc::new(Traced(self.blobs)),
        }
    }
}

/// What a call returned, as far as its span says it.
trait Outcome {
    fn note(&self, span: &Span);
}

impl<T, E: Display> Outcome for Result<T, E> {
    fn note(&self, span: &Span) {
        if let Err(error) = self {
            span.record("otel.status_code", "ERROR");
            span.record("error", error.to_string());
        }
    }
}

impl<T, E: Display> Outcome for Vec<Result<T, E>> {
    fn note(&self, span: &Span) {
        if let Some(failed) = self.iter().find(|one| one.is_err()) {
            failed.note(span);
        }
    }
}

macro_rules! traced {
    ($port:ident of $engine:ident { $(fn $call:ident($($argument:ident: $type:ty),*) -> $result:ty;)* }
        $($plain:item)*) => {
        #[async_trait]
        impl $port for Traced<dyn $engine> {
            $(async fn $call(&self, $($argument: $type),*) -> $result {
                let span = tracing::info_span!(
                    concat!(stringify!($engine), ".", stringify!($call)),
                    otel.kind = "client",
                    otel.status_code = tracing::field::Empty,
                    error = tracing::field::Empty,
                );
                let result = self.0.$call($($argument),*).instrument(span.clone()).await;
                result.note(&span);
                result
            })*
            $($plain)*
        }
    };
}

traced! { Users of Store {
    fn add_user(user: &NewUser) -> StoreResult<Position>;
    fn user(id: UserId, after: &Positions) -> StoreResult<Option<User>>;
    fn user_by_name(name: &UserName, after: &Positions) -> StoreResult<Option<User>>;
    fn password_hash(name: &UserName) -> StoreResult<Option<(UserId, String)>>;
    fn set_profile(id: UserId, profile: &Profile) -> StoreResult<Position>;
    fn search(prefix: &str, limit: u32, after: &Positions) -> StoreResult<Vec<User>>;
} }

traced! { Follows of Store {
    fn follow(follower: UserId, followee: UserId) -> StoreResult<Position>;
    fn unfollow(follower: UserId, followee: UserId) -> StoreResult<Position>;
    fn follows(follower: UserId, followee: UserId, after: &Positions) -> StoreResult<bool>;
    fn followers(user: UserId, from: Option<UserId>, limit: u32, after: &Positions) -> StoreResult<Vec<UserId>>;
    fn following(user: UserId, from: Option<UserId>, limit: u32, after: &Positions) -> StoreResult<Vec<UserId>>;
    fn celebrities_followed(user: UserId, after: &Positions) -> StoreResult<Vec<UserId>>;
} }

traced! { Photos of Store {
    fn add_photo(photo: &NewPhoto, jobs: &[NewJob]) -> StoreResult<Position>;
    fn set_ready(id: PhotoId) -> StoreResult<Position>;
    fn delete_photo(id: PhotoId, jobs: &[NewJob]) -> StoreResult<Position>;
    fn photo(id: PhotoId, after: &Positions) -> StoreResult<Option<Photo>>;
    fn photos(ids: &[PhotoId], after: &Positions) -> StoreResult<Vec<Photo>>;
    fn processing(posted: Time, from: Option<PhotoId>, limit: u32) -> StoreResult<Vec<Photo>>;
    fn photos_by(
        authors: &[UserId], before: Option<PhotoId>, limit: u32, after: &Positions
    ) -> StoreResult<Vec<Photo>>;
} }

traced! { Likes of Store {
    fn like(user: UserId, photo: PhotoId, now: Time) -> StoreResult<Liked>;
    fn like_many(likes: &[NewLike]) -> Vec<StoreResult<Liked>>;
    fn unlike(user: UserId, photo: PhotoId) -> StoreResult<Liked>;
    fn like_counts(photos: &[PhotoId], after: &Positions) -> StoreResult<Vec<u64>>;
    fn likes(user: UserId, photos: &[PhotoId], after: &Positions) -> StoreResult<Vec<bool>>;
} }

traced! { Comments of Store {
    fn add_comment(comment: &NewComment, jobs: &[NewJob]) -> StoreResult<Position>;
    fn delete_comment(id: CommentId, author: UserId) -> StoreResult<Position>;
    fn comments(
        photo: PhotoId, before: Option<CommentId>, limit: u32, after: &Positions
    ) -> StoreResult<Vec<Comment>>;
    fn comment_counts(photos: &[PhotoId], after: &Positions) -> StoreResult<Vec<u64>>;
} }

traced! { Feeds of Store {
    fn push_to_feeds(entries: &[FeedEntry], users: &[UserId]) -> StoreResult<Position>;
    fn feed(user: UserId, before: Option<PhotoId>, limit: u32, after: &Positions) -> StoreResult<Vec<FeedEntry>>;
} }

traced! { Outbox of Store {
    fn take_outbox(limit: u32, lease: Duration) -> StoreResult<Vec<OutboxJob>>;
    fn mark_sent(ids: &[OutboxId]) -> StoreResult<()>;
    fn outbox_len() -> StoreResult<u64>;
} }

traced! { Store of Store { fn reached(shard: Shard) -> StoreResult<Position>; }
    fn connections_active(&self) -> u64 {
        self.0.connections_active()
    }

    fn reads(&self) -> Reads {
        self.0.reads()
    }
}

traced! { Sessions of Sessions {
    fn open(user: UserId, ttl: Duration) -> SessionsResult<(Session, RefreshToken)>;
    fn rotate(token: &RefreshToken, ttl: Duration) -> SessionsResult<(Session, RefreshToken)>;
    fn session(id: SessionId) -> SessionsResult<Option<Session>>;
    fn note_write(id: SessionId, written: Position) -> SessionsResult<()>;
    fn revoke(id: SessionId) -> SessionsResult<()>;
    fn revoke_all(user: UserId) -> SessionsResult<usize>;
} }

traced! { Cache of Cache {
    fn get(key: &Key) -> CacheResult<Option<Bytes>>;
    fn set(key: &Key, value: Bytes, ttl: Duration) -> CacheResult<()>;
    fn look(key: &Key) -> CacheResult<Found>;
    fn look_many(keys: &[Key]) -> Vec<CacheResult<Found>>;
    fn fill(fill: &Fill, value: Bytes, ttl: Duration) -> CacheResult<bool>;
    fn release(fill: &Fill) -> CacheResult<()>;
    fn invalidate(key: &Key, written: Position) -> CacheResult<()>;
    fn outdate(key: &Key, written: Position) -> CacheResult<Option<Outdated>>;
}
    fn counts(&self, kind: Kind) -> Counts {
        self.0.counts(kind)
    }
}

traced! { Bus of Bus {
    fn publish(topic: &str, message: Bytes) -> BusResult<()>;
    fn subscribe(topic: &str) -> BusResult<Box<dyn Subscription>>;
} }

traced! { Blobs of Blobs {
    fn put(key: &BlobKey, body: Body, bytes_max: u64) -> BlobsResult<u64>;
    fn get(key: &BlobKey, part: Part) -> BlobsResult<Blob>;
    fn delete(key: &BlobKey) -> BlobsResult<()>;
} }
