//! One database: a pool for writes, which leads to the primary, and one for reads, which leads to replicas.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::{PgConnectOptions, PgRow};
use tokio::time::Instant;

use super::errors::SqlError;
use super::link::{Link, Statement};
use super::pool::Pool;
use super::settings::{DatabaseSettings, PostgresSettings, Timeouts};
use crate::ids::Shard;
use crate::ports::position::Position;
use crate::ports::store::{Reads, StoreError, StoreResult};

/// Connections of the read pool that may turn out to be dead before the primary is asked instead.
const REPLICA_TRIES: u32 = 3;

/// Between two tries of the primary.
const PAUSE: Duration = Duration::from_millis(10);

/// How long the server waits longer than it needs before it ends the session of a server that vanished.
const IDLE_MAX: &str = "10s";

/// Where a server is in the log, and of how many of the shards in `$1` it answers reads.
///
/// On the primary the function names the timeline. A replica has none for what it has replayed: the receiver is ahead
/// of it, and the control file behind it. So the row counts that the first write on a timeline adds.
///
/// This must be a statement of its own, before the read: within the read it would be evaluated after the snapshot was
/// taken, and say more than the read shows.
const REACHED: &str = "SELECT
    CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_replay_lsn() - '0/0', 0)
         ELSE pg_current_wal_insert_lsn() - '0/0' END::bigint,
    CASE WHEN pg_is_in_recovery() THEN (SELECT coalesce(max(timeline), 0) FROM timelines)
         ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int END,
    (SELECT count(*) FROM shards WHERE shard = ANY($1) AND state IN ('open', 'fenced')),
    pg_is_in_recovery()";

/// What [`REACHED`] says.
struct Reached {
    position: Position,
    shards: usize,
    is_replica: bool,
}

/// A database of the store.
#[derive(Debug)]
pub struct Database {
    /// Its number, for positions.
    pub number: u16,
    /// For writes, and reads that no replica can answer.
    pub write: Pool,
    read: Option<Pool>,
    /// The newest timeline that this server has seen a row of.
    pub timeline: AtomicU32,
    /// How long to wait.
    pub timeouts: Timeouts,
    replica_reads: AtomicU64,
    primary_reads: AtomicU64,
}

/// A read of one database.
#[derive(Debug)]
pub struct Ask {
    /// What to read.
    pub statement: Statement,
    /// Of which shards; each once.
    pub shards: Vec<Shard>,
    /// What the read must show.
    pub needed: Option<Position>,
    /// Whether to make sure that the database has the shards; always for a read that no replica may answer.
    pub check_shards: bool,
    /// Whether a replica may answer.
    pub replicas: bool,
    /// Whether it is one of the application's reads, which are counted.
    pub counted: bool,
}

/// What one server answered.
enum Reply {
    Rows(Vec<PgRow>),
    Behind(Position),
    /// The server does not have the shards, or not yet, or no more.
    Moved,
}

impl Database {
    /// The pools for a database; nothing is connected yet.
    pub fn new(number: u16, at: &DatabaseSettings, settings: &PostgresSettings) -> StoreResult<Self> {
        let pool = |url: &str| -> StoreResult<Pool> {
            let options = with_timeouts(parse(url)?, settings.timeouts.statement);
            Ok(Pool::new(options, settings.connections_max, settings.timeouts.acquire))
        };
        Ok(Self {
            number,
            write: pool(&at.write)?,
            read: at.read.as_deref().map(pool).transpose()?,
            timeline: AtomicU32::new(0),
            timeouts: settings.timeouts,
            replica_reads: AtomicU64::new(0),
            primary_reads: AtomicU64::new(0),
        })
    }

    /// Who answered reads so far.
    pub fn reads(&self) -> Reads {
        let of = |reads: &AtomicU64| reads.load(Ordering::Relaxed);
        Reads { replica: of(&self.replica_reads), primary: of(&self.primary_reads) }
    }

    /// Connections in use.
    pub fn connections_active(&self) -> u64 {
        self.write.active() + self.read.as_ref().map_or(0, Pool::active)
    }

    /// A connection to the primary, or what leads there.
    pub async fn primary(&self) -> Result<Link, SqlError> {
        Link::acquire(&self.write, self.timeouts.wait()).await
    }

    /// Reads; from a replica if one shows enough, else from the primary. `None` if a shard is not here.
    pub async fn read(&self, ask: &Ask) -> StoreResult<Option<Vec<PgRow>>> {
        let mut behind = None;
        if let Some(pool) = self.read.as_ref().filter(|_| ask.replicas) {
            match self.read_from_replica(pool, ask).await {
                Some(Reply::Rows(rows)) => {
                    self.replica_reads.fetch_add(u64::from(ask.counted), Ordering::Relaxed);
                    return Ok(Some(rows));
                }
                Some(Reply::Behind(reached)) => behind = Some(reached),
                Some(Reply::Moved) | None => {}
            }
        }
        match self.read_from_primary(ask).await {
            Ok(Reply::Rows(rows)) => {
                self.primary_reads.fetch_add(u64::from(ask.counted), Ordering::Relaxed);
                return Ok(Some(rows));
            }
            Ok(Reply::Behind(reached)) => behind = Some(reached),
            Ok(Reply::Moved) => return Ok(None),
            Err(error) if behind.is_none() => return Err(error.into()),
            Err(error) => {
                tracing::debug!(database = self.number, %error, "the primary does not answer a read")
            }
        }
        match (ask.needed, behind) {
            (Some(needed), Some(reached)) => Err(StoreError::Behind { needed, reached }),
            _ => Err(StoreError::Failed("a read without a position was found to be behind".into())),
        }
    }

    /// `None` if no replica answers.
    async fn read_from_replica(&self, pool: &Pool, ask: &Ask) -> Option<Reply> {
        for _ in 0..REPLICA_TRIES {
            match self.read_from(pool, ask).await {
                Ok(reply) => return Some(reply),
                Err(error) => {
                    tracing::debug!(database = self.number, %error, "a replica does not answer a read");
                    // Waiting again would take as long again.
                    let slow = matches!(error, SqlError::Late(_) | SqlError::Sql(sqlx::Error::PoolTimedOut));
                    if slow || !error.breaks_connection() {
                        return None;
                    }
                }
            }
        }
        None
    }

    async fn read_from_primary(&self, ask: &Ask) -> Result<Reply, SqlError> {
        let end = Instant::now() + self.timeouts.retry;
        loop {
            match self.read_from(&self.write, ask).await {
                Err(error) if error.breaks_connection() && Instant::now() + PAUSE < end => {
                    tokio::time::sleep(PAUSE).await;
                }
                reply => return reply,
            }
        }
    }

    async fn read_from(&self, pool: &Pool, ask: &Ask) -> Result<Reply, SqlError> {
        let mut link = Link::acquire(pool, self.timeouts.wait()).await?;
        if ask.needed.is_some() || ask.check_shards {
            let reached = self.reached(&mut link, &ask.shards).await?;
            if reached.is_replica && !ask.replicas {
                link.discard();
                return Err(SqlError::NotPrimary);
            }
            if ask.needed.is_some_and(|needed| !needed.is_within(reached.position)) {
                return Ok(Reply::Behind(reached.position));
            }
            if ask.check_shards && reached.shards < ask.shards.len() {
                return Ok(Reply::Moved);
            }
        }
        Ok(Reply::Rows(link.run(ask.statement.clone()).await?))
    }

    async fn reached(&self, link: &mut Link, shards: &[Shard]) -> Result<Reached, SqlError> {
        let shards = shards.iter().map(|shard| i64::from(shard.number())).collect();
        let rows = link.run(Statement::new(REACHED).ints(shards)).await?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        Ok(Reached {
            position: self.position(row.try_get(0)?, row.try_get(1)?),
            shards: usize::try_from(row.try_get::<i64, _>(2)?).unwrap_or(0),
            is_replica: row.try_get(3)?,
        })
    }

    /// How far the primary has got; without a primary, a replica.
    pub async fn log_position(&self) -> StoreResult<Position> {
        let primary = async { self.reached(&mut self.primary().await?, &[]).await };
        match (primary.await, &self.read) {
            (Ok(reached), _) => Ok(reached.position),
            (Err(error), None) => Err(error.into()),
            (Err(_), Some(read)) => {
                let mut link = Link::acquire(read, self.timeouts.wait()).await?;
                Ok(self.reached(&mut link, &[]).await?.position)
            }
        }
    }

    /// A position in this database.
    pub fn position(&self, lsn: i64, timeline: i32) -> Position {
        Position {
            database: self.number,
            timeline: u32::try_from(timeline).unwrap_or(0),
            lsn: u64::try_from(lsn).unwrap_or(0),
        }
    }
}

impl Timeouts {
    /// How long to wait for an answer: longer than the server, so that its error arrives.
    pub(super) fn wait(&self) -> Duration {
        self.statement + Duration::from_secs(1)
    }
}

/// The options that an address says.
pub fn parse(url: &str) -> StoreResult<PgConnectOptions> {
    url.parse::<PgConnectOptions>().map_err(|error| StoreError::Failed(error.into()))
}

fn with_timeouts(options: PgConnectOptions, statement: Duration) -> PgConnectOptions {
    let limit = format!("{}ms", statement.as_millis());
    // A statement timeout does not end the wait of a commit for synchronous replicas: PostgreSQL disarms it before.
    options.application_name("minigram").options([
        ("statement_timeout", limit.as_str()),
        ("lock_timeout", limit.as_str()),
        ("idle_in_transaction_session_timeout", IDLE_MAX),
    ])
}
