//! One connection out of a pool, and the statements that run on it.

use std::future::Future;
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{AssertSqlSafe, Postgres};

use super::errors::SqlError;
use super::pool::{Pool, Pooled};

/// A statement with its values.
#[derive(Debug, Clone)]
pub struct Statement {
    sql: &'static str,
    values: Vec<Value>,
}

#[derive(Debug, Clone)]
enum Value {
    Int(i64),
    Ints(Vec<i64>),
    Text(String),
    Texts(Vec<String>),
    Blobs(Vec<Vec<u8>>),
    Number(f64),
}

impl Statement {
    /// A statement without values yet; they are bound in the order of `$1`, `$2`, ...
    pub fn new(sql: &'static str) -> Self {
        Self { sql, values: Vec::new() }
    }

    /// Binds a `BIGINT`.
    pub fn int(self, value: i64) -> Self {
        self.value(Value::Int(value))
    }

    /// Binds a `BIGINT[]`.
    pub fn ints(self, values: Vec<i64>) -> Self {
        self.value(Value::Ints(values))
    }

    /// Binds a `TEXT`.
    pub fn text(self, value: &str) -> Self {
        self.value(Value::Text(value.to_owned()))
    }

    /// Binds a `TEXT[]`.
    pub fn texts(self, values: Vec<String>) -> Self {
        self.value(Value::Texts(values))
    }

    /// Binds a `BYTEA[]`.
    pub fn blobs(self, values: Vec<Vec<u8>>) -> Self {
        self.value(Value::Blobs(values))
    }

    /// Binds seconds as a `DOUBLE PRECISION`.
    pub fn seconds(self, span: Duration) -> Self {
        self.value(Value::Number(span.as_secs_f64()))
    }

    fn value(mut self, value: Value) -> Self {
        self.values.push(value);
        self
    }

    fn query(self) -> sqlx::query::Query<'static, Postgres, PgArguments> {
        self.values.into_iter().fold(sqlx::query(self.sql), |query, value| match value {
            Value::Int(value) => query.bind(value),
            Value::Ints(values) => query.bind(values),
            Value::Text(value) => query.bind(value),
            Value::Texts(values) => query.bind(values),
            Value::Blobs(values) => query.bind(values),
            Value::Number(value) => query.bind(value),
        })
    }
}

/// A connection out of a pool. Dropped in the middle of a statement, or after an error that makes it useless, it is
/// closed; otherwise the pool gets it back.
#[derive(Debug)]
pub struct Link {
    session: Pooled,
    wait: Duration,
}

impl Link {
    /// A connection whose statements are waited for so long.
    pub async fn acquire(pool: &Pool, wait: Duration) -> Result<Self, SqlError> {
        Ok(Self { session: pool.acquire().await?, wait })
    }

    /// Runs a statement; its rows.
    pub async fn run(&mut self, statement: Statement) -> Result<Vec<PgRow>, SqlError> {
        self.session.is_unfit = true;
        let result = in_time(self.wait, statement.query().fetch_all(&mut self.session.connection)).await;
        self.session.is_unfit = result.as_ref().is_err_and(SqlError::breaks_connection);
        result
    }

    /// Runs statements without values, separated by `;`, in one round trip; the rows of all.
    pub async fn run_all(&mut self, sql: impl Into<String>) -> Result<Vec<PgRow>, SqlError> {
        self.session.is_unfit = true;
        let statements = sqlx::raw_sql(AssertSqlSafe(sql.into()));
        let result = in_time(self.wait, statements.fetch_all(&mut self.session.connection)).await;
        self.session.is_unfit = result.as_ref().is_err_and(SqlError::breaks_connection);
        result
    }

    /// Whether the drop closes the connection.
    pub fn is_unfit(&self) -> bool {
        self.session.is_unfit
    }

    /// Lets the drop close the connection.
    pub fn discard(&mut self) {
        self.session.is_unfit = true;
    }
}

async fn in_time<T>(
    wait: Duration,
    result: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, SqlError> {
    match tokio::time::timeout(wait, result).await {
        Ok(result) => result.map_err(SqlError::Sql),
        Err(_) => Err(SqlError::Late(wait)),
    }
}
