//! Where the shards are, and moving one to another database while writers go on.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions, Row};

use super::database::parse;
use super::errors::SqlError;
use super::settings::PostgresSettings;
use crate::ids::{SHARDS, Shard};
use crate::ports::store::{StoreError, StoreResult};

mod copy;
mod moving;
mod tables;

/// The advisory lock of moves, in database 0: one at a time.
const MOVES_LOCK: i64 = 7_701;

/// Where a shard is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Which shard.
    pub shard: Shard,
    /// The number of its database.
    pub database: u16,
}

/// Bounds of a move.
#[derive(Debug, Clone, Copy)]
pub struct MoveBounds {
    /// How long the writers of the shard wait at most. If the rest of the rows cannot be copied and counted within
    /// this time, the shard stays where it is.
    pub fence: Duration,
    /// How long to wait for replicas that lag, before the shard opens in its new database.
    pub replicas: Duration,
}

impl Default for MoveBounds {
    fn default() -> Self {
        Self { fence: Duration::from_secs(4), replicas: Duration::from_secs(2) }
    }
}

/// What a move has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Rows that were copied as of one moment.
    pub copied: u64,
    /// Changes that were copied after that.
    pub caught_up: u64,
    /// How long the writers of the shard had to wait.
    pub fenced: Duration,
    /// Whether all replicas knew of the move before the shard opened. If not, a server that had not noticed the move
    /// could for seconds read old rows from a replica that lagged.
    pub replicas_knew: bool,
    /// Old rows that were deleted.
    pub deleted: u64,
}

/// Where all shards are.
///
/// # Errors
/// The primary of database 0 does not answer, or no store was opened there yet.
pub async fn show(settings: &PostgresSettings) -> StoreResult<Vec<Placement>> {
    let mut first = connect(settings, 0).await?;
    placements(&mut first).await
}

/// Moves a shard to the database with the number `to`. A move that broke off is taken up again by the same call.
///
/// # Errors
/// A database does not answer; another move is under way; the rest could not be copied within the fence. The shard is
/// then where it was, unless the error says that it is closed.
pub async fn move_shard(
    settings: &PostgresSettings,
    shard: Shard,
    to: u16,
    bounds: MoveBounds,
) -> StoreResult<Moved> {
    let mut first = connect(settings, 0).await?;
    let alone = copy::run(&mut first, format!("SELECT pg_try_advisory_lock({MOVES_LOCK})")).await;
    if !row_value(&alone.map_err(failed)?)? {
        return Err(StoreError::Unavailable("another move is under way".into()));
    }
    let known = placements(&mut first).await?;
    let from = known.iter().find(|placement| placement.shard == shard).map(|placement| placement.database);
    let from = from.ok_or_else(|| StoreError::Failed("the shard map has gaps".into()))?;
    moving::Move::new(settings, shard, from, to, bounds, first).await?.run().await
}

async fn placements(first: &mut PgConnection) -> StoreResult<Vec<Placement>> {
    let rows =
        copy::run(first, "SELECT shard, number FROM shard_map ORDER BY shard").await.map_err(failed)?;
    let mut placements = Vec::with_capacity(usize::from(SHARDS));
    for row in &rows {
        let (shard, number): (i16, i16) = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
        let shard = u8::try_from(shard).ok().and_then(Shard::of_number);
        if let (Some(shard), Ok(database)) = (shard, u16::try_from(number)) {
            placements.push(Placement { shard, database });
        }
    }
    Ok(placements)
}

/// A connection to the primary of a database, without the bounds of those that serve requests.
async fn connect(settings: &PostgresSettings, number: u16) -> StoreResult<PgConnection> {
    let at = settings.databases.get(usize::from(number));
    let at =
        at.ok_or_else(|| StoreError::Failed(format!("the settings list no database {number}").into()))?;
    let options = parse(&at.write)?.application_name("minigram shards").options([("timezone", "UTC")]);
    options.connect().await.map_err(failed)
}

fn row_value<T>(rows: &[sqlx::postgres::PgRow]) -> StoreResult<T>
where
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    let row = rows.first().ok_or_else(|| failed(sqlx::Error::RowNotFound))?;
    row.try_get(0).map_err(failed)
}

fn failed(error: sqlx::Error) -> StoreError {
    SqlError::Sql(error).into()
}
