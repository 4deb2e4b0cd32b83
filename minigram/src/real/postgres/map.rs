//! Which database has which shard: a table in database 0, of which every server keeps a copy that it refreshes.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sqlx::postgres::PgRow;
use tokio::time::Instant;

use super::database::Ask;
use super::link::Statement;
use super::rows::get;
use super::shared::Shared;
use crate::ids::{SHARDS, Shard};
use crate::ports::store::{StoreError, StoreResult};

/// How often a server refreshes its copy.
const REFRESH: Duration = Duration::from_millis(500);

/// All shards with their databases, and the version of the map.
pub const READ_MAP: &str =
    "SELECT shard::bigint, number::bigint, (SELECT version FROM shard_map_version) FROM shard_map";

/// A copy of the map.
#[derive(Debug, Clone)]
pub struct Map {
    /// Counts the changes.
    pub version: i64,
    databases: [u16; SHARDS as usize],
    fetched: Instant,
}

impl Map {
    /// The map out of the rows of [`READ_MAP`], which were asked for at `fetched`.
    pub fn of_rows(rows: &[PgRow], fetched: Instant) -> StoreResult<Self> {
        let mut map = Self { version: 0, databases: [u16::MAX; SHARDS as usize], fetched };
        for row in rows {
            let (shard, number): (i64, i64) = (get(row, 0)?, get(row, 1)?);
            let place = usize::try_from(shard).ok().and_then(|shard| map.databases.get_mut(shard));
            if let (Some(place), Ok(number)) = (place, u16::try_from(number)) {
                *place = number;
            }
            map.version = get(row, 2)?;
        }
        let complete = !map.databases.contains(&u16::MAX);
        complete.then_some(map).ok_or_else(|| StoreError::Failed("the shard map has gaps".into()))
    }

    /// The number of the database that has a shard.
    pub fn database_of(&self, shard: Shard) -> u16 {
        self.databases[usize::from(shard.number())]
    }

    /// The shards that a database has.
    pub fn shards_of(&self, number: u16) -> impl Iterator<Item = Shard> {
        Shard::all().filter(move |shard| self.database_of(*shard) == number)
    }

    /// How long ago it was asked for.
    pub fn age(&self) -> Duration {
        self.fetched.elapsed()
    }

    /// Keys by the number of their database.
    pub fn group<K>(&self, keys: impl Iterator<Item = (Shard, K)>) -> Vec<(u16, Vec<(Shard, K)>)> {
        let mut groups: BTreeMap<u16, Vec<(Shard, K)>> = BTreeMap::new();
        for (shard, key) in keys {
            groups.entry(self.database_of(shard)).or_default().push((shard, key));
        }
        groups.into_iter().collect()
    }
}

/// The copy of a server.
#[derive(Debug)]
pub struct CachedMap(RwLock<Arc<Map>>);

impl CachedMap {
    /// Starts with this copy.
    pub fn new(map: Map) -> Self {
        Self(RwLock::new(Arc::new(map)))
    }

    /// The copy as it is now.
    pub fn now(&self) -> Arc<Map> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a newer copy; one of an older version, from a replica that lags, is ignored.
    pub fn put(&self, map: Map) {
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if map.version >= kept.version {
            *kept = Arc::new(map);
        }
    }
}

impl Shared {
    /// Fetches the map anew. A replica will do while the primary is down, because the map does not change then.
    pub(super) async fn refresh_map(&self) -> StoreResult<()> {
        let fetched = Instant::now();
        let first = self.database(0)?;
        let mut ask = Ask {
            statement: Statement::new(READ_MAP),
            shards: Vec::new(),
            needed: None,
            check_shards: true,
            replicas: false,
            counted: false,
        };
        let rows = match first.read(&ask).await {
            Ok(rows) => rows,
            Err(_) => {
                ask.replicas = true;
                first.read(&ask).await?
            }
        };
        self.map.put(Map::of_rows(&rows.unwrap_or_default(), fetched)?);
        Ok(())
    }
}

/// Refreshes the map again and again, until the store is dropped.
pub fn keep_fresh(shared: &Arc<Shared>) {
    let shared = Arc::downgrade(shared);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(REFRESH).await;
            let Some(shared) = shared.upgrade() else { return };
            if let Err(error) = shared.refresh_map().await {
                tracing::warn!(%error, "the shard map cannot be refreshed; reads check the shards themselves");
            }
        }
    });
}
