//! What the copies of a store share: its databases, and which of them is asked for a shard.

use std::sync::Arc;

use futures_util::future::try_join_all;
use sqlx::postgres::PgRow;
use tokio::time::Instant;

use super::database::{Ask, Database};
use super::link::Statement;
use super::map::{CachedMap, Map};
use super::settings::Timeouts;
use super::write::{Begun, Write};
use crate::ids::{Shard, UserId};
use crate::ports::position::Positions;
use crate::ports::store::{PAGE_MAX, StoreError, StoreResult};

/// Between two tries of a write that the database does not admit yet.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) databases: Vec<Arc<Database>>,
    pub(super) map: CachedMap,
    pub(super) celebrity_followers: u64,
    pub(super) timeouts: Timeouts,
}

impl Shared {
    pub(super) fn database(&self, number: u16) -> StoreResult<&Arc<Database>> {
        let unknown = || format!("the shard map names database {number}, which the settings do not list");
        self.databases.get(usize::from(number)).ok_or_else(|| StoreError::Unavailable(unknown().into()))
    }

    /// Reads from the database that has `shard`.
    pub(super) async fn read(
        &self,
        shard: Shard,
        statement: Statement,
        after: &Positions,
    ) -> StoreResult<Vec<PgRow>> {
        self.read_each(vec![(shard, 0)], after, true, |_| statement.clone()).await
    }

    /// The same from the primary, so that it shows all that was acknowledged.
    pub(super) async fn read_newest(&self, shard: Shard, statement: Statement) -> StoreResult<Vec<PgRow>> {
        self.read_each(vec![(shard, 0)], &Positions::none(), false, |_| statement.clone()).await
    }

    /// Reads what belongs to these ids from all databases that have them, each asked by the statement for its ids.
    pub(super) async fn read_many(
        &self,
        ids: impl Iterator<Item = i64>,
        after: &Positions,
        statement: impl Fn(Vec<i64>) -> Statement + Send + Sync,
    ) -> StoreResult<Vec<PgRow>> {
        let ids = ids.take(PAGE_MAX as usize).map(|id| (UserId::from_sql(id).shard(), id)).collect();
        self.read_each(ids, after, true, statement).await
    }

    pub(super) async fn read_each(
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
    pub(super) async fn ask(
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

    pub(super) async fn wait_for_move(&self, end: Instant) -> StoreResult<()> {
        if Instant::now() + PAUSE >= end {
            return Err(StoreError::Unavailable("a shard is moving".into()));
        }
        tokio::time::sleep(PAUSE).await;
        self.refresh_map().await
    }

    /// Begins to write to `shard`.
    pub(super) async fn begin(&self, shard: Shard) -> StoreResult<Write> {
        Ok(self.begin_with(shard, &[]).await?.0)
    }

    /// Begins to write to `first`, and to those of `others` that are in the same database; these are returned, with
    /// `first`.
    pub(super) async fn begin_with(
        &self,
        first: Shard,
        others: &[Shard],
    ) -> StoreResult<(Write, Vec<Shard>)> {
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
    pub(super) async fn begin_in(
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
    pub(super) fn end(&self) -> Instant {
        Instant::now() + self.timeouts.retry
    }
}
