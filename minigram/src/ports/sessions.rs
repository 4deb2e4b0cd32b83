//! Port: refresh sessions. Access tokens live for minutes and need no look-up; a session lives for weeks, and ends at
//! once when it is revoked.
//!
//! Guarantees of every engine:
//! - A session is not found once it has expired or was revoked, on whichever server.
//! - A refresh token can be used once. Within [`GRACE`] it can be used again, because a client may have lost the
//!   answer or have refreshed in two tabs at once. Later a used token shows that it was stolen, and revokes the
//!   session (RFC 9700, section 4.14.2).
//! - The engine keeps hashes of tokens only.
//! - Positions are merged: a write that was noted stays noted, in whichever order servers note theirs.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use super::position::{Position, Positions};
use super::{Retriable, Retry, Source};
use crate::clock::Time;
use crate::ids::UserId;

/// How long a refresh token that was used may be used once more.
pub const GRACE: Duration = Duration::from_secs(10);

/// Names a session; no secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId([u8; 16]);

/// What a client refreshes its session with: the id and a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    session: SessionId,
    secret: [u8; 32],
}

/// The hash of a token's secret: what engines keep.
pub type SecretHash = [u8; 32];

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The id.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// What the user wrote last: no read of theirs may be behind it.
    pub positions: Positions,
    /// When it ends, unless it is refreshed.
    pub expires: Time,
}

/// Sessions, kept where all servers find them.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Opens a session that ends after `ttl`, unless it is refreshed.
    async fn open(&self, user: UserId, ttl: Duration) -> SessionsResult<(Session, RefreshToken)>;

    /// Refreshes a session: it ends `ttl` from now, and has a new token.
    ///
    /// # Errors
    /// `Unknown`; `Reused`, and then the session is revoked.
    async fn rotate(&self, token: &RefreshToken, ttl: Duration) -> SessionsResult<(Session, RefreshToken)>;

    /// The session, if it has neither ended nor been revoked.
    async fn session(&self, id: SessionId) -> SessionsResult<Option<Session>>;

    /// Notes what the user wrote; nothing happens if the session has ended.
    async fn note_write(&self, id: SessionId, written: Position) -> SessionsResult<()>;

    /// Ends a session; nothing happens if it has ended.
    async fn revoke(&self, id: SessionId) -> SessionsResult<()>;

    /// Ends all sessions of a user, and says how many there were.
    async fn revoke_all(&self, user: UserId) -> SessionsResult<usize>;
}

/// What calls return.
pub type SessionsResult<T> = Result<T, SessionsError>;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum SessionsError {
    /// The session has ended or was revoked, or the token was never its own.
    #[error("the session has ended")]
    Unknown,
    /// The token was used before: somebody else has it. The session is revoked.
    #[error("the refresh token was used before; the session is revoked")]
    Reused,
    /// There are as many sessions as the engine may keep.
    #[error("{0} sessions are open, which is the limit")]
    Full(usize),
    /// The engine cannot be reached.
    #[error("the session store is unavailable: {0}")]
    Unavailable(#[source] Source),
}

impl Retriable for SessionsError {
    fn retry(&self) -> Retry {
        match self {
            Self::Unknown | Self::Reused => Retry::Never,
            Self::Full(_) | Self::Unavailable(_) => Retry::Soon,
        }
    }
}

impl SessionId {
    /// A new id.
    ///
    /// # Errors
    /// The machine has no random numbers.
    pub fn random() -> SessionsResult<Self> {
        random().map(Self)
    }
}

impl RefreshToken {
    /// A new token for a session.
    ///
    /// # Errors
    /// The machine has no random numbers.
    pub fn random(session: SessionId) -> SessionsResult<Self> {
        Ok(Self { session, secret: random()? })
    }

    /// Whose it is.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// What engines keep of it. The secret is random, so a plain hash cannot be guessed backwards.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        Sha256::digest(self.secret).into()
    }
}

fn random<const N: usize>() -> SessionsResult<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| SessionsError::Unavailable(error.into()))?;
    Ok(bytes)
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

impl FromStr for SessionId {
    type Err = SessionsError;

    fn from_str(text: &str) -> SessionsResult<Self> {
        read_hex(text).map(Self).ok_or(SessionsError::Unknown)
    }
}

/// As the client keeps it: secret, so never for logs.
impl fmt::Display for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.session.0)?;
        f.write_str(".")?;
        write_hex(f, &self.secret)
    }
}

/// Without the secret.
impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefreshToken({})", self.session)
    }
}

impl FromStr for RefreshToken {
    type Err = SessionsError;

    fn from_str(text: &str) -> SessionsResult<Self> {
        let (session, secret) = text.split_once('.').ok_or(SessionsError::Unknown)?;
        Ok(Self { session: session.parse()?, secret: read_hex(secret).ok_or(SessionsError::Unknown)? })
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn read_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written_and_its_secret_is_not_shown() {
        let token = RefreshToken::random(SessionId::random().unwrap()).unwrap();
        let text = token.to_string();
        assert_eq!(text.parse::<RefreshToken>().unwrap(), token);
        assert!(!format!("{token:?}").contains(&text[33..]));
        for wrong in ["", ".", "zz.zz", &text[1..], &format!("{text}0"), &text.replace('.', "")] {
            assert!(wrong.parse::<RefreshToken>().is_err(), "{wrong}");
        }
    }
}
