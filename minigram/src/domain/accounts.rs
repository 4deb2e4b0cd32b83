//! Accounts: signing up, in and out, and refreshing a session.

use std::sync::Arc;
use std::time::Duration;

use super::passwords::{Password, PasswordError, Passwords};
use super::tokens::{Access, AccessTokens, TokenError};
use crate::clock::{Clock, Time};
use crate::ids::{IdMaker, UserId};
use crate::ports::position::Position;
use crate::ports::sessions::{RefreshToken, Session, Sessions, SessionsError};
use crate::ports::store::{NewUser, Profile, Store, StoreError};
use crate::ports::{Retriable, Retry};
use crate::text::UserName;

/// How often to make another id, when another server made the same in the same millisecond.
const ID_TRIES: u32 = 3;

/// Why an account's request failed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// There is no such user, or the password is another. Which of both is not said.
    #[error("the name or the password is wrong")]
    Wrong,
    /// Hashing failed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The store failed, or the name is taken.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sessions failed, or this one has ended.
    #[error(transparent)]
    Sessions(#[from] SessionsError),
    /// No token could be made.
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl Retriable for AccountError {
    fn retry(&self) -> Retry {
        match self {
            Self::Wrong | Self::Token(_) => Retry::Never,
            Self::Password(error) => error.retry(),
            Self::Store(error) => error.retry(),
            Self::Sessions(error) => error.retry(),
        }
    }
}

/// What a client gets that has signed in.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The session.
    pub session: Session,
    /// For every request, until `access_expires`.
    pub access: String,
    /// When `access` expires.
    pub access_expires: Time,
    /// For the next access token; works once.
    pub refresh: RefreshToken,
}

/// Accounts.
pub struct Accounts {
    store: Arc<dyn Store>,
    sessions: Arc<dyn Sessions>,
    passwords: Passwords,
    tokens: Arc<AccessTokens>,
    ids: Arc<IdMaker>,
    clock: Clock,
    session_ttl: Duration,
}

impl Accounts {
    /// Accounts whose sessions last `session_ttl` after they were last refreshed.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        sessions: Arc<dyn Sessions>,
        passwords: Passwords,
        tokens: Arc<AccessTokens>,
        ids: Arc<IdMaker>,
        clock: Clock,
        session_ttl: Duration,
    ) -> Self {
        Self { store, sessions, passwords, tokens, ids, clock, session_ttl }
    }

    /// Adds a user, and signs them in.
    ///
    /// # Errors
    /// `NameTaken` of the store, and what engines fail with.
    pub async fn sign_up(
        &self,
        name: UserName,
        profile: Profile,
        password: Password,
    ) -> Result<SignedIn, AccountError> {
        let password_hash = self.passwords.hash(password).await?;
        let created = self.clock.now();
        let id = self.ids.user(&name, created);
        let mut user = NewUser { id, name, profile, password_hash, created };
        let written = self.add(&mut user).await?;
        self.open(user.id, Some(written)).await
    }

    /// Opens a session for a user with this password.
    ///
    /// # Errors
    /// `Wrong`, and what engines fail with.
    pub async fn sign_in(&self, name: &UserName, password: Password) -> Result<SignedIn, AccountError> {
        let (user, hash) = self.store.password_hash(name).await?.unzip();
        let right = self.passwords.verify(password, hash).await?;
        match user {
            Some(user) if right => self.open(user, None).await,
            _ => Err(AccountError::Wrong),
        }
    }

    /// New tokens for a session.
    ///
    /// # Errors
    /// `Unknown` or `Reused` of the sessions, and what engines fail with.
    pub async fn refresh(&self, token: &RefreshToken) -> Result<SignedIn, AccountError> {
        let (session, refresh) = self.sessions.rotate(token, self.session_ttl).await?;
        self.signed_in(session, refresh)
    }

    /// Ends a session. Its access token works until it expires.
    ///
    /// # Errors
    /// What the sessions fail with.
    pub async fn sign_out(&self, access: Access) -> Result<(), AccountError> {
        Ok(self.sessions.revoke(access.session).await?)
    }

    /// Ends all sessions of a user, and says how many there were.
    ///
    /// # Errors
    /// What the sessions fail with.
    pub async fn sign_out_everywhere(&self, user: UserId) -> Result<usize, AccountError> {
        Ok(self.sessions.revoke_all(user).await?)
    }

    async fn add(&self, user: &mut NewUser) -> Result<Position, StoreError> {
        for _ in 1..ID_TRIES {
            match self.store.add_user(user).await {
                Err(StoreError::IdTaken) => user.id = self.ids.user(&user.name, self.clock.now()),
                result => return result,
            }
        }
        self.store.add_user(user).await
    }

    async fn open(&self, user: UserId, written: Option<Position>) -> Result<SignedIn, AccountError> {
        let (mut session, refresh) = self.sessions.open(user, self.session_ttl).await?;
        if let Some(written) = written {
            self.sessions.note_write(session.id, written).await?;
            session.positions.note(written);
        }
        self.signed_in(session, refresh)
    }

    fn signed_in(&self, session: Session, refresh: RefreshToken) -> Result<SignedIn, AccountError> {
        let (access, access_expires) =
            self.tokens.issue(Access { user: session.user, session: session.id })?;
        Ok(SignedIn { session, access, access_expires, refresh })
    }
}
