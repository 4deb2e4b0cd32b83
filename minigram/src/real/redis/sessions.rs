//! Sessions in Redis: a hash for each, the set of a user's, and one of all by the time at which they end.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use redis::{Cmd, Script, ScriptInvocation, Value, from_redis_value};
use tracing::{info, warn};

use super::link::{Link, ms, now, script};
use super::position::{from_text, to_text};
use super::settings::RedisSettings;
use super::shortage::Shortage;
use crate::clock::{Clock, Time};
use crate::ids::UserId;
use crate::ports::Source;
use crate::ports::position::{Position, Positions};
use crate::ports::sessions::{
    GRACE, RefreshToken, SecretHash, Session, SessionId, Sessions, SessionsError, SessionsResult,
};

/// Used tokens by which a theft is recognised; the oldest go first.
const USED_MAX: usize = 16;

/// The sessions of all servers.
#[derive(Debug)]
pub struct RedisSessions {
    /// For what changes nothing. Waiting for replicas would hold up what comes behind it.
    reads: Link,
    writes: Link,
    settings: RedisSettings,
    clock: Clock,
    scripts: Scripts,
    shortage: Shortage,
}

#[derive(Debug)]
struct Scripts {
    open: Script,
    rotate: Script,
    get: Script,
    note: Script,
    revoke: Script,
    revoke_all: Script,
}

impl RedisSessions {
    /// Connects; the time is Redis's.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn connect(settings: &RedisSettings) -> SessionsResult<Self> {
        Self::connect_with_clock(settings, Clock::System).await
    }

    /// Connects; the time is that of `clock`, if it is a manual one.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn connect_with_clock(settings: &RedisSettings, clock: Clock) -> SessionsResult<Self> {
        let link = || async { Link::connect(settings).await.map_err(SessionsError::Unavailable) };
        let (reads, writes) = (link().await?, link().await?);
        let script = |body| script(include_str!("lua/sessions.lua"), body);
        let scripts = Scripts {
            open: script(include_str!("lua/session_open.lua")),
            rotate: script(include_str!("lua/session_rotate.lua")),
            get: script(include_str!("lua/session_get.lua")),
            note: script(include_str!("lua/session_note.lua")),
            revoke: script(include_str!("lua/session_revoke.lua")),
            revoke_all: script(include_str!("lua/session_revoke_all.lua")),
        };
        Ok(Self { reads, writes, settings: settings.clone(), clock, scripts, shortage: Shortage::default() })
    }

    /// A call of `script` with what all of them need.
    fn call<'a>(&self, script: &'a Script) -> ScriptInvocation<'a> {
        let mut call = script.prepare_invoke();
        call.arg(now(&self.clock)).arg(&self.settings.prefix);
        call
    }

    async fn read(&self, call: &ScriptInvocation<'_>) -> SessionsResult<Value> {
        self.reads.run(call).await.map_err(SessionsError::Unavailable)
    }

    /// Changes something, and waits until replicas have it, so that it survives a failover. While there are too few replicas,
    /// most changes do not wait.
    async fn write(&self, call: &ScriptInvocation<'_>) -> SessionsResult<Value> {
        let value = self.writes.run(call).await.map_err(SessionsError::Unavailable)?;
        let replicas = self.settings.replicas;
        if replicas > 0 && self.shortage.is_to_wait(Instant::now()) {
            let timeout = self.settings.replicas_timeout.as_millis().max(1);
            let mut wait = Cmd::new();
            wait.arg("WAIT").arg(replicas).arg(u64::try_from(timeout).unwrap_or(u64::MAX));
            let have: u32 = self.writes.command(&wait).await.map_err(SessionsError::Unavailable)?;
            let had_enough = self.shortage.found(have >= replicas, Instant::now());
            if had_enough && have < replicas {
                warn!(have, wanted = replicas, "too few replicas of Redis have a session's change");
            } else if !had_enough && have >= replicas {
                info!(have, wanted = replicas, "enough replicas of Redis have the changes of sessions again");
            }
        }
        Ok(value)
    }
}

#[async_trait]
impl Sessions for RedisSessions {
    async fn open(&self, user: UserId, ttl: Duration) -> SessionsResult<(Session, RefreshToken)> {
        let id = SessionId::random()?;
        let token = RefreshToken::random(id)?;
        let mut call = self.call(&self.scripts.open);
        call.arg(id.to_string()).arg(user.to_sql()).arg(ms(ttl)).arg(hex(&token.hash()));
        let most = self.settings.sessions_max;
        match self.write(call.arg(most)).await? {
            Value::Nil => Err(SessionsError::Full(usize::try_from(most).unwrap_or(usize::MAX))),
            fields => Ok((session(id, fields)?.ok_or(SessionsError::Unknown)?, token)),
        }
    }

    async fn rotate(&self, token: &RefreshToken, ttl: Duration) -> SessionsResult<(Session, RefreshToken)> {
        let id = token.session();
        let new = RefreshToken::random(id)?;
        let mut call = self.call(&self.scripts.rotate);
        call.arg(id.to_string()).arg(hex(&token.hash())).arg(hex(&new.hash()));
        match self.write(call.arg(ms(ttl)).arg(ms(GRACE)).arg(USED_MAX)).await? {
            Value::BulkString(verdict) if verdict == b"reused" => Err(SessionsError::Reused),
            Value::BulkString(_) => Err(SessionsError::Unknown),
            fields => Ok((session(id, fields)?.ok_or(SessionsError::Unknown)?, new)),
        }
    }

    async fn session(&self, id: SessionId) -> SessionsResult<Option<Session>> {
        let mut call = self.call(&self.scripts.get);
        session(id, self.read(call.arg(id.to_string())).await?)
    }

    async fn note_write(&self, id: SessionId, written: Position) -> SessionsResult<()> {
        let mut call = self.call(&self.scripts.note);
        call.arg(id.to_string()).arg(format!("p{}", written.database)).arg(to_text(written));
        self.write(&call).await.map(drop)
    }

    async fn revoke(&self, id: SessionId) -> SessionsResult<()> {
        let mut call = self.call(&self.scripts.revoke);
        self.write(call.arg(id.to_string())).await.map(drop)
    }

    async fn revoke_all(&self, user: UserId) -> SessionsResult<usize> {
        let mut call = self.call(&self.scripts.revoke_all);
        let count = self.write(call.arg(user.to_sql())).await?;
        from_redis_value(count).map_err(|error| SessionsError::Unavailable(error.into()))
    }
}

/// The session with these fields; `None` if there are none.
fn session(id: SessionId, fields: Value) -> SessionsResult<Option<Session>> {
    let fields: HashMap<String, String> =
        from_redis_value(fields).map_err(|error| SessionsError::Unavailable(error.into()))?;
    if fields.is_empty() {
        return Ok(None);
    }
    let number = |name: &str| fields.get(name).and_then(|text| text.parse().ok());
    let (Some(user), Some(expires)) = (number("user"), number("expires")) else {
        let what = Source::from(format!("session {id} in Redis has no user or no end"));
        return Err(SessionsError::Unavailable(what));
    };
    let mut positions = Positions::none();
    for written in fields.iter().filter_map(|(name, text)| from_text(name.strip_prefix('p')?, text)) {
        positions.note(written);
    }
    let expires = Time(u64::try_from(expires).unwrap_or(0));
    Ok(Some(Session { id, user: UserId::from_sql(user), positions, expires }))
}

fn hex(hash: &SecretHash) -> String {
    hash.iter().fold(String::with_capacity(64), |text, byte| text + &format!("{byte:02x}"))
}
