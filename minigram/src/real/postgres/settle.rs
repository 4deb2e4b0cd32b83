//! What concerns two databases: the followee's side of a follow, and the list of celebrities. Each is written where its
//! truth is together with a note, and the note goes when the other database has it.

use std::sync::Arc;
use std::time::Duration;

use super::database::Database;
use super::link::Statement;
use super::rows::get;
use super::shared::Shared;
use crate::ids::UserId;
use crate::ports::store::{StoreError, StoreResult};

/// How often each server looks for notes that were left.
const INTERVAL: Duration = Duration::from_secs(1);

/// Notes that one round takes from a database.
const BATCH: i64 = 100;

/// Adds the followee's side: `$1` follows `$2`, who becomes a celebrity with `$3` followers.
pub const ADD_FOLLOWER: &str = "WITH added AS (
        INSERT INTO followers (follower, followee) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING followee),
    counted AS (
        UPDATE users SET followers = followers + 1, celebrity = celebrity OR followers + 1 >= $3
        FROM added WHERE id = added.followee RETURNING id, celebrity)
    INSERT INTO celebrities (user_id, spread) SELECT id, FALSE FROM counted WHERE celebrity
    ON CONFLICT DO NOTHING RETURNING user_id";

/// Removes it.
pub const REMOVE_FOLLOWER: &str = "WITH removed AS (
        DELETE FROM followers WHERE follower = $1 AND followee = $2 RETURNING followee)
    UPDATE users SET followers = followers - 1 FROM removed WHERE id = removed.followee";

/// Notes that the followee's side is to follow. This waits for one who is settling the same follow, so that a note
/// that was written after a change is never taken for one from before it.
pub const NOTE: &str = "INSERT INTO unsettled (follower, followee) VALUES ($1, $2)
    ON CONFLICT (follower, followee) DO UPDATE SET since = clock_timestamp()";

impl Shared {
    /// Makes the followee's side of a follow as the follower's is. A failure is logged, and mended by a later round.
    pub(super) async fn settle_soon(&self, follower: UserId, followee: UserId) {
        if let Err(error) = self.settle(follower, followee).await {
            tracing::warn!(%follower, %followee, %error, "the followee's side of a follow is to be written later");
        }
    }

    /// The note stays locked meanwhile, so that only one settles a follow at a time.
    async fn settle(&self, follower: UserId, followee: UserId) -> StoreResult<()> {
        let ids = |sql| Statement::new(sql).int(follower.to_sql()).int(followee.to_sql());
        let mut note = self.begin(follower.shard()).await?;
        let locked = note
            .run(ids("SELECT 1 FROM unsettled WHERE follower = $1 AND followee = $2 FOR UPDATE SKIP LOCKED"))
            .await?;
        if locked.is_empty() {
            return Ok(());
        }
        let truth = note.run(ids("SELECT 1 FROM following WHERE follower = $1 AND followee = $2")).await?;
        let mut other = self.begin(followee.shard()).await?;
        let other_side = if truth.is_empty() {
            ids(REMOVE_FOLLOWER)
        } else {
            ids(ADD_FOLLOWER).int(i64::try_from(self.celebrity_followers).unwrap_or(i64::MAX))
        };
        let famous = !other.run(other_side).await?.is_empty();
        let written = other.commit().await?;
        note.run(ids("DELETE FROM unsettled WHERE follower = $1 AND followee = $2")).await?;
        note.commit().await?;
        if famous {
            self.spread_soon(written.database).await;
        }
        Ok(())
    }

    /// Makes the celebrities that a database has found known in all others. A failure is mended by a later round.
    pub(super) async fn spread_soon(&self, number: u16) {
        let Ok(database) = self.database(number) else { return };
        if self.databases.len() > 1
            && let Err(error) = self.spread_celebrities(database).await
        {
            tracing::warn!(database = number, %error, "a celebrity is to be made known later");
        }
    }

    /// Settles the follows whose notes were left in a database.
    async fn settle_left(&self, database: &Database) -> StoreResult<()> {
        let find = Statement::new(
            "SELECT follower, followee FROM unsettled WHERE since < clock_timestamp() - make_interval(secs => $1)
             ORDER BY since LIMIT $2",
        );
        let rows = database.primary().await?.run(find.seconds(INTERVAL).int(BATCH)).await?;
        for row in &rows {
            let (follower, followee) = (UserId::from_sql(get(row, 0)?), UserId::from_sql(get(row, 1)?));
            // A row of a shard that has moved away goes with its shard.
            if self.map.now().database_of(follower.shard()) == database.number {
                self.settle(follower, followee).await?;
            }
        }
        Ok(())
    }

    async fn spread_celebrities(&self, database: &Arc<Database>) -> StoreResult<()> {
        let find = Statement::new("SELECT user_id FROM celebrities WHERE NOT spread LIMIT $1").int(BATCH);
        let rows = database.primary().await?.run(find).await?;
        let ids: Vec<i64> = rows.iter().map(|row| get(row, 0)).collect::<StoreResult<_>>()?;
        if ids.is_empty() {
            return Ok(());
        }
        let add = "INSERT INTO celebrities (user_id, spread) SELECT id, TRUE FROM unnest($1::bigint[]) AS id
            ORDER BY id ON CONFLICT DO NOTHING";
        for other in self.databases.iter().filter(|other| other.number != database.number) {
            self.write_to(other, Statement::new(add).ints(ids.clone())).await?;
        }
        let done = "UPDATE celebrities SET spread = TRUE WHERE user_id = ANY($1)";
        self.write_to(database, Statement::new(done).ints(ids)).await
    }

    /// Writes what belongs to no shard.
    pub(super) async fn write_to(&self, database: &Arc<Database>, statement: Statement) -> StoreResult<()> {
        let write = self.begin_in(database, &[], self.end()).await?;
        let mut write = write.ok_or_else(|| StoreError::Failed("the write belongs to no shard".into()))?;
        write.run(statement).await?;
        write.commit().await.map(drop)
    }
}

/// Looks for what was left again and again, until the store is dropped.
pub fn keep_settling(shared: &Arc<Shared>) {
    let shared = Arc::downgrade(shared);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(INTERVAL).await;
            let Some(shared) = shared.upgrade() else { return };
            if shared.databases.len() < 2 {
                continue;
            }
            for database in &shared.databases {
                for done in [shared.settle_left(database).await, shared.spread_celebrities(database).await] {
                    if let Err(error) = done {
                        tracing::debug!(database = database.number, %error, "what was left stays for now");
                    }
                }
            }
        }
    });
}
