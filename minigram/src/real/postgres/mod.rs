//! The store on PostgreSQL: a primary for writes, replicas for reads, and shards over several databases.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use sqlx::postgres::PgRow;
use sqlx::{ColumnIndex, Decode, Postgres, Row, Type};
use tokio::time::Instant;

use crate::ids::{Shard, UserId};
use crate::ports::position::{Position, Positions};
use crate::ports::store::{PAGE_MAX, Store, StoreError, StoreResult};

mod comments;
mod database;
mod errors;
mod feeds;
mod follows;
mod likes;
mod link;
mod map;
mod open;
mod outbox;
mod photos;
mod settings;
mod settle;
pub mod shards;
mod users;
mod write;

pub use database::Reads;
pub use settings::{DatabaseSettings, PostgresSettings, Timeouts};

use database::{Ask, Database};
use link::Statement;
use map::{CachedMap, Map};
use write::{Begun, Write};

/// Between two tries of a write that the database does not admit yet.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

/// The store. A copy is cheap, and works with the same connections. Background tasks end with the last copy.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    databases: Vec<Arc<Database>>,
    map: CachedMap,
    celebrity_followers: u64,
    timeouts: Timeouts,
}

impl PostgresStore {
    /// Opens the store: brings the schema of each database up to date, gives out the shards if none are given out
    /// yet, and starts the tasks that keep the shard map fresh and finish follows between databases.
    ///
    /// # Errors
    /// No primary answers; the databases are listed in another order than before; a newer version was here.
    pub async fn connect(settings: PostgresSettings) -> StoreResult<Self> {
        let (databases, map) = open::open(&settings).await?;
        let shared = Arc::new(Shared {
            databases,
            map: CachedMap::new(map),
            celebrity_followers: settings.celebrity_followers,
            timeouts: settings.timeouts,
        });
        map::keep_fresh(&shared);
        settle::keep_settling(&shared);
        Ok(Self { shared })
    }

    /// How many reads replicas and primaries answered, since the store was opened.
    #[must_use]
    pub fn reads(&self) -> Reads {
        self.shared.databases.iter().map(|database| database.reads()).fold(Reads::default(), |sum, reads| {
            Reads { replica: sum.replica + reads.replica, primary: sum.primary + reads.primary }
        })
    }

    /// Finishes what is going on and ends all connections.
    pub async fn close(&self) {
        for database in &self.shared.databases {
            database.close().await;
        }
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn reached(&self, shard: Shard) -> StoreResult<Position> {
        let map = self.shared.map.now();
        self.shared.database(map.database_of(shard))?.log_position().await
    }

    fn connections_active(&self) -> u64 {
        self.shared.databases.iter().map(|database| database.connections_active()).sum()
    }
}

impl Shared {
    fn database(&self, number: u16) -> StoreResult<&Arc<Database>> {
        let unknown = || format!("the shard map names database {number}, which the settings do not list");
        self.databases.get(usize::from(number)).ok_or_else(|| StoreError::Unavailable(unknown().into()))
    }

    /// Reads from the database that has `shard`.
    async fn read(&self, shard: Shard, statement: Statement, after: &Positions) -> StoreResult<Vec<PgRow>> {
        self.read_each(vec![(shard, 0)], after, true, |_| statement.clone()).await
    }

    /// The same from the primary, so that it shows all that was acknowledged.
    async fn read_newest(&self, shard: Shard, statement: Statement) -> StoreResult<Vec<PgRow>> {
        self.read_each(vec![(shard, 0)], &Positions::none(), false, |_| statement.clone()).await
    }

    /// Reads what belongs to these ids from all databases that have them, each asked by the statement for its ids.
    async fn read_many(
        &self,
        ids: impl Iterator<Item = i64>,
        after: &Positions,
        statement: impl Fn(Vec<i64>) -> Statement + Send + Sync,
    ) -> StoreResult<Vec<PgRow>> {
        let ids = ids.take(PAGE_MAX as usize).map(|id| (UserId::from_sql(id).shard(), id)).collect();
        self.read_each(ids, after, true, statement).await
    }

    async fn read_each(
        &self,
        mut left: Vec<(Shard, i64)>,
        after: &Positions,
        replicas: bool,
        statement: impl Fn(Vec<i64>) -> Statement + Send + Sync,
    ) -> StoreResult<Vec<PgRow>> {
        let end = Instant::now() + self.timeouts.retry;
        let mut rows = Vec::new();
        loop {
            let map = self.map.now();
            let groups = map.group(left.drain(..));
            let answers = try_join_all(groups.iter().map(|(number, keys)| {
                let statement = statement(keys.iter().map(|(_, id)| *id).collect());
                self.ask(
                    &map,
                    *number,
                    keys.iter().map(|(shard, _)| *shard).collect(),
                    statement,
                    after,
                    replicas,
                )
            }));
            for ((_, keys), answer) in groups.iter().zip(answers.await?) {
                match answer {
                    Some(found) => rows.extend(found),
                    None => left.extend(keys),
                }
            }
            if left.is_empty() {
                return Ok(rows);
            }
            self.wait_for_move(end).await?;
        }
    }

    /// Reads from one database; `None` if a shard is not there.
    async fn ask(
        &self,
        map: &Map,
        number: u16,
        mut shards: Vec<Shard>,
        statement: Statement,
        after: &Positions,
        replicas: bool,
    ) -> StoreResult<Option<Vec<PgRow>>> {
        shards.sort_unstable();
        shards.dedup();
        // A read that must show a write cannot go by the map: the write may have been behind a move that this server
        // has not noticed. Others may, while the map is fresh, because a move leaves the old rows as long.
        let check_shards = !replicas || *after != Positions::none() || map.age() > self.timeouts.map_age_max;
        let ask = Ask { statement, shards, needed: after.of(number), check_shards, replicas, counted: true };
        self.database(number)?.read(&ask).await
    }

    async fn wait_for_move(&self, end: Instant) -> StoreResult<()> {
        if Instant::now() + PAUSE >= end {
            return Err(StoreError::Unavailable("a shard is moving".into()));
        }
        tokio::time::sleep(PAUSE).await;
        self.refresh_map().await
    }

    /// Begins to write to `shard`.
    async fn begin(&self, shard: Shard) -> StoreResult<Write> {
        Ok(self.begin_with(shard, &[]).await?.0)
    }

    /// Begins to write to `first`, and to those of `others` that are in the same database; these are returned, with
    /// `first`.
    async fn begin_with(&self, first: Shard, others: &[Shard]) -> StoreResult<(Write, Vec<Shard>)> {
        let end = Instant::now() + self.timeouts.retry;
        loop {
            let map = self.map.now();
            let number = map.database_of(first);
            let mut shards = vec![first];
            shards.extend(others.iter().filter(|shard| map.database_of(**shard) == number));
            shards.sort_unstable();
            shards.dedup();
            if let Some(write) = self.begin_in(self.database(number)?, &shards, end).await? {
                return Ok((write, shards));
            }
            self.wait_for_move(end).await?;
        }
    }

    /// Begins to write to a database; `None` if a shard is not there. Nothing is written before the transaction has
    /// begun, so this goes on while the primary switches over.
    async fn begin_in(
        &self,
        database: &Arc<Database>,
        shards: &[Shard],
        end: Instant,
    ) -> StoreResult<Option<Write>> {
        loop {
            let reason = match Write::begin(database, shards).await {
                Ok(Begun::Open(write)) => return Ok(Some(write)),
                Ok(Begun::Moved) => return Ok(None),
                Ok(Begun::Fenced) => StoreError::Unavailable("a shard is about to move".into()),
                Err(error) if error.is_passing() => error.into(),
                Err(error) => return Err(error.into()),
            };
            if Instant::now() + PAUSE >= end {
                return Err(reason);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The end of the time that a call may try.
    fn end(&self) -> Instant {
        Instant::now() + self.timeouts.retry
    }
}

/// A value out of a row.
fn get<'r, T, I>(row: &'r PgRow, column: I) -> StoreResult<T>
where
    T: Decode<'r, Postgres> + Type<Postgres>,
    I: ColumnIndex<PgRow>,
{
    row.try_get(column).map_err(|error| StoreError::Failed(error.into()))
}

/// A number that the schema keeps from being negative.
fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn page(limit: u32) -> i64 {
    i64::from(limit.min(PAGE_MAX))
}

/// Pairs of id and number by id, for lists in the order of the question.
fn numbers(rows: &[PgRow]) -> StoreResult<BTreeMap<i64, i64>> {
    rows.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?))).collect()
}
