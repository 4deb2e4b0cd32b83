//! What users look at, read through the cache.
//!
//! A cached answer is the same for all viewers. It can be served to a user who has just written, because every write
//! invalidates the keys that it changes before it is acknowledged ([`keys`]), and a fetch after that reads behind it.
//! The first page of a list is cached; later pages are read from the store.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::feeds::HomeFeeds;
use crate::ids::{CommentId, PhotoId, UserId};
use crate::ports::cache::{Cache, Key, read_many, read_through};
use crate::ports::position::Positions;
use crate::ports::store::{PAGE_MAX, Store, StoreError, StoreResult};
use crate::text::UserName;

mod cards;
pub mod keys;

pub use cards::{CommentCard, Page, PhotoCard, UserCard};

/// Entries of a first page, and what a page has unless its reader asks for another number.
pub const PAGE: u32 = 20;

/// How long results of a search are kept. They say which users, and not how these look now.
const SEARCH_TTL: Duration = Duration::from_secs(60);

/// Reads through the cache.
#[derive(Clone)]
pub struct Views {
    store: Arc<dyn Store>,
    cache: Arc<dyn Cache>,
    feeds: Arc<HomeFeeds>,
    ttl: Duration,
}

impl Views {
    /// Reads from `store` what `cache` does not have, and keeps it there for `ttl`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, cache: Arc<dyn Cache>, feeds: Arc<HomeFeeds>, ttl: Duration) -> Self {
        Self { store, cache, feeds, ttl }
    }

    /// A user.
    ///
    /// # Errors
    /// What the store fails with.
    pub async fn user(&self, id: UserId, after: &Positions) -> StoreResult<Option<UserCard>> {
        Ok(self.users(&[id], after).await?.remove(&id))
    }

    /// The user with this name.
    ///
    /// # Errors
    /// What the store fails with.
    pub async fn user_named(&self, name: &UserName, after: &Positions) -> StoreResult<Option<UserCard>> {
        let (store, wanted, mine) = (self.store.clone(), name.clone(), after.clone());
        let fetch = move |mut after: Positions| async move {
            after.merge(&mine);
            let user = store.user_by_name(&wanted, &after).await?.ok_or(StoreError::NoSuchUser)?;
            write(&user.id)
        };
        match read_through(&self.cache, &keys::user_of_name(name), self.ttl, fetch).await {
            Ok(id) => self.user(read(&id)?, after).await,
            Err(StoreError::NoSuchUser) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Users by their ids; those that do not exist are left out.
    ///
    /// # Errors
    /// What the store fails with.
    pub async fn users(&self, ids: &[UserId], after: &Positions) -> StoreResult<HashMap<UserId, UserCard>> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let keys: Vec<Key> = ids.iter().map(|id| keys::user(*id)).collect();
        let (store, wanted, mine) = (self.store.clone(), ids.clone(), after.clone());
        let fetch = move |places: Vec<usize>, mut after: Positions| {
            let (store, wanted) = (store.clone(), wanted.clone());
            after.merge(&mine);
            async move {
                let users = places.iter().map(|place| store.user(wanted[*place], &after));
                let users = try_join_all(users).await?;
                users
                    .into_iter()
                    .map(|user| user.map(|user| write(&UserCard::from(user))).transpose())
                    .collect()
            }
        };
        let values = read_many(&self.cache, &keys, self.ttl, fetch).await?;
        let cards = ids.into_iter().zip(values).filter_map(|(id, value)| Some((id, value?)));
        cards.map(|(id, value)| Ok((id, read(&value)?))).collect()
    }

    /// Photos by their ids, in this order; those that do not exist are left out.
    ///
    /// # Errors
    /// What the store fails with.
    pub async fn photos(&self, ids: &[PhotoId], after: &Positions) -> StoreResult<Vec<PhotoCard>> {
        let ids = &ids[..ids.len().min(PAGE_MAX as usize)];
        let keys: Vec<Key> = ids.iter().map(|id| keys::photo(*id)).collect();
        let (store, wanted, mine) = (self.store.clone(), ids.to_vec(), after.clone());
        let fetch = move |places: Vec<usize>, mut after: Positions| {
            let store = store.clone();
            after.merge(&mine);
            let ids: Vec<PhotoId> = places.iter().map(|place| wanted[*place]).collect();
            async move { photo_cards(&*store, &ids, &after).await }
        };
        let values = read_many(&self.cache, &keys, self.ttl, fetch).await?;
        values.into_iter().flatten().map(|value| read(&value)).collect()
    }

    /// The photos of a user from new to old, `before` what the page before named as `next`.
    ///
    /// # Errors
    /// What the store fails with.
    pub async fn photos_of(
        &self,
        user: UserId,
        before: Option<PhotoId>,
        limit: u32,
        after: &Positions,
    ) -> StoreResult<Page<PhotoId, PhotoId>> {
        let store = self.store.clone();
        let read = move |before, limit: u32, after: Positions| async move {
            let photos = store.photos_by(&[user], before, limit, &after).await?;
            let ids = photos.into_iter().map(|photo| photo.id).collect();
            Ok(Page::of(ids, limit as usize, |id: &PhotoId| *id))
        };
        self.page(keys::photos_of(user), before, limit, after, |id| *id, read).await
    }

    /// The feed of a user from new to old, `before` what the page before named as `next`.
    ///
    /// # Errors
    /// What the store fails with.
    pub async fn feed(
        &self,
        user: UserId,
        before: Option<PhotoId>,
        limit: u32,
        after: &Positions,
    ) -> StoreResult<Page<PhotoId, PhotoId>> {
        let feeds = self.feeds.clone();
        let read = move |before, limit, after: Positions| async move {
            home(&feeds, user, before, limit, &after).await
        };
        self.page(keys::feed(user), before, limit, after, |id| *id, read).await
    }

    /// The comments on a photo from new to old, `before` what the page before named as `next`.
    ///
    /// # Errors
    /// What the store fails with.
    pub async fn comments(
        &self,
        photo: PhotoId,
        before: Option<CommentId>,
        limit: u32,
        after: &Positions,
    ) -> StoreResult<Page<CommentCard, CommentId>> {
        let store = self.store.clone();
        let read = move |before, limit: u32, after: Positions| async move {
            let comments = store.comments(photo, before, limit, &after).await?;
            let cards: Vec<CommentCard> = comments.into_iter().map(CommentCard::from).collect();
            Ok(Page::of(cards, limit as usize, |card| card.id))
        };
        self.page(keys::comments(photo), before, limit, after, |card| card.id, read).await
    }

    /// Users whose names begin with `prefix`, by name.
    ///
    /// # Errors
    /// What the store fails with.
    pub async fn search(&self, prefix: &str, limit: u32, after: &Positions) -> StoreResult<Vec<UserCard>> {
        let prefix = prefix.to_ascii_lowercase();
        let (store, wanted, mine) = (self.store.clone(), prefix.clone(), after.clone());
        let fetch = move |mut after: Positions| async move {
            after.merge(&mine);
            let users = store.search(&wanted, PAGE, &after).await?;
            write(&users.into_iter().map(|user| user.id).collect::<Vec<UserId>>())
        };
        let found = read_through(&self.cache, &keys::search(&prefix), SEARCH_TTL, fetch).await?;
        let mut ids: Vec<UserId> = read(&found)?;
        ids.truncate(limit as usize);
        let mut cards = self.users(&ids, after).await?;
        Ok(ids.iter().filter_map(|id| cards.remove(id)).collect())
    }

    /// A page of a list: the first one through the cache, if it has no more than [`PAGE`] entries.
    async fn page<T, Id, F, W>(
        &self,
        key: Key,
        before: Option<Id>,
        limit: u32,
        after: &Positions,
        id: impl Fn(&T) -> Id,
        from_store: F,
    ) -> StoreResult<Page<T, Id>>
    where
        T: Serialize + DeserializeOwned + Send,
        Id: Copy + Serialize + DeserializeOwned + Send + 'static,
        F: FnOnce(Option<Id>, u32, Positions) -> W + Send + 'static,
        W: Future<Output = StoreResult<Page<T, Id>>> + Send + 'static,
    {
        let limit = limit.clamp(1, PAGE_MAX);
        if before.is_some() || limit > PAGE {
            return from_store(before, limit, after.clone()).await;
        }
        let mine = after.clone();
        let fetch = move |mut after: Positions| async move {
            after.merge(&mine);
            write(&from_store(None, PAGE, after).await?)
        };
        let page: Page<T, Id> = read(&read_through(&self.cache, &key, self.ttl, fetch).await?)?;
        Ok(page.cut(limit as usize, id))
    }
}

/// The first page of a user's feed, as the cache keeps it.
///
/// # Errors
/// What the store fails with.
pub async fn first_of_feed(feeds: &HomeFeeds, user: UserId, after: &Positions) -> StoreResult<Bytes> {
    write(&home(feeds, user, None, PAGE, after).await?)
}

async fn home(
    feeds: &HomeFeeds,
    user: UserId,
    before: Option<PhotoId>,
    limit: u32,
    after: &Positions,
) -> StoreResult<Page<PhotoId, PhotoId>> {
    let page = feeds.home(user, before, limit, after).await?;
    Ok(Page { entries: page.photos.into_iter().map(|photo| photo.id).collect(), next: page.next })
}

/// The cards of these photos, as the cache keeps them.
async fn photo_cards(
    store: &dyn Store,
    ids: &[PhotoId],
    after: &Positions,
) -> StoreResult<Vec<Option<Bytes>>> {
    let (photos, likes, comments) = tokio::try_join!(
        store.photos(ids, after),
        store.like_counts(ids, after),
        store.comment_counts(ids, after)
    )?;
    let mut photos: HashMap<PhotoId, _> = photos.into_iter().map(|photo| (photo.id, photo)).collect();
    let numbers = likes.into_iter().zip(comments);
    let cards = ids.iter().zip(numbers).map(|(id, (likes, comments))| {
        photos.remove(id).map(|photo| write(&PhotoCard::new(photo, likes, comments))).transpose()
    });
    cards.collect()
}

fn write(value: &impl Serialize) -> StoreResult<Bytes> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| StoreError::Failed(error.into()))
}

fn read<T: DeserializeOwned>(value: &[u8]) -> StoreResult<T> {
    serde_json::from_slice(value).map_err(|error| StoreError::Failed(error.into()))
}
