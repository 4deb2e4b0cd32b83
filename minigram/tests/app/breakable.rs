//! Sessions that fail while a test says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use minigram::ids::UserId;
use minigram::ports::position::Position;
use minigram::ports::sessions::{RefreshToken, Session, SessionId, Sessions, SessionsError, SessionsResult};

/// Sessions that can become unavailable, as a whole or for notes alone.
pub struct Breakable {
    sessions: Arc<dyn Sessions>,
    pub broken: Arc<AtomicBool>,
    pub notes_broken: Arc<AtomicBool>,
    /// Looking for a session takes for ever.
    pub hangs: Arc<AtomicBool>,
    /// So do notes.
    pub notes_hang: Arc<AtomicBool>,
}

impl Breakable {
    pub fn new(sessions: Arc<dyn Sessions>) -> Self {
        let [broken, notes_broken, hangs, notes_hang] = Default::default();
        Self { sessions, broken, notes_broken, hangs, notes_hang }
    }

    fn check(&self) -> SessionsResult<()> {
        match self.broken.load(Ordering::SeqCst) {
            true => Err(SessionsError::Unavailable("broken by the test".into())),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Sessions for Breakable {
    async fn open(&self, user: UserId, ttl: Duration) -> SessionsResult<(Session, RefreshToken)> {
        self.check()?;
        self.sessions.open(user, ttl).await
    }

    async fn rotate(&self, token: &RefreshToken, ttl: Duration) -> SessionsResult<(Session, RefreshToken)> {
        self.check()?;
        self.sessions.rotate(token, ttl).await
    }

    async fn session(&self, id: SessionId) -> SessionsResult<Option<Session>> {
        self.check()?;
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.sessions.session(id).await
    }

    async fn note_write(&self, id: SessionId, written: Position) -> SessionsResult<()> {
        self.check()?;
        if self.notes_broken.load(Ordering::SeqCst) {
            return Err(SessionsError::Unavailable("broken by the test".into()));
        }
        if self.notes_hang.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.sessions.note_write(id, written).await
    }

    async fn revoke(&self, id: SessionId) -> SessionsResult<()> {
        self.check()?;
        self.sessions.revoke(id).await
    }

    async fn revoke_all(&self, user: UserId) -> SessionsResult<usize> {
        self.check()?;
        self.sessions.revoke_all(user).await
    }
}
