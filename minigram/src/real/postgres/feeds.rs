//! Feeds in PostgreSQL.

use async_trait::async_trait;

use super::PostgresStore;
use super::link::Statement;
use super::rows::{get, page};
use super::write::Write;
use crate::ids::{PhotoId, Shard, UserId};
use crate::ports::position::{Position, Positions};
use crate::ports::store::{FEED_ENTRIES_MAX, FeedEntry, Feeds, PAGE_MAX, StoreError, StoreResult};

#[async_trait]
impl Feeds for PostgresStore {
    /// One transaction for each database. The position is that of the last one.
    async fn push_to_feeds(&self, entries: &[FeedEntry], users: &[UserId]) -> StoreResult<Position> {
        let entries = &entries[..entries.len().min(PAGE_MAX as usize)];
        let mut left: Vec<UserId> = users.iter().take(PAGE_MAX as usize).copied().collect();
        let mut written = None;
        while let Some(first) = left.first() {
            let others: Vec<Shard> = left.iter().map(|user| user.shard()).collect();
            let (mut write, shards) = self.shared.begin_with(first.shard(), &others).await?;
            let (here, elsewhere) = left.into_iter().partition(|user| shards.contains(&user.shard()));
            push(&mut write, entries, here).await?;
            written = Some(write.commit().await?);
            left = elsewhere;
        }
        match written {
            Some(position) => Ok(position),
            None => self.shared.databases.first().ok_or(StoreError::NoSuchUser)?.log_position().await,
        }
    }

    async fn feed(
        &self,
        user: UserId,
        before: Option<PhotoId>,
        limit: u32,
        after: &Positions,
    ) -> StoreResult<Vec<FeedEntry>> {
        let find = Statement::new(
            "SELECT feed.photo, feed.author FROM feed
             JOIN following ON following.follower = feed.user_id AND following.followee = feed.author
             WHERE feed.user_id = $1 AND feed.photo < $2 ORDER BY feed.photo DESC LIMIT $3",
        )
        .int(user.to_sql())
        .int(before.map_or(i64::MAX, PhotoId::to_sql))
        .int(page(limit));
        let rows = self.shared.read(user.shard(), find, after).await?;
        let entry =
            |photo, author| FeedEntry { photo: PhotoId::from_sql(photo), author: UserId::from_sql(author) };
        rows.iter().map(|row| Ok(entry(get(row, 0)?, get(row, 1)?))).collect()
    }
}

/// Jobs that push to the same feeds at once lock rows in the same order, and pass over rows that another one deletes.
async fn push(write: &mut Write, entries: &[FeedEntry], users: Vec<UserId>) -> StoreResult<()> {
    let users: Vec<i64> = users.iter().map(|user| user.to_sql()).collect();
    let add = Statement::new(
        "INSERT INTO feed (user_id, photo, author)
         SELECT user_id, photo, author FROM unnest($1::bigint[]) AS users (user_id),
         unnest($2::bigint[], $3::bigint[]) AS entries (photo, author)
         ORDER BY user_id, photo ON CONFLICT DO NOTHING",
    )
    .ints(users.clone())
    .ints(entries.iter().map(|entry| entry.photo.to_sql()).collect())
    .ints(entries.iter().map(|entry| entry.author.to_sql()).collect());
    write.run(add).await?;
    let trim = Statement::new(
        "DELETE FROM feed WHERE (user_id, photo) IN (
             SELECT feed.user_id, feed.photo FROM unnest($1::bigint[]) AS users (user_id),
             LATERAL (SELECT photo FROM feed WHERE feed.user_id = users.user_id
                      ORDER BY photo DESC LIMIT 1 OFFSET $2) AS newest_to_go
             JOIN feed ON TRUE
             WHERE feed.user_id = users.user_id AND feed.photo <= newest_to_go.photo
             FOR UPDATE OF feed SKIP LOCKED)",
    )
    .ints(users)
    .int(i64::from(FEED_ENTRIES_MAX));
    write.run(trim).await?;
    Ok(())
}
