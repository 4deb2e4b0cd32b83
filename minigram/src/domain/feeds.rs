//! Feeds: pushed to followers when a photo is posted, or pulled when a feed is read, if its author is a celebrity.

use std::collections::HashSet;
use std::sync::Arc;

use super::jobs::FanOut;
use crate::ids::{PhotoId, UserId};
use crate::ports::position::Positions;
use crate::ports::store::{FeedEntry, PAGE_MAX, Photo, Store, StoreResult};

/// Photos that a new follower finds in the feed.
const BACKFILL: u32 = 20;

/// A page of a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPage {
    /// From new to old. Photos that were deleted are left out, so that there may be few, or none, although another
    /// page follows.
    pub photos: Vec<Photo>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<PhotoId>,
}

/// Feeds.
pub struct HomeFeeds {
    store: Arc<dyn Store>,
}

impl HomeFeeds {
    /// Feeds of the users in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Makes `follower` follow `followee`, and puts the followee's latest photos into the feed. Returns
    /// what the follower must read from now on.
    ///
    /// # Errors
    /// `NoSuchUser`, and what the store fails with.
    pub async fn follow(&self, follower: UserId, followee: UserId) -> StoreResult<Positions> {
        let mut after = Positions::from(self.store.follow(follower, followee).await?);
        let celebrity = self.store.user(followee, &after).await?.is_some_and(|user| user.celebrity);
        if celebrity || follower == followee {
            return Ok(after);
        }
        let photos = self.store.photos_by(&[followee], None, BACKFILL, &after).await?;
        let entries: Vec<FeedEntry> =
            photos.iter().map(|photo| FeedEntry { photo: photo.id, author: followee }).collect();
        after.note(self.store.push_to_feeds(&entries, &[follower]).await?);
        Ok(after)
    }

    /// Puts a photo into the feeds of its author's followers. A second time changes nothing.
    ///
    /// # Errors
    /// What the store fails with; some followers may have it then.
    pub async fn fan_out(&self, job: FanOut) -> StoreResult<()> {
        let mut last = None;
        loop {
            let followers = self.fan_out_page(job, last).await?;
            let Some(end) = followers.last() else { return Ok(()) };
            last = Some(*end);
        }
    }

    /// Puts a photo into the feeds of a page of its author's followers, those with ids above `from`, and returns these.
    /// There are none after the last page.
    ///
    /// A celebrity's photos are pulled, and so are not pushed. Others have fewer followers than makes a celebrity,
    /// which bounds the work.
    ///
    /// # Errors
    /// What the store fails with; some followers may have it then.
    pub async fn fan_out_page(&self, job: FanOut, from: Option<UserId>) -> StoreResult<Vec<UserId>> {
        // Followers of before the job must be there, whichever replica answers.
        let all = self.store.reached(job.author.shard()).await?.into();
        if self.store.user(job.author, &all).await?.is_none_or(|author| author.celebrity) {
            return Ok(Vec::new());
        }
        let followers = self.store.followers(job.author, from, PAGE_MAX, &all).await?;
        if !followers.is_empty() {
            let entry = FeedEntry { photo: job.photo, author: job.author };
            self.store.push_to_feeds(&[entry], &followers).await?;
        }
        Ok(followers)
    }

    /// A page of the feed of a user from new to old, `before` what the page before named as [`FeedPage::next`].
    ///
    /// # Errors
    /// What the store fails with.
    pub async fn home(
        &self,
        user: UserId,
        before: Option<PhotoId>,
        limit: u32,
        after: &Positions,
    ) -> StoreResult<FeedPage> {
        let limit = limit.clamp(1, PAGE_MAX);
        let pushed = self.store.feed(user, before, limit, after).await?;
        // A source that gave a full page may have more, older than its last. Older photos of the other sources come
        // with the next page, so that none is skipped.
        let full = |ids: &[PhotoId]| ids.last().copied().filter(|_| ids.len() >= limit as usize);
        let mut oldest = full(&ids(&pushed));
        let mut photos = self.store.photos(&ids(&pushed), after).await?;
        let celebrities = self.store.celebrities_followed(user, after).await?;
        for authors in celebrities.chunks(PAGE_MAX as usize) {
            let pulled = self.store.photos_by(authors, before, limit, after).await?;
            oldest = oldest.max(full(&pulled.iter().map(|photo| photo.id).collect::<Vec<_>>()));
            photos.extend(pulled);
        }
        // A celebrity's photos from before they were one come both ways.
        let mut seen = HashSet::new();
        photos.retain(|photo| seen.insert(photo.id) && oldest.is_none_or(|oldest| photo.id >= oldest));
        photos.sort_by_key(|photo| std::cmp::Reverse(photo.id));
        let mut next = oldest;
        if photos.len() > limit as usize {
            photos.truncate(limit as usize);
            next = photos.last().map(|photo| photo.id);
        }
        Ok(FeedPage { photos, next })
    }
}

fn ids(entries: &[FeedEntry]) -> Vec<PhotoId> {
    entries.iter().map(|entry| entry.photo).collect()
}
