//! Opening the databases: the schema, the number of each, and the first distribution of the shards.

use std::sync::Arc;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, SqlStr};
use tokio::time::Instant;

use super::database::{Database, parse};
use super::errors::SqlError;
use super::link::Statement;
use super::map::{Map, READ_MAP};
use super::settings::PostgresSettings;
use super::write::{Begun, Write};
use crate::ids::SHARDS;
use crate::ports::store::{StoreError, StoreResult};

const MIGRATIONS: [(i64, &str, &str); 3] = [
    (1, "first", include_str!("../../../migrations/postgres/0001_first.sql")),
    (2, "once", include_str!("../../../migrations/postgres/0002_once.sql")),
    (3, "processing", include_str!("../../../migrations/postgres/0003_processing.sql")),
];

/// The advisory lock of the first distribution.
const DISTRIBUTION_LOCK: i64 = 7_700;

/// Opens all databases of the settings.
pub async fn open(settings: &PostgresSettings) -> StoreResult<(Vec<Arc<Database>>, Map)> {
    let mut databases = Vec::new();
    for (number, at) in settings.databases.iter().enumerate() {
        let number = u16::try_from(number).map_err(|error| StoreError::Failed(error.into()))?;
        migrate(&at.write, number).await?;
        databases.push(Arc::new(Database::new(number, at, settings)?));
    }
    let first = databases.first().ok_or_else(|| StoreError::Failed("no database is listed".into()))?;
    let map = distribute(first, databases.len()).await?;
    for database in &databases {
        adopt(database, &map).await?;
    }
    Ok((databases, map))
}

/// Brings the schema up to date and makes sure that the database is the one with this number.
async fn migrate(url: &str, number: u16) -> StoreResult<()> {
    let mut connection = parse(url)?.connect().await.map_err(failed)?;
    let migration = |&(version, name, sql): &(i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, SqlStr::from_static(sql), false)
    };
    let migrator = Migrator::with_migrations(MIGRATIONS.iter().map(migration).collect());
    migrator.run(&mut connection).await.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failed(error),
        error => StoreError::Failed(error.into()),
    })?;
    let known = check_number(&mut connection, number).await.map_err(failed)?;
    connection.close().await.map_err(failed)?;
    if known == i64::from(number) {
        return Ok(());
    }
    let reason = format!("the settings list database {known} as number {number}; its number never changes");
    Err(StoreError::Failed(reason.into()))
}

async fn check_number(connection: &mut PgConnection, number: u16) -> Result<i64, sqlx::Error> {
    let first = format!("INSERT INTO this_database (number) VALUES ({number}) ON CONFLICT DO NOTHING");
    sqlx::raw_sql(AssertSqlSafe(first)).execute(&mut *connection).await?;
    sqlx::query("SELECT number::bigint FROM this_database").fetch_one(connection).await?.try_get(0)
}

/// The map; the first server makes it, and spreads the shards evenly.
async fn distribute(first: &Arc<Database>, databases: usize) -> StoreResult<Map> {
    let mut write = begin(first).await?;
    write.run(Statement::new("SELECT pg_advisory_xact_lock($1)").int(DISTRIBUTION_LOCK)).await?;
    let made = Statement::new(
        "INSERT INTO shard_map_version (version) VALUES (1) ON CONFLICT DO NOTHING RETURNING version",
    );
    if !write.run(made).await?.is_empty() {
        let spread = Statement::new(
            "INSERT INTO shard_map (shard, number) SELECT s, s % $1 FROM generate_series(0, $2 - 1) AS s",
        );
        let databases = i64::try_from(databases).map_err(|error| StoreError::Failed(error.into()))?;
        write.run(spread.int(databases).int(i64::from(SHARDS))).await?;
    }
    let fetched = Instant::now();
    let map = Map::of_rows(&write.run(Statement::new(READ_MAP)).await?, fetched)?;
    write.commit().await?;
    Ok(map)
}

/// Opens the shards that the map gives to this database, unless it knows of them. A shard that has moved away is known
/// as gone, so only the first distribution gets here.
async fn adopt(database: &Arc<Database>, map: &Map) -> StoreResult<()> {
    let shards = map.shards_of(database.number).map(|shard| i64::from(shard.number())).collect();
    let mut write = begin(database).await?;
    let open = "INSERT INTO shards (shard, state) SELECT s, 'open' FROM unnest($1::bigint[]) AS s
        ON CONFLICT DO NOTHING";
    write.run(Statement::new(open).ints(shards)).await?;
    write.commit().await.map(drop)
}

async fn begin(database: &Arc<Database>) -> StoreResult<Write> {
    match Write::begin(database, &[]).await? {
        Begun::Open(write) => Ok(write),
        Begun::Fenced | Begun::Moved => Err(StoreError::Failed("no shard was asked for".into())),
    }
}

fn failed(error: sqlx::Error) -> StoreError {
    SqlError::Sql(error).into()
}
