//! The store in one SQLite file, which has all shards.

use std::path::Path;

use async_trait::async_trait;
use sqlx::sqlite::SqlitePool;
use sqlx::{Row, Sqlite, Transaction};

use super::sqlite::{Database, count, is_passing};
use crate::clock::Clock;
use crate::ids::Shard;
use crate::ports::position::{Position, Positions};
use crate::ports::queue::NewJob;
use crate::ports::store::{PAGE_MAX, Store, StoreError, StoreResult};

mod comments;
mod feeds;
mod follows;
mod likes;
mod once;
mod outbox;
mod photos;
mod users;

const MIGRATIONS: [(i64, &str, &str); 3] = [
    (1, "first", include_str!("../../../migrations/store/0001_first.sql")),
    (2, "once", include_str!("../../../migrations/store/0002_once.sql")),
    (3, "processing", include_str!("../../../migrations/store/0003_processing.sql")),
];

/// The number of the only database.
const DATABASE: u16 = 0;

/// The store of one process.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    database: Database,
    clock: Clock,
    celebrity_followers: u64,
}

impl SqliteStore {
    /// Opens the store in `file`. A user becomes a celebrity with `celebrity_followers` followers.
    ///
    /// # Errors
    /// The file cannot be opened, or was written by a newer version.
    pub async fn open(file: &Path, clock: Clock, celebrity_followers: u64) -> StoreResult<Self> {
        let database = Database::open(file, &MIGRATIONS).await.map_err(failed)?;
        Ok(Self { database, clock, celebrity_followers })
    }

    /// Finishes what is going on and closes the file.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// Where to read what contains `after`. There are no replicas: a write is in it as soon as it has returned.
    async fn read(&self, after: &Positions) -> StoreResult<&SqlitePool> {
        if let Some(needed) = after.of(DATABASE) {
            let reached = self.position().await?;
            if !needed.is_within(reached) {
                return Err(StoreError::Behind { needed, reached });
            }
        }
        Ok(self.database.readers())
    }

    async fn position(&self) -> StoreResult<Position> {
        let row = sqlx::query("SELECT timeline, lsn FROM log");
        let row = row.fetch_one(self.database.readers()).await.map_err(failed)?;
        Ok(position(row.get(0), row.get(1)))
    }

    async fn write(&self) -> StoreResult<Transaction<'static, Sqlite>> {
        self.database.write().await.map_err(failed)
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn reached(&self, _shard: Shard) -> StoreResult<Position> {
        self.position().await
    }

    fn connections_active(&self) -> u64 {
        self.database.connections_active()
    }
}

/// Commits, and returns where the log is then.
async fn commit(mut write: Transaction<'static, Sqlite>) -> StoreResult<Position> {
    let row = sqlx::query("UPDATE log SET lsn = lsn + 1 RETURNING timeline, lsn");
    let row = row.fetch_one(&mut *write).await.map_err(failed)?;
    write.commit().await.map_err(failed)?;
    Ok(position(row.get(0), row.get(1)))
}

fn position(timeline: i64, lsn: i64) -> Position {
    Position { database: DATABASE, timeline: u32::try_from(timeline).unwrap_or(0), lsn: count(lsn) }
}

async fn add_jobs(write: &mut Transaction<'static, Sqlite>, jobs: &[NewJob]) -> StoreResult<()> {
    for job in jobs {
        sqlx::query("INSERT INTO outbox (topic, key, payload) VALUES (?, ?, ?)")
            .bind(&job.topic)
            .bind(&job.key)
            .bind(&job.payload[..])
            .execute(&mut **write)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

fn failed(error: sqlx::Error) -> StoreError {
    if is_passing(&error) { StoreError::Unavailable(error.into()) } else { StoreError::Failed(error.into()) }
}

/// What to call an insert that failed because its id exists, or because what it refers to does not.
fn refused(error: sqlx::Error, no_such: StoreError) -> StoreError {
    match error.as_database_error() {
        Some(reason) if reason.is_foreign_key_violation() => no_such,
        Some(reason) if reason.is_unique_violation() => StoreError::IdTaken,
        _ => failed(error),
    }
}

fn page(limit: u32) -> i64 {
    i64::from(limit.min(PAGE_MAX))
}

/// Ids as SQLite's `json_each` takes them, at most a page.
fn list(ids: impl Iterator<Item = i64>) -> String {
    let ids: Vec<String> = ids.take(PAGE_MAX as usize).map(|id| id.to_string()).collect();
    format!("[{}]", ids.join(","))
}
