//! What a settings file says of the real engines, and how they are reached.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;

use super::Settings;
use crate::embedded::blobs::ObjectBlobs;
use crate::engines::Engines;
use crate::ports::blobs::Blobs;
use crate::ports::queue::Policy;
use crate::real::nats::{NatsQueue, NatsSettings};
use crate::real::postgres::{DatabaseSettings, PostgresSettings, PostgresStore};
use crate::real::redis::{RedisBus, RedisCache, RedisSessions, RedisSettings};
use crate::real::s3::{self, S3Settings};

/// How long a change of a session waits for the replica of Redis.
const REPLICAS_TIMEOUT: Duration = Duration::from_millis(200);

/// PostgreSQL.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresTable {
    /// The databases, in the order of their numbers, which never changes.
    pub databases: Vec<DatabaseTable>,
    /// Connections to each address, at most.
    pub connections: Option<u32>,
    /// With how many followers a user becomes a celebrity.
    pub celebrity_followers: Option<u64>,
}

/// One database.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseTable {
    /// The URL of the primary.
    pub write: String,
    /// The URL of the replicas; without it the primary answers all reads.
    pub read: Option<String>,
}

/// Redis.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisTable {
    /// The URL of the Redis for sessions and messages between servers.
    pub sessions: String,
    /// How many replicas should have a change of a session.
    #[serde(default)]
    pub replicas: u32,
    /// The URL of the Redis for the cache.
    pub cache: String,
}

/// NATS JetStream.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NatsTable {
    /// Its URL, or several with commas between them.
    pub url: String,
    /// On how many servers each stream is kept: 1, 3 or 5.
    pub replicas: Option<usize>,
}

/// Where pictures are: a directory that all processes share, or S3.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobsTable {
    /// This directory.
    pub directory: Option<PathBuf>,
    /// This bucket.
    pub s3: Option<S3Table>,
}

/// A bucket.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3Table {
    /// Where it is; Amazon's if left out.
    pub endpoint: Option<String>,
    /// The region.
    pub region: String,
    /// Its name.
    pub bucket: String,
    /// The name of the key.
    pub access_key: String,
    /// The file with the key.
    pub secret_key_file: PathBuf,
}

impl Settings {
    /// Reaches the real engines.
    pub(super) async fn connect_real(&self) -> anyhow::Result<Engines> {
        let (sessions, cache) = self.redis()?;
        let nats = self.nats()?;
        let blobs = self.blobs()?;
        let (store, sessions, cache, bus, queue) = tokio::try_join!(
            async { PostgresStore::connect(self.postgres()?).await.context("PostgreSQL") },
            async { RedisSessions::connect(&sessions).await.context("the Redis for sessions") },
            async { RedisCache::connect(&cache).await.context("the Redis for the cache") },
            async { RedisBus::connect(&sessions).await.context("the Redis for messages") },
            async { NatsQueue::connect(&nats, Policy::default()).await.context("NATS") },
        )?;
        Ok(Engines {
            store: Arc::new(store),
            sessions: Arc::new(sessions),
            cache: Arc::new(cache),
            queue: Arc::new(queue),
            bus: Arc::new(bus),
            blobs,
        })
    }

    /// Which databases there are, and how they are used.
    ///
    /// # Errors
    /// There is no table `[postgres]`.
    pub fn postgres(&self) -> anyhow::Result<PostgresSettings> {
        let said = self.postgres.as_ref().context("`engines = \"real\"` needs a table [postgres]")?;
        let database =
            |it: &DatabaseTable| DatabaseSettings { write: it.write.clone(), read: it.read.clone() };
        let mut settings = PostgresSettings::new(said.databases.iter().map(database).collect());
        settings.connections_max = said.connections.unwrap_or(settings.connections_max);
        settings.celebrity_followers = said.celebrity_followers.unwrap_or(settings.celebrity_followers);
        Ok(settings)
    }

    /// Of sessions and of the cache.
    fn redis(&self) -> anyhow::Result<(RedisSettings, RedisSettings)> {
        let said = self.redis.as_ref().context("`engines = \"real\"` needs a table [redis]")?;
        let sessions = RedisSettings {
            replicas: said.replicas,
            replicas_timeout: REPLICAS_TIMEOUT,
            ..RedisSettings::new(&said.sessions)
        };
        Ok((sessions, RedisSettings::new(&said.cache)))
    }

    fn nats(&self) -> anyhow::Result<NatsSettings> {
        let said = self.nats.as_ref().context("`engines = \"real\"` needs a table [nats]")?;
        let usual = NatsSettings::new(&said.url);
        Ok(NatsSettings { replicas: said.replicas.unwrap_or(usual.replicas), ..usual })
    }

    fn blobs(&self) -> anyhow::Result<Arc<dyn Blobs>> {
        let said = self.blobs.as_ref().context("`engines = \"real\"` needs a table [blobs]")?;
        let blobs = match (&said.directory, &said.s3) {
            (Some(directory), None) => {
                let directory = self.path(directory);
                ObjectBlobs::local(&directory).with_context(|| directory.display().to_string())?
            }
            (None, Some(s3)) => s3::connect(&S3Settings {
                endpoint: s3.endpoint.clone(),
                region: s3.region.clone(),
                bucket: s3.bucket.clone(),
                access_key: s3.access_key.clone(),
                secret_key: super::read_secret(&self.path(&s3.secret_key_file))?,
            })
            .context("the settings of S3")?,
            _ => bail!("[blobs] needs either `directory` or `s3`"),
        };
        Ok(Arc::new(blobs))
    }
}
