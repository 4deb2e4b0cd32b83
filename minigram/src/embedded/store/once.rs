//! Posting once in SQLite: the key is kept with the post.

use sqlx::{Row, Sqlite, Transaction};

use super::{SqliteStore, commit, failed};
use crate::clock::Time;
use crate::ports::store::{Earlier, Once, Post, StoreError, StoreResult};

impl SqliteStore {
    /// Keeps the key of a post in its transaction, and removes keys that are over, some more than are added. Fails if
    /// the post was made before.
    pub(super) async fn first_time(
        &self,
        mut write: Transaction<'static, Sqlite>,
        once: &Once,
        post: &Post,
    ) -> StoreResult<Transaction<'static, Sqlite>> {
        let now = self.clock.now();
        sqlx::query(
            "DELETE FROM once WHERE kept_until <= ?1 AND (user = ?2 AND about = ?3 AND key = ?4
             OR rowid IN (SELECT rowid FROM once WHERE kept_until <= ?1 ORDER BY kept_until LIMIT 10))",
        )
        .bind(now.to_sql())
        .bind(post.user)
        .bind(post.about)
        .bind(once.key.as_str())
        .execute(&mut *write)
        .await
        .map_err(failed)?;
        let added = sqlx::query(
            "INSERT INTO once (post, about, user, key, sent, created, kept_until) VALUES (?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (user, about, key) DO NOTHING",
        )
        .bind(post.id)
        .bind(post.about)
        .bind(post.user)
        .bind(once.key.as_str())
        .bind(&once.sent)
        .bind(post.created)
        .bind(now.plus(once.kept).to_sql())
        .execute(&mut *write)
        .await
        .map_err(|error| super::refused(error, StoreError::IdTaken))?;
        if added.rows_affected() == 1 {
            return Ok(write);
        }
        let row =
            sqlx::query("SELECT post, created, sent FROM once WHERE user = ? AND about = ? AND key = ?")
                .bind(post.user)
                .bind(post.about)
                .bind(once.key.as_str())
                .fetch_one(&mut *write)
                .await
                .map_err(failed)?;
        if row.get::<&str, _>(2) != once.sent {
            return Err(StoreError::KeyReused);
        }
        let (id, created) = (row.get(0), Time::from_sql(row.get(1)));
        Err(StoreError::Repeated(Earlier { id, created, position: commit(write).await? }))
    }
}
