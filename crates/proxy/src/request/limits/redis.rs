//! One worker's connection to the shared rate-limit Redis. While Redis does not answer, no request waits for it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use evenkeel_config as config;
use evenkeel_core::limit::{Backoff, Question, SCRIPT};
use evenkeel_observe::{RedisLink, RedisNews, Registry};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, RedisResult, Script};
use tokio::sync::Notify;

/// Questions of one worker that wait for an answer; a request beyond them does without.
const QUESTIONS_MAX: usize = 1024;
/// How long it may take to connect.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// The connection, or its absence.
pub struct Redis {
    settings: config::Redis,
    password: Option<String>,
    registry: Arc<Registry>,
    script: Script,
    state: RefCell<State>,
    /// How it is counted.
    link: Cell<RedisLink>,
    changed: Notify,
    waiting: Cell<usize>,
}

enum State {
    /// Not known yet.
    Connecting,
    Up(MultiplexedConnection),
    /// It has failed. A task tries to reach it again.
    Away,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("url", &self.settings.url).finish_non_exhaustive()
    }
}

impl Redis {
    /// Begins to connect. Must be called within the worker's runtime.
    pub fn start(settings: &config::Redis, password: Option<&String>, registry: &Arc<Registry>) -> Rc<Self> {
        registry.redis.begins();
        let redis = Rc::new(Self {
            settings: settings.clone(),
            password: password.cloned(),
            registry: Arc::clone(registry),
            script: Script::new(SCRIPT),
            state: RefCell::new(State::Connecting),
            link: Cell::new(RedisLink::Connecting),
            changed: Notify::new(),
            waiting: Cell::new(0),
        });
        tokio::task::spawn_local(reach(Rc::downgrade(&redis), Backoff::default()));
        redis
    }

    /// True if this is still what a new configuration describes.
    pub fn serves(&self, settings: &config::Redis, password: Option<&String>) -> bool {
        self.settings == *settings && self.password.as_ref() == password
    }

    /// What all keys begin with.
    pub fn prefix(&self) -> &str {
        &self.settings.prefix
    }

    /// The answer to a question; `None` if there is none in time.
    pub async fn ask(self: &Rc<Self>, question: &Question) -> Option<Vec<i64>> {
        if matches!(&*self.state.borrow(), State::Away) || self.waiting.get() >= QUESTIONS_MAX {
            return None;
        }
        let _waiting = Waiting::begin(&self.waiting);
        let asked = tokio::time::timeout(self.settings.timeout, async {
            let mut connection = self.connection().await?;
            let mut call = self.script.prepare_invoke();
            for key in &question.keys {
                call.key(key);
            }
            for argument in &question.arguments {
                call.arg(argument);
            }
            Some(call.invoke_async::<Vec<i64>>(&mut connection).await)
        });
        match asked.await {
            Ok(Some(Ok(answer))) => Some(answer),
            Ok(None) => None,
            Ok(Some(Err(error))) => self.failed(&error.to_string()),
            Err(_) => self.failed("no answer in time"),
        }
    }

    /// The connection, as soon as it is known whether there is one.
    async fn connection(&self) -> Option<MultiplexedConnection> {
        loop {
            let changed = self.changed.notified();
            match &*self.state.borrow() {
                State::Up(connection) => return Some(connection.clone()),
                State::Away => return None,
                State::Connecting => {}
            }
            changed.await;
        }
    }

    fn failed<T>(self: &Rc<Self>, why: &str) -> Option<T> {
        self.registry.redis.errors.increment();
        if matches!(&*self.state.borrow(), State::Up(_)) {
            self.gone(why);
            let mut backoff = Backoff::default();
            let (redis, wait) = (Rc::downgrade(self), backoff.failed());
            tokio::task::spawn_local(async move {
                tokio::time::sleep(wait).await;
                reach(redis, backoff).await;
            });
        }
        None
    }

    /// Counts it no longer: only requests that began with an older configuration still ask.
    pub fn retire(&self) {
        let _ = self.counts_as(RedisLink::Gone);
    }

    fn counts_as(&self, link: RedisLink) -> Option<RedisNews> {
        let before = self.link.get();
        if before == RedisLink::Gone {
            return None;
        }
        self.link.set(link);
        self.registry.redis.changes(before, link)
    }

    fn gone(&self, why: &str) {
        *self.state.borrow_mut() = State::Away;
        if self.counts_as(RedisLink::Away) == Some(RedisNews::WentAway) {
            tracing::warn!(redis = %self.settings.url, why, "Redis does not answer: shared limits do without it");
        }
        self.changed.notify_waiters();
    }

    fn reached(&self, connection: MultiplexedConnection) {
        *self.state.borrow_mut() = State::Up(connection);
        if self.counts_as(RedisLink::Up) == Some(RedisNews::CameBack) {
            tracing::info!(redis = %self.settings.url, "Redis answers again");
        }
        self.changed.notify_waiters();
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let mut info = self.settings.url.as_str().into_connection_info()?;
        if let Some(password) = &self.password {
            let with_password = info.redis_settings().clone().set_password(password);
            info = info.set_redis_settings(with_password);
        }
        let limits = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_MAX))
            .set_response_timeout(Some(CONNECT_MAX));
        let mut connection =
            Client::open(info)?.get_multiplexed_async_connection_with_config(&limits).await?;
        redis::cmd("PING").query_async::<()>(&mut connection).await?;
        Ok(connection)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.retire();
    }
}

/// Tries to connect until that works out, or the connection is not wanted any more.
async fn reach(redis: Weak<Redis>, mut backoff: Backoff) {
    loop {
        let is_wanted = |redis: &Rc<Redis>| redis.link.get() != RedisLink::Gone;
        let Some(redis) = redis.upgrade().filter(is_wanted) else { return };
        let error = match redis.connect().await {
            Ok(connection) => return redis.reached(connection),
            Err(error) => error,
        };
        redis.registry.redis.errors.increment();
        if matches!(&*redis.state.borrow(), State::Connecting) {
            redis.gone(&error.to_string());
        }
        drop(redis);
        tokio::time::sleep(backoff.failed()).await;
    }
}

/// A question that waits.
struct Waiting<'r>(&'r Cell<usize>);

impl<'r> Waiting<'r> {
    fn begin(waiting: &'r Cell<usize>) -> Self {
        waiting.set(waiting.get() + 1);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
