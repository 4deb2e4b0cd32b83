//! A pool of connections to one address, in which no sign-in is given up.
//!
//! To sign in is most of the work of a connection. If each attempt ended with the patience of the call that asked for it,
//! servers that are slow for a moment, as after a failover, would spend all their time on sign-ins that lead to nothing,
//! and would stay slow. So a connection is opened to its end, and the next call takes it.

use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::errors::SqlError;

/// The longest that the opening of a connection may take.
const OPEN_MAX: Duration = Duration::from_secs(20);

/// Connections to one address.
#[derive(Debug, Clone)]
pub struct Pool(bb8::Pool<Opener>);

/// A connection out of a pool, which goes back there with the drop.
pub type Pooled = bb8::PooledConnection<'static, Opener>;

impl Pool {
    /// A pool of at most so many connections. Nothing is connected yet.
    pub fn new(options: PgConnectOptions, connections_max: u32, acquire: Duration) -> Self {
        let builder = bb8::Pool::builder()
            .max_size(connections_max)
            .connection_timeout(acquire)
            // A dead connection shows by its first statement, which is repeated on another.
            .test_on_check_out(false)
            .error_sink(Box::new(Log));
        Self(builder.build_unchecked(Opener(options)))
    }

    /// A connection, free or new.
    pub async fn acquire(&self) -> Result<Pooled, SqlError> {
        self.0.get_owned().await.map_err(|error| match error {
            bb8::RunError::User(error) => SqlError::Sql(error),
            bb8::RunError::TimedOut => SqlError::Sql(sqlx::Error::PoolTimedOut),
        })
    }

    /// Connections in use.
    pub fn active(&self) -> u64 {
        let state = self.0.state();
        u64::from(state.connections.saturating_sub(state.idle_connections))
    }
}

/// What a pool holds.
#[derive(Debug)]
pub struct Session {
    /// The connection.
    pub connection: PgConnection,
    /// A statement runs, or the last one broke the connection, so the drop ends it.
    pub is_unfit: bool,
}

/// Opens connections.
#[derive(Debug, Clone)]
pub struct Opener(PgConnectOptions);

impl bb8::ManageConnection for Opener {
    type Connection = Session;
    type Error = sqlx::Error;

    async fn connect(&self) -> Result<Session, sqlx::Error> {
        let opened = tokio::time::timeout(OPEN_MAX, self.0.connect()).await;
        let connection = opened.map_err(|_| sqlx::Error::PoolTimedOut)??;
        Ok(Session { connection, is_unfit: false })
    }

    async fn is_valid(&self, _: &mut Session) -> Result<(), sqlx::Error> {
        Ok(())
    }

    fn has_broken(&self, session: &mut Session) -> bool {
        session.is_unfit
    }
}

/// Logs why connections could not be opened: a call sees only that it waited too long.
#[derive(Debug, Clone, Copy)]
struct Log;

impl bb8::ErrorSink<sqlx::Error> for Log {
    fn sink(&self, error: sqlx::Error) {
        tracing::debug!(%error, "a connection to PostgreSQL could not be opened");
    }

    fn boxed_clone(&self) -> Box<dyn bb8::ErrorSink<sqlx::Error>> {
        Box::new(*self)
    }
}
