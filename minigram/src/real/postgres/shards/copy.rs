//! Copying the rows of a shard while writers go on: first all of them as of one moment, then what changed since.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};

use super::tables::{TABLES, Table};
use crate::ids::Shard;

/// Changes that one round copies.
const BATCH: i64 = 1000;

/// Rows that one statement deletes.
const DELETED_MAX: u64 = 5000;

type SqlResult<T> = Result<T, sqlx::Error>;
type Keys = BTreeSet<(i64, i64)>;

/// Runs statements without values.
pub async fn run(connection: &mut PgConnection, sql: impl Into<String>) -> SqlResult<Vec<PgRow>> {
    sqlx::raw_sql(AssertSqlSafe(sql.into())).fetch_all(connection).await
}

/// Copies all rows of a shard as of one moment; how many.
pub async fn copy_all(from: &mut PgConnection, to: &mut PgConnection, shard: Shard) -> SqlResult<u64> {
    run(from, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let mut rows = 0;
    for table in &TABLES {
        let out = format!("COPY (SELECT * FROM {} WHERE {}) TO STDOUT", table.name, table.of_shard(shard));
        let mut target = to.copy_in_raw(&format!("COPY {} FROM STDIN", table.name)).await?;
        let mut chunks = from.copy_out_raw(&out).await?;
        while let Some(chunk) = chunks.try_next().await? {
            target.send(chunk).await?;
        }
        drop(chunks);
        rows += target.finish().await?;
    }
    run(from, "COMMIT").await?;
    Ok(rows)
}

/// Copies rows that changed since; how many changes there were. None are left if the shard is fenced and this is 0.
pub async fn catch_up(from: &mut PgConnection, to: &mut PgConnection) -> SqlResult<usize> {
    let changes = sqlx::query("SELECT number, tab, a, b FROM shard_changes ORDER BY number LIMIT $1")
        .bind(BATCH)
        .fetch_all(&mut *from)
        .await?;
    let (mut numbers, mut keys) = (Vec::new(), BTreeMap::<String, Keys>::new());
    for change in &changes {
        numbers.push(change.try_get::<i64, _>(0)?);
        keys.entry(change.try_get(1)?).or_default().insert((change.try_get(2)?, change.try_get(3)?));
    }
    if numbers.is_empty() {
        return Ok(0);
    }
    // One moment for all tables, so that no row arrives without those that it refers to.
    run(from, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let mut present = Vec::new();
    for table in &TABLES {
        let wanted = keys.remove(table.name).unwrap_or_default();
        let rows = with_keys(from, table.find(), wanted.iter()).await?;
        present.push((table, wanted, rows));
    }
    run(from, "COMMIT").await?;
    write_rows(to, &present).await?;
    // After the copy is committed: if this process ends before, the changes are copied again.
    sqlx::query("DELETE FROM shard_changes WHERE number = ANY($1)").bind(&numbers).execute(from).await?;
    Ok(numbers.len())
}

async fn write_rows(to: &mut PgConnection, tables: &[(&Table, Keys, Vec<PgRow>)]) -> SqlResult<()> {
    run(to, "BEGIN").await?;
    for (table, wanted, rows) in tables.iter().rev() {
        let mut gone = wanted.clone();
        for row in rows {
            gone.remove(&(row.try_get(0)?, row.try_get(1)?));
        }
        with_keys(to, table.delete(), gone.iter()).await?;
    }
    for (table, _, rows) in tables.iter().filter(|(_, _, rows)| !rows.is_empty()) {
        let rows: Vec<&str> = rows.iter().map(|row| row.try_get(2)).collect::<SqlResult<_>>()?;
        let rows = format!("[{}]", rows.join(","));
        sqlx::query(AssertSqlSafe(table.put())).bind(rows).execute(&mut *to).await?;
    }
    run(to, "COMMIT").await.map(drop)
}

async fn with_keys(
    connection: &mut PgConnection,
    sql: String,
    keys: impl Iterator<Item = &(i64, i64)>,
) -> SqlResult<Vec<PgRow>> {
    let (a, b): (Vec<i64>, Vec<i64>) = keys.copied().unzip();
    if a.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query(AssertSqlSafe(sql)).bind(a).bind(b).fetch_all(connection).await
}

/// Copies the list of celebrities, which every database has whole.
pub async fn copy_celebrities(from: &mut PgConnection, to: &mut PgConnection) -> SqlResult<()> {
    let rows = run(from, "SELECT user_id FROM celebrities").await?;
    let ids: Vec<i64> = rows.iter().map(|row| row.try_get(0)).collect::<SqlResult<_>>()?;
    let add = "INSERT INTO celebrities (user_id, spread) SELECT id, TRUE FROM unnest($1::bigint[]) AS id
        ORDER BY id ON CONFLICT DO NOTHING";
    sqlx::query(add).bind(ids).execute(to).await.map(drop)
}

/// The first table whose rows of a shard differ, with what each database has.
pub async fn difference(
    from: &mut PgConnection,
    to: &mut PgConnection,
    shard: Shard,
) -> SqlResult<Option<String>> {
    for table in &TABLES {
        let (here, there) = (sum(from, table, shard).await?, sum(to, table, shard).await?);
        if here != there {
            return Ok(Some(format!("{}: {} rows here, {} there", table.name, here.0, there.0)));
        }
    }
    Ok(None)
}

async fn sum(connection: &mut PgConnection, table: &Table, shard: Shard) -> SqlResult<(i64, String)> {
    let row = sqlx::query(AssertSqlSafe(table.sum(shard))).fetch_one(connection).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// Deletes the rows of a shard, in small steps; how many.
pub async fn delete_all(connection: &mut PgConnection, shard: Shard) -> SqlResult<u64> {
    let mut deleted = 0;
    for table in TABLES.iter().rev() {
        let sql = format!(
            "DELETE FROM {0} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {0} WHERE {1} LIMIT {DELETED_MAX}))",
            table.name,
            table.of_shard(shard)
        );
        loop {
            let rows = sqlx::query(AssertSqlSafe(sql.clone())).execute(&mut *connection).await?;
            deleted += rows.rows_affected();
            if rows.rows_affected() < DELETED_MAX {
                break;
            }
        }
    }
    Ok(deleted)
}
