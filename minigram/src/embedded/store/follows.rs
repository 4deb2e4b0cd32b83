//! Follows in SQLite.

use async_trait::async_trait;
use sqlx::{Row, Sqlite, Transaction};

use super::{SqliteStore, commit, failed, page};
use crate::ids::UserId;
use crate::ports::position::{Position, Positions};
use crate::ports::store::{Follows, StoreError, StoreResult};

#[async_trait]
impl Follows for SqliteStore {
    async fn follow(&self, follower: UserId, followee: UserId) -> StoreResult<Position> {
        let mut write = self.write().await?;
        let known: i64 = sqlx::query("SELECT COUNT(*) FROM users WHERE id IN (?, ?)")
            .bind(follower.to_sql())
            .bind(followee.to_sql())
            .fetch_one(&mut *write)
            .await
            .map_err(failed)?
            .get(0);
        if known < if follower == followee { 1 } else { 2 } {
            return Err(StoreError::NoSuchUser);
        }
        if follower != followee {
            let added = sqlx::query("INSERT OR IGNORE INTO follows (follower, followee) VALUES (?, ?)")
                .bind(follower.to_sql())
                .bind(followee.to_sql())
                .execute(&mut *write)
                .await
                .map_err(failed)?;
            if added.rows_affected() == 1 {
                self.count_follow(&mut write, follower, followee, 1).await?;
            }
        }
        commit(write).await
    }

    async fn unfollow(&self, follower: UserId, followee: UserId) -> StoreResult<Position> {
        let mut write = self.write().await?;
        let removed = sqlx::query("DELETE FROM follows WHERE follower = ? AND followee = ?")
            .bind(follower.to_sql())
            .bind(followee.to_sql())
            .execute(&mut *write)
            .await
            .map_err(failed)?;
        if removed.rows_affected() == 1 {
            self.count_follow(&mut write, follower, followee, -1).await?;
        }
        commit(write).await
    }

    async fn follows(&self, follower: UserId, followee: UserId, after: &Positions) -> StoreResult<bool> {
        let row = sqlx::query("SELECT 1 FROM follows WHERE follower = ? AND followee = ?")
            .bind(follower.to_sql())
            .bind(followee.to_sql());
        Ok(row.fetch_optional(self.read(after).await?).await.map_err(failed)?.is_some())
    }

    async fn followers(
        &self,
        user: UserId,
        from: Option<UserId>,
        limit: u32,
        after: &Positions,
    ) -> StoreResult<Vec<UserId>> {
        let sql =
            "SELECT follower FROM follows WHERE followee = ? AND follower > ? ORDER BY follower LIMIT ?";
        self.users_of(sql, user, from, limit, after).await
    }

    async fn following(
        &self,
        user: UserId,
        from: Option<UserId>,
        limit: u32,
        after: &Positions,
    ) -> StoreResult<Vec<UserId>> {
        let sql =
            "SELECT followee FROM follows WHERE follower = ? AND followee > ? ORDER BY followee LIMIT ?";
        self.users_of(sql, user, from, limit, after).await
    }

    async fn celebrities_followed(&self, user: UserId, after: &Positions) -> StoreResult<Vec<UserId>> {
        let rows = sqlx::query(
            "SELECT users.id FROM follows JOIN users ON users.id = follows.followee
             WHERE follows.follower = ? AND users.celebrity ORDER BY users.id",
        );
        let rows = rows.bind(user.to_sql()).fetch_all(self.read(after).await?).await.map_err(failed)?;
        Ok(rows.iter().map(|row| UserId::from_sql(row.get(0))).collect())
    }
}

impl SqliteStore {
    async fn count_follow(
        &self,
        write: &mut Transaction<'static, Sqlite>,
        follower: UserId,
        followee: UserId,
        change: i64,
    ) -> StoreResult<()> {
        sqlx::query("UPDATE users SET following = following + ? WHERE id = ?")
            .bind(change)
            .bind(follower.to_sql())
            .execute(&mut **write)
            .await
            .map_err(failed)?;
        let threshold = i64::try_from(self.celebrity_followers).unwrap_or(i64::MAX);
        sqlx::query(
            "UPDATE users SET followers = followers + ?1, celebrity = celebrity OR followers + ?1 >= ?2 WHERE id = ?3",
        )
        .bind(change)
        .bind(threshold)
        .bind(followee.to_sql())
        .execute(&mut **write)
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn users_of(
        &self,
        sql: &'static str,
        user: UserId,
        from: Option<UserId>,
        limit: u32,
        after: &Positions,
    ) -> StoreResult<Vec<UserId>> {
        let rows = sqlx::query(sql)
            .bind(user.to_sql())
            .bind(from.map_or(i64::MIN, UserId::to_sql))
            .bind(page(limit))
            .fetch_all(self.read(after).await?)
            .await
            .map_err(failed)?;
        Ok(rows.iter().map(|row| UserId::from_sql(row.get(0))).collect())
    }
}
