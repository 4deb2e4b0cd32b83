//! What PostgreSQL's errors mean for the call, and for the connection.

use std::time::Duration;

use crate::ports::store::StoreError;

/// Why a statement has no result.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// From the server, the connection, or the pool.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// The connection for writes leads to a server that is not the primary.
    #[error("the server for writes is a replica")]
    NotPrimary,
}

impl SqlError {
    /// The SQLSTATE that the server sent.
    pub fn code(&self) -> Option<String> {
        let Self::Sql(sqlx::Error::Database(error)) = self else { return None };
        error.code().map(|code| code.into_owned())
    }

    /// The constraint that the statement would have violated.
    pub fn constraint(&self) -> Option<&str> {
        let Self::Sql(sqlx::Error::Database(error)) = self else { return None };
        error.constraint()
    }

    /// Whether the same statement can succeed later, or on another connection.
    pub fn is_passing(&self) -> bool {
        self.breaks_connection()
            || self.code().is_some_and(|code| {
                // Out of resources; serialization failure, deadlock, conflict with recovery; lock not available;
                // statement timeout.
                code.starts_with("53") || code.starts_with("40") || code == "55P03" || code == "57014"
            })
    }

    /// Whether the connection is of no more use: it is broken, the server shuts down or starts, or it is no primary
    /// any more (`read_only_sql_transaction`), so that its successor must be looked for.
    pub fn breaks_connection(&self) -> bool {
        match self {
            Self::Late(_) | Self::NotPrimary => true,
            Self::Sql(sqlx::Error::Database(_)) => self.code().is_some_and(|code| {
                code.starts_with("08") || code.starts_with("57P") || code == "25006" || code == "25P03"
            }),
            Self::Sql(error) => matches!(
                error,
                sqlx::Error::Io(_)
                    | sqlx::Error::Tls(_)
                    | sqlx::Error::Protocol(_)
                    | sqlx::Error::PoolTimedOut
                    | sqlx::Error::PoolClosed
                    | sqlx::Error::WorkerCrashed
            ),
        }
    }
}

impl From<SqlError> for StoreError {
    fn from(error: SqlError) -> Self {
        if error.is_passing() { Self::Unavailable(error.into()) } else { Self::Failed(error.into()) }
    }
}

/// What to call an insert that failed because its id exists, or because what it refers to does not.
pub fn refused(error: SqlError, no_such: StoreError) -> StoreError {
    match error.code().as_deref() {
        Some("23503") => no_such,
        Some("23505") => StoreError::IdTaken,
        _ => error.into(),
    }
}
