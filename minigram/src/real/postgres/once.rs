//! Posting once in PostgreSQL: the key is kept with the post, in its shard.

use sqlx::postgres::PgRow;

use super::errors::refused;
use super::link::Statement;
use super::rows::get;
use super::write::Write;
use crate::clock::Time;
use crate::ports::store::{Earlier, Once, Post, StoreError, StoreResult};

/// How often to try when the row of the key goes and comes meanwhile.
const TRIES: u32 = 3;

/// Adds the key, unless it is there, and removes some of the shard's that are over: more than are added, so that few
/// are left. A transaction that adds the same key is waited for.
const ADD: &str = "WITH over AS (
        SELECT post, about FROM once WHERE (post >> 16) & 63 = ($1 >> 16) & 63
        AND kept_until <= clock_timestamp() AND NOT (user_id = $3 AND about = $2 AND key = $4)
        ORDER BY kept_until LIMIT 10 FOR UPDATE SKIP LOCKED),
    removed AS (DELETE FROM once USING over WHERE once.post = over.post AND once.about = over.about)
    INSERT INTO once (post, about, user_id, key, sent, created, kept_until)
    VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + make_interval(secs => $7))
    ON CONFLICT (user_id, about, key) DO NOTHING RETURNING post";

const FIND: &str = "SELECT post, created, sent FROM once
    WHERE user_id = $1 AND about = $2 AND key = $3 AND kept_until > clock_timestamp()";

const REMOVE_OVER: &str = "DELETE FROM once
    WHERE user_id = $1 AND about = $2 AND key = $3 AND kept_until <= clock_timestamp()";

impl Write {
    /// Keeps the key of a post in this transaction. Fails if the post was made before.
    pub async fn first_time(mut self, once: &Once, post: &Post) -> StoreResult<Self> {
        for _ in 0..TRIES {
            let add = Statement::new(ADD)
                .int(post.id)
                .int(post.about)
                .int(post.user)
                .text(once.key.as_str())
                .text(&once.sent)
                .int(post.created)
                .seconds(once.kept);
            let added = self.run(add).await.map_err(|error| refused(error, StoreError::IdTaken))?;
            if !added.is_empty() {
                return Ok(self);
            }
            let of_key = |sql| Statement::new(sql).int(post.user).int(post.about).text(once.key.as_str());
            if let Some(row) = self.run(of_key(FIND)).await?.first() {
                return Err(self.repeated(once, row).await?);
            }
            self.run(of_key(REMOVE_OVER)).await?;
        }
        Err(StoreError::Unavailable("the idempotency key is being used".into()))
    }

    async fn repeated(self, once: &Once, earlier: &PgRow) -> StoreResult<StoreError> {
        if get::<&str, _>(earlier, 2)? != once.sent {
            return Ok(StoreError::KeyReused);
        }
        let (id, created) = (get(earlier, 0)?, Time::from_sql(get(earlier, 1)?));
        // Nothing to commit, but then the position lies behind the first try.
        Ok(StoreError::Repeated(Earlier { id, created, position: self.commit().await? }))
    }
}
