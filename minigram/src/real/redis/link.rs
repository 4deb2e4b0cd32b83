//! A connection that all calls of an engine share, that comes back by itself, and that fails fast while Redis is down.

use std::sync::Mutex;
use std::time::Duration;

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{
    Client, Cmd, FromRedisValue, IntoConnectionInfo, RedisError, RedisResult, Script, ScriptInvocation,
};
use tokio::time::{Instant, timeout};

use super::settings::RedisSettings;
use crate::clock::Clock;
use crate::ports::Source;

/// How long calls fail at once after one has failed twice.
const PAUSE: Duration = Duration::from_millis(100);

/// After how long without an acknowledgement of TCP the kernel gives a connection up.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(5);

/// Why no call was made.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("Redis failed within the last {PAUSE:?}")]
    Paused,
    #[error("Redis did not answer within {0:?}")]
    Slow(Duration),
}

/// The connection.
pub(super) struct Link {
    connection: ConnectionManager,
    /// For connecting and the answer together.
    call_timeout: Duration,
    paused_until: Mutex<Option<Instant>>,
}

impl Link {
    /// Connects.
    pub(super) async fn connect(settings: &RedisSettings) -> Result<Self, Source> {
        let config = ConnectionManagerConfig::new()
            // Each call tries once to connect; the next call tries again.
            .set_number_of_retries(0)
            .set_connection_timeout(Some(settings.connect_timeout))
            .set_response_timeout(Some(settings.response_timeout));
        let connection = ConnectionManager::new_with_config(client(settings)?, config).await?;
        let call_timeout = settings.connect_timeout + settings.response_timeout;
        Ok(Self { connection, call_timeout, paused_until: Mutex::default() })
    }

    /// Runs a script. It may run twice, if the connection breaks before the answer.
    pub(super) async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, Source> {
        self.send(Request::Script(script)).await
    }

    /// Runs a command. It may run twice, if the connection breaks before the answer.
    pub(super) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Source> {
        self.send(Request::Command(command)).await
    }

    /// Sends a request, and sends it again if the connection was cut: the first one after a failover finds that out.
    async fn send<T: FromRedisValue>(&self, request: Request<'_>) -> Result<T, Source> {
        if self.is_paused() {
            return Err(Refused::Paused.into());
        }
        let result = match self.bounded(request.send(self.connection.clone())).await {
            Err(error) if was_cut(&error) => self.bounded(request.send(self.connection.clone())).await,
            result => result,
        };
        let down = result.as_ref().is_err_and(|error| {
            error.downcast_ref::<RedisError>().is_none_or(RedisError::is_unrecoverable_error)
        });
        *self.pause() = down.then(|| Instant::now() + PAUSE);
        result
    }

    async fn bounded<T>(&self, call: impl Future<Output = RedisResult<T>>) -> Result<T, Source> {
        match timeout(self.call_timeout, call).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(Refused::Slow(self.call_timeout).into()),
        }
    }

    fn is_paused(&self) -> bool {
        self.pause().is_some_and(|until| Instant::now() < until)
    }

    fn pause(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.paused_until.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// What to send.
enum Request<'a> {
    Script(&'a ScriptInvocation<'a>),
    Command(&'a Cmd),
}

impl Request<'_> {
    async fn send<T: FromRedisValue>(&self, mut connection: ConnectionManager) -> RedisResult<T> {
        match self {
            Self::Script(script) => script.invoke_async(&mut connection).await,
            Self::Command(command) => command.query_async(&mut connection).await,
        }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("database", &self.connection.get_db()).finish_non_exhaustive()
    }
}

/// What opens connections to the Redis of these settings.
pub(super) fn client(settings: &RedisSettings) -> RedisResult<Client> {
    let tcp = TcpSettings::default().set_nodelay(true).set_user_timeout(UNACKNOWLEDGED_MAX);
    Client::open(settings.url.as_str().into_connection_info()?.set_tcp_settings(tcp))
}

/// The time for a script: 0 stands for Redis's own clock, which is one for all servers.
pub(super) fn now(clock: &Clock) -> u64 {
    match clock {
        Clock::System => 0,
        Clock::Manual(_) => clock.now().0,
    }
}

/// A script that knows the time and all else of `prelude`.
pub(super) fn script(prelude: &str, body: &str) -> Script {
    Script::new(&[include_str!("lua/now.lua"), prelude, body].join("\n"))
}

/// A span for a script.
pub(super) fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn was_cut(error: &Source) -> bool {
    error.downcast_ref::<RedisError>().is_some_and(|error| {
        error.is_unrecoverable_error() && !error.is_timeout() && !error.is_connection_refusal()
    })
}
