//! The store on PostgreSQL: a primary for writes, replicas for reads, and shards over several databases.

use std::sync::Arc;

use async_trait::async_trait;

use crate::ids::Shard;
use crate::ports::position::Position;
use crate::ports::store::{Reads, Store, StoreResult};

mod comments;
mod database;
mod errors;
mod feeds;
mod follows;
mod likes;
mod link;
mod map;
mod once;
mod open;
mod outbox;
mod photos;
mod pool;
mod rows;
mod settings;
mod settle;
pub mod shards;
mod shared;
mod users;
mod write;

pub use settings::{DatabaseSettings, PostgresSettings, Timeouts};

use map::CachedMap;
use shared::Shared;

/// The store. A copy is cheap, and works with the same connections. Background tasks end with the last copy.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    shared: Arc<Shared>,
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

    fn reads(&self) -> Reads {
        self.shared.databases.iter().map(|database| database.reads()).fold(Reads::default(), |sum, reads| {
            Reads { replica: sum.replica + reads.replica, primary: sum.primary + reads.primary }
        })
    }
}
