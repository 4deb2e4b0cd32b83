//! Feeds in SQLite.

use async_trait::async_trait;
use sqlx::Row;

use super::{SqliteStore, commit, failed, list, page};
use crate::ids::{PhotoId, UserId};
use crate::ports::position::{Position, Positions};
use crate::ports::store::{FEED_ENTRIES_MAX, FeedEntry, Feeds, PAGE_MAX, StoreResult};

#[async_trait]
impl Feeds for SqliteStore {
    async fn push_to_feeds(&self, entries: &[FeedEntry], users: &[UserId]) -> StoreResult<Position> {
        let ids = list(users.iter().map(|id| id.to_sql()));
        let mut write = self.write().await?;
        for entry in entries.iter().take(PAGE_MAX as usize) {
            sqlx::query(
                "INSERT OR IGNORE INTO feed (user, photo, author) SELECT value, ?, ? FROM json_each(?)",
            )
            .bind(entry.photo.to_sql())
            .bind(entry.author.to_sql())
            .bind(&ids)
            .execute(&mut *write)
            .await
            .map_err(failed)?;
        }
        for user in users.iter().take(PAGE_MAX as usize) {
            sqlx::query(
                "DELETE FROM feed WHERE user = ?1 AND photo <=
                 (SELECT photo FROM feed WHERE user = ?1 ORDER BY photo DESC LIMIT 1 OFFSET ?2)",
            )
            .bind(user.to_sql())
            .bind(i64::from(FEED_ENTRIES_MAX))
            .execute(&mut *write)
            .await
            .map_err(failed)?;
        }
        commit(write).await
    }

    async fn feed(
        &self,
        user: UserId,
        before: Option<PhotoId>,
        limit: u32,
        after: &Positions,
    ) -> StoreResult<Vec<FeedEntry>> {
        let rows = sqlx::query(
            "SELECT feed.photo, feed.author FROM feed
             JOIN follows ON follows.follower = feed.user AND follows.followee = feed.author
             WHERE feed.user = ? AND feed.photo < ? ORDER BY feed.photo DESC LIMIT ?",
        );
        let rows = rows
            .bind(user.to_sql())
            .bind(before.map_or(i64::MAX, PhotoId::to_sql))
            .bind(page(limit))
            .fetch_all(self.read(after).await?)
            .await
            .map_err(failed)?;
        let entry =
            |photo, author| FeedEntry { photo: PhotoId::from_sql(photo), author: UserId::from_sql(author) };
        Ok(rows.iter().map(|row| entry(row.get(0), row.get(1))).collect())
    }
}
