//! A transaction that writes: refused in the database if a shard has moved away, and acknowledged with its position.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::database::Database;
use super::errors::SqlError;
use super::link::{Link, Statement};
use crate::ids::Shard;
use crate::ports::position::Position;
use crate::ports::queue::NewJob;
use crate::ports::store::StoreResult;

/// The class of the advisory locks of shards; the shard is their second number. Writers share the lock until their
/// transaction ends. A move takes it alone, and then no writer is under way. A row lock would do the same, but would
/// write to the row's page with every write.
pub const SHARD_LOCKS: i32 = 77;

/// Where the log is. After a commit that is behind the commit's record, whatever `synchronous_commit` says.
const POSITION: &str = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint,
    ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int";

/// A transaction. What is not committed is rolled back.
#[derive(Debug)]
pub struct Write {
    link: Option<Link>,
    database: Arc<Database>,
}

/// What became of a transaction that was to write to some shards.
pub enum Begun {
    /// It may write.
    Open(Write),
    /// A shard is about to move away, or the move fails; this takes moments.
    Fenced,
    /// A shard is not here.
    Moved,
}

impl Write {
    /// Begins to write to `shards`. With none, to what belongs to the database itself.
    pub async fn begin(database: &Arc<Database>, shards: &[Shard]) -> Result<Begun, SqlError> {
        let mut write = Self { link: Some(database.primary().await?), database: database.clone() };
        let rows = write.link()?.run_all(begin_sql(shards)).await?;
        let row = rows.last().ok_or(sqlx::Error::RowNotFound)?;
        if row.try_get::<bool, _>(0)? {
            write.link()?.discard();
            return Err(SqlError::NotPrimary);
        }
        let wanted = i64::try_from(shards.len()).unwrap_or(i64::MAX);
        let (here, open): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
        Ok(match () {
            () if here < wanted => Begun::Moved,
            () if open < wanted => Begun::Fenced,
            () => Begun::Open(write),
        })
    }

    fn link(&mut self) -> Result<&mut Link, SqlError> {
        self.link.as_mut().ok_or(SqlError::Sql(sqlx::Error::PoolClosed))
    }

    /// Runs a statement; its rows.
    pub async fn run(&mut self, statement: Statement) -> Result<Vec<PgRow>, SqlError> {
        self.link()?.run(statement).await
    }

    /// Adds jobs to the outbox, in their order.
    pub async fn add_jobs(&mut self, jobs: &[NewJob]) -> Result<(), SqlError> {
        if jobs.is_empty() {
            return Ok(());
        }
        let add = Statement::new(
            "INSERT INTO outbox (topic, key, payload)
             SELECT topic, key, payload FROM unnest($1::text[], $2::text[], $3::bytea[])
             WITH ORDINALITY AS jobs (topic, key, payload, n) ORDER BY n",
        )
        .texts(jobs.iter().map(|job| job.topic.clone()).collect())
        .texts(jobs.iter().map(|job| job.key.clone()).collect())
        .blobs(jobs.iter().map(|job| job.payload.to_vec()).collect());
        self.run(add).await.map(drop)
    }

    /// Commits, and returns where the log is then. If this fails, the transaction may have been committed.
    pub async fn commit(mut self) -> StoreResult<Position> {
        let Some(mut link) = self.link.take() else {
            return Err(SqlError::Sql(sqlx::Error::PoolClosed).into());
        };
        let position = position(&self.database, &mut link, "COMMIT").await.inspect_err(|_| link.discard())?;
        if position.timeline <= self.database.timeline.load(Ordering::Relaxed) {
            return Ok(position);
        }
        // The row must be in the log before any position of its timeline, because replicas tell theirs by it.
        let row = format!(
            "BEGIN; INSERT INTO timelines VALUES ({}) ON CONFLICT DO NOTHING; COMMIT",
            position.timeline
        );
        let later = self::position(&self.database, &mut link, &row).await.inspect_err(|_| link.discard())?;
        self.database.timeline.fetch_max(position.timeline, Ordering::Relaxed);
        Ok(later)
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        let Some(mut link) = self.link.take() else { return };
        if link.is_unfit() {
            return;
        }
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move {
                if link.run_all("ROLLBACK").await.is_err() {
                    link.discard();
                }
            })),
            Err(_) => link.discard(),
        }
    }
}

async fn position(database: &Database, link: &mut Link, before: &str) -> Result<Position, SqlError> {
    let rows = link.run_all(format!("{before}; {POSITION}")).await?;
    let row = rows.last().ok_or(sqlx::Error::RowNotFound)?;
    Ok(database.position(row.try_get(0)?, row.try_get(1)?))
}

/// Begins, locks the shards, and counts those that are here and those that are open. The count is a statement of its
/// own, so that it sees what the owner of the lock before has committed.
fn begin_sql(shards: &[Shard]) -> String {
    let mut numbers: Vec<u8> = shards.iter().map(|shard| shard.number()).collect();
    numbers.sort_unstable();
    let list = numbers.iter().map(u8::to_string).collect::<Vec<_>>().join(",");
    if list.is_empty() {
        return "BEGIN; SELECT pg_is_in_recovery(), 0::bigint, 0::bigint".to_owned();
    }
    let lock = |number: &u8| format!("SELECT pg_advisory_xact_lock_shared({SHARD_LOCKS}, {number}); ");
    let locks: String = numbers.iter().map(lock).collect();
    format!(
        "BEGIN; {locks}SELECT pg_is_in_recovery(),
         count(*) FILTER (WHERE state IN ('open', 'fenced')),
         count(*) FILTER (WHERE state = 'open' OR state = 'fenced' AND fenced_until <= clock_timestamp())
         FROM shards WHERE shard IN ({list})"
    )
}
