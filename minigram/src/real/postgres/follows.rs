//! Follows in PostgreSQL: two rows, one in the shard of either user. That of the follower is the truth.

use async_trait::async_trait;

use super::PostgresStore;
use super::link::Statement;
use super::rows::{get, page};
use super::settle::{ADD_FOLLOWER, REMOVE_FOLLOWER};
use super::shared::Shared;
use super::write::Write;
use crate::ids::UserId;
use crate::ports::position::{Position, Positions};
use crate::ports::store::{Follows, StoreError, StoreResult};

const ADD: &str = "WITH changed AS (
        INSERT INTO following (follower, followee) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING follower)
    UPDATE users SET following = following + 1 FROM changed WHERE id = changed.follower RETURNING id";

const REMOVE: &str = "WITH changed AS (
        DELETE FROM following WHERE follower = $1 AND followee = $2 RETURNING follower)
    UPDATE users SET following = following - 1 FROM changed WHERE id = changed.follower RETURNING id";

#[async_trait]
impl Follows for PostgresStore {
    async fn follow(&self, follower: UserId, followee: UserId) -> StoreResult<Position> {
        self.shared.change_follow(follower, followee, true).await
    }

    async fn unfollow(&self, follower: UserId, followee: UserId) -> StoreResult<Position> {
        self.shared.change_follow(follower, followee, false).await
    }

    async fn follows(&self, follower: UserId, followee: UserId, after: &Positions) -> StoreResult<bool> {
        let find = Statement::new("SELECT 1 FROM following WHERE follower = $1 AND followee = $2");
        let find = find.int(follower.to_sql()).int(followee.to_sql());
        Ok(!self.shared.read(follower.shard(), find, after).await?.is_empty())
    }

    async fn followers(
        &self,
        user: UserId,
        from: Option<UserId>,
        limit: u32,
        after: &Positions,
    ) -> StoreResult<Vec<UserId>> {
        let sql =
            "SELECT follower FROM followers WHERE followee = $1 AND follower > $2 ORDER BY follower LIMIT $3";
        self.shared.users_of(sql, user, from, limit, after).await
    }

    async fn following(
        &self,
        user: UserId,
        from: Option<UserId>,
        limit: u32,
        after: &Positions,
    ) -> StoreResult<Vec<UserId>> {
        let sql =
            "SELECT followee FROM following WHERE follower = $1 AND followee > $2 ORDER BY followee LIMIT $3";
        self.shared.users_of(sql, user, from, limit, after).await
    }

    async fn celebrities_followed(&self, user: UserId, after: &Positions) -> StoreResult<Vec<UserId>> {
        let find = Statement::new(
            "SELECT user_id FROM following JOIN celebrities ON user_id = followee
             WHERE follower = $1 ORDER BY user_id",
        );
        let rows = self.shared.read(user.shard(), find.int(user.to_sql()), after).await?;
        rows.iter().map(|row| get(row, 0).map(UserId::from_sql)).collect()
    }
}

impl Shared {
    async fn users_of(
        &self,
        sql: &'static str,
        user: UserId,
        from: Option<UserId>,
        limit: u32,
        after: &Positions,
    ) -> StoreResult<Vec<UserId>> {
        let from = from.map_or(i64::MIN, UserId::to_sql);
        let find = Statement::new(sql).int(user.to_sql()).int(from).int(page(limit));
        let rows = self.read(user.shard(), find, after).await?;
        rows.iter().map(|row| get(row, 0).map(UserId::from_sql)).collect()
    }

    /// Makes the follower's side so, and the followee's: in the same transaction if both are in one database, else
    /// right afterwards. If that fails, a task does it later.
    async fn change_follow(&self, follower: UserId, followee: UserId, wanted: bool) -> StoreResult<Position> {
        let (mut write, shards) = self.begin_with(follower.shard(), &[followee.shard()]).await?;
        let together = shards.contains(&followee.shard());
        let here = if together { vec![follower, followee] } else { vec![follower] };
        let known = lock_users(&mut write, here).await?;
        if wanted && !(known && (together || self.exists(followee).await?)) {
            return Err(StoreError::NoSuchUser);
        }
        if wanted && follower == followee {
            return write.commit().await;
        }
        let ids = |sql| Statement::new(sql).int(follower.to_sql()).int(followee.to_sql());
        let changed = !write.run(ids(if wanted { ADD } else { REMOVE })).await?.is_empty();
        let mut famous = false;
        if changed && together {
            let other = if wanted {
                ids(ADD_FOLLOWER).int(i64::try_from(self.celebrity_followers).unwrap_or(i64::MAX))
            } else {
                ids(REMOVE_FOLLOWER)
            };
            famous = !write.run(other).await?.is_empty();
        }
        if changed && !together {
            write.run(ids(super::settle::NOTE)).await?;
        }
        let position = write.commit().await?;
        if changed && !together {
            self.settle_soon(follower, followee).await;
        }
        if famous {
            self.spread_soon(position.database).await;
        }
        Ok(position)
    }

    async fn exists(&self, user: UserId) -> StoreResult<bool> {
        let find = Statement::new("SELECT 1 FROM users WHERE id = $1").int(user.to_sql());
        Ok(!self.read_newest(user.shard(), find).await?.is_empty())
    }
}

/// Locks the rows of users, in the order of their ids, so that two who follow each other at once do not wait for each
/// other forever. Whether all exist.
async fn lock_users(write: &mut Write, users: Vec<UserId>) -> StoreResult<bool> {
    let mut ids: Vec<i64> = users.iter().map(|user| user.to_sql()).collect();
    ids.sort_unstable();
    ids.dedup();
    let wanted = ids.len();
    let lock = "SELECT id FROM users WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE";
    Ok(write.run(Statement::new(lock).ints(ids)).await?.len() == wanted)
}
