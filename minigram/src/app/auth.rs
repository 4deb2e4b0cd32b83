//! Who sends a request, and what they wrote last.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::problem::{Answer, Problem};
use super::server::App;
use crate::domain::tokens::{Access, TokenError};
use crate::ids::UserId;
use crate::ports::position::Positions;
use crate::ports::sessions::SessionsError;

/// A user who is signed in.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    /// Who, and by which session.
    pub access: Access,
    /// What no read for this user may be behind.
    pub positions: Positions,
}

/// A user who may be signed in.
#[derive(Debug, Clone)]
pub(crate) struct Viewer(pub Option<Signed>);

impl Signed {
    pub fn user(&self) -> UserId {
        self.access.user
    }
}

impl Viewer {
    pub fn user(&self) -> Option<UserId> {
        self.0.as_ref().map(Signed::user)
    }

    pub fn positions(&self) -> Positions {
        self.0.as_ref().map_or_else(Positions::none, |signed| signed.positions.clone())
    }
}

impl App {
    /// The user whose access token this is. The session must be open, so that access ends with it at once.
    pub(crate) async fn signed(&self, token: &str) -> Answer<Signed> {
        let access = self.tokens.check(token)?;
        let session = self.engines.sessions.session(access.session).await?.ok_or(SessionsError::Unknown)?;
        Ok(Signed { access, positions: session.positions })
    }
}

impl FromRequestParts<App> for Signed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        app.signed(bearer(parts)?.ok_or(TokenError::Invalid)?).await
    }
}

impl FromRequestParts<App> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        match bearer(parts)? {
            Some(token) => app.signed(token).await.map(|signed| Self(Some(signed))),
            None => Ok(Self(None)),
        }
    }
}

/// The token in `Authorization`, if there is one.
fn bearer(parts: &Parts) -> Answer<Option<&str>> {
    let Some(value) = parts.headers.get(AUTHORIZATION) else { return Ok(None) };
    let (scheme, token) =
        value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(TokenError::Invalid)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(TokenError::Invalid.into());
    }
    Ok(Some(token.trim()))
}
