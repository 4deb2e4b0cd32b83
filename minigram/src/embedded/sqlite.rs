//! SQLite files: one connection that writes, several that read beside it, and the migrations of the schema.

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{SqlStr, Sqlite, Transaction};

const READERS: u32 = 4;

/// How long to wait for a connection, or for another process that writes.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// One file.
#[derive(Debug, Clone)]
pub struct Database {
    /// SQLite has one writer at a time; a queue in the pool is fairer than its locks.
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Database {
    /// Opens `file`, which is made if need be, and brings its schema up to date by `migrations`: version, name, text.
    pub async fn open(
        file: &Path,
        migrations: &[(i64, &'static str, &'static str)],
    ) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A commit is on disk when it returns. The default of WAL would lose the last ones in a power cut.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(WAIT_MAX);
        let pool =
            |connections| SqlitePoolOptions::new().max_connections(connections).acquire_timeout(WAIT_MAX);
        let writer = pool(1).connect_with(options.clone()).await?;
        migrator(migrations).run(&writer).await?;
        let readers = pool(READERS).connect_with(options.read_only(true)).await?;
        Ok(Self { writer, readers })
    }

    /// For reads outside a transaction. They see every commit that has returned.
    pub fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Begins to write. What is not committed is rolled back.
    pub async fn write(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        self.writer.begin_with("BEGIN IMMEDIATE").await
    }

    /// Connections that are in use now.
    pub fn connections_active(&self) -> u64 {
        let active = |pool: &SqlitePool| u64::from(pool.size()).saturating_sub(pool.num_idle() as u64);
        active(&self.writer) + active(&self.readers)
    }

    /// Finishes what is going on and closes the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn migrator(migrations: &[(i64, &'static str, &'static str)]) -> Migrator {
    let migration = |&(version, name, sql): &(i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, SqlStr::from_static(sql), false)
    };
    Migrator::with_migrations(migrations.iter().map(migration).collect())
}

/// Whether the same statement can succeed later.
pub fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) => true,
        // SQLITE_BUSY, SQLITE_LOCKED, SQLITE_FULL, each with its extended codes in the higher bits.
        sqlx::Error::Database(error) => error
            .code()
            .and_then(|code| code.parse::<u32>().ok())
            .is_some_and(|code| matches!(code & 0xff, 5 | 6 | 13)),
        _ => false,
    }
}

/// A number that the schema keeps from being negative.
pub fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
