//! Sessions in memory. They end with the process, and users sign in again.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;

use super::lock;
use crate::clock::{Clock, Time};
use crate::ids::UserId;
use crate::ports::position::{Position, Positions};
use crate::ports::sessions::{
    GRACE, RefreshToken, SecretHash, Session, SessionId, Sessions, SessionsError, SessionsResult,
};

/// Used tokens by which a theft is recognised; the oldest go first.
const USED_MAX: usize = 16;

/// The sessions of one process.
#[derive(Debug)]
pub struct MemorySessions {
    clock: Clock,
    sessions_max: usize,
    sessions: Mutex<HashMap<SessionId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    user: UserId,
    positions: Positions,
    expires: Time,
    current: SecretHash,
    /// Tokens that were used, and when, oldest first.
    used: Vec<(SecretHash, Time)>,
}

enum Token {
    Valid,
    Stolen,
    Foreign,
}

impl MemorySessions {
    /// No sessions yet; at most `sessions_max` at once.
    #[must_use]
    pub fn new(clock: Clock, sessions_max: usize) -> Self {
        Self { clock, sessions_max, sessions: Mutex::default() }
    }
}

#[async_trait]
impl Sessions for MemorySessions {
    async fn open(&self, user: UserId, ttl: Duration) -> SessionsResult<(Session, RefreshToken)> {
        let id = SessionId::random()?;
        let token = RefreshToken::random(id)?;
        let now = self.clock.now();
        let mut sessions = lock(&self.sessions);
        if sessions.len() >= self.sessions_max {
            sessions.retain(|_, entry| now < entry.expires);
        }
        if sessions.len() >= self.sessions_max {
            return Err(SessionsError::Full(self.sessions_max));
        }
        let entry = Entry {
            user,
            positions: Positions::none(),
            expires: now.plus(ttl),
            current: token.hash(),
            used: Vec::new(),
        };
        let session = entry.session(id);
        sessions.insert(id, entry);
        Ok((session, token))
    }

    async fn rotate(&self, token: &RefreshToken, ttl: Duration) -> SessionsResult<(Session, RefreshToken)> {
        let id = token.session();
        let new = RefreshToken::random(id)?;
        let now = self.clock.now();
        let mut sessions = lock(&self.sessions);
        let entry = live(&mut sessions, id, now).ok_or(SessionsError::Unknown)?;
        match entry.judge(&token.hash(), now) {
            Token::Valid => {
                entry.replace(new.hash(), now);
                entry.expires = now.plus(ttl);
                Ok((entry.session(id), new))
            }
            Token::Stolen => {
                sessions.remove(&id);
                Err(SessionsError::Reused)
            }
            Token::Foreign => Err(SessionsError::Unknown),
        }
    }

    async fn session(&self, id: SessionId) -> SessionsResult<Option<Session>> {
        let now = self.clock.now();
        Ok(live(&mut lock(&self.sessions), id, now).map(|entry| entry.session(id)))
    }

    async fn note_write(&self, id: SessionId, written: Position) -> SessionsResult<()> {
        let now = self.clock.now();
        if let Some(entry) = live(&mut lock(&self.sessions), id, now) {
            entry.positions.note(written);
        }
        Ok(())
    }

    async fn revoke(&self, id: SessionId) -> SessionsResult<()> {
        lock(&self.sessions).remove(&id);
        Ok(())
    }

    async fn revoke_all(&self, user: UserId) -> SessionsResult<usize> {
        let now = self.clock.now();
        let mut sessions = lock(&self.sessions);
        sessions.retain(|_, entry| now < entry.expires);
        let before = sessions.len();
        sessions.retain(|_, entry| entry.user != user);
        Ok(before - sessions.len())
    }
}

fn live(sessions: &mut HashMap<SessionId, Entry>, id: SessionId, now: Time) -> Option<&mut Entry> {
    if sessions.get(&id)?.expires <= now {
        sessions.remove(&id);
    }
    sessions.get_mut(&id)
}

impl Entry {
    fn session(&self, id: SessionId) -> Session {
        Session { id, user: self.user, positions: self.positions.clone(), expires: self.expires }
    }

    fn judge(&self, hash: &SecretHash, now: Time) -> Token {
        if *hash == self.current {
            return Token::Valid;
        }
        match self.used.iter().find(|(used, _)| used == hash) {
            Some((_, when)) if now.since(*when) < GRACE => Token::Valid,
            Some(_) => Token::Stolen,
            None => Token::Foreign,
        }
    }

    fn replace(&mut self, new: SecretHash, now: Time) {
        if self.used.len() == USED_MAX {
            self.used.remove(0);
        }
        self.used.push((self.current, now));
        self.current = new;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sessions_that_ended_make_room() {
        let clock = Clock::manual(Time(0));
        let sessions = MemorySessions::new(clock.clone(), 1);
        let ttl = Duration::from_secs(60);
        sessions.open(UserId::from_sql(1), ttl).await.unwrap();
        assert!(matches!(sessions.open(UserId::from_sql(2), ttl).await, Err(SessionsError::Full(1))));
        clock.advance(ttl);
        assert!(sessions.open(UserId::from_sql(2), ttl).await.is_ok());
    }
}
