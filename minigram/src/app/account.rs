//! Signing up, in and out, and refreshing a session. The refresh token is a cookie that scripts cannot read and that is
//! sent to these paths alone.

use axum::Json;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::ToSchema;

use super::auth::{Signed, Viewer};
use super::bodies::{SignedInJson, UserJson};
use super::problem::{Answer, Problem, ProblemJson};
use super::requests::Sent;
use super::server::App;
use crate::domain::accounts::SignedIn;
use crate::domain::passwords::Password;
use crate::domain::views::keys;
use crate::ports::sessions::{RefreshToken, SessionsError};
use crate::ports::store::Profile;
use crate::text::UserName;

const REFRESH_COOKIE: &str = "minigram_refresh";

/// A new user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignUp {
    /// 3 to 30 characters of a to z, digits and `_`.
    name: String,
    /// 8 to 200 bytes.
    password: String,
    /// At most 50 characters.
    #[serde(default)]
    display_name: String,
    /// At most 300 characters.
    #[serde(default)]
    bio: String,
}

/// A name and its password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    name: String,
    password: String,
}

/// Signs a new user up, and in.
#[utoipa::path(post, path = "/users", tag = "account", request_body = SignUp, responses(
    (status = 201, body = SignedInJson),
    (status = 409, description = "The name is taken", body = ProblemJson),
    (status = 422, description = "The name, the password or a text is not allowed", body = ProblemJson),
))]
pub(crate) async fn sign_up(State(app): State<App>, Sent(sent): Sent<SignUp>) -> Answer {
    let name: UserName = sent.name.parse()?;
    let profile = Profile::new(&sent.display_name, &sent.bio)?;
    let signed_in = app.accounts.sign_up(name.clone(), profile, Password::new(&sent.password)?).await?;
    app.metrics.sign_ups.inc();
    app.invalidate(&signed_in.session.positions, &keys::searches_for(&name)).await?;
    app.signed_in(StatusCode::CREATED, signed_in).await
}

/// Opens a session.
#[utoipa::path(post, path = "/session", tag = "account", request_body = SignIn, responses(
    (status = 201, body = SignedInJson),
    (status = 401, description = "The name or the password is wrong", body = ProblemJson),
    (status = 429, description = "Too many attempts under this name", body = ProblemJson),
))]
pub(crate) async fn sign_in(State(app): State<App>, Sent(sent): Sent<SignIn>) -> Answer {
    // What no account can have is wrong, and nothing else, so that the rules say nothing of accounts.
    let wrong = |_| Problem::new(StatusCode::UNAUTHORIZED, "the name or the password is wrong");
    let name: UserName = sent.name.parse().map_err(wrong)?;
    let password = Password::new(&sent.password).map_err(wrong)?;
    app.sign_in_limits.take(&name, app.settings.clock.now()).map_err(|wait| {
        Problem::too_many("too many attempts to sign in under this name", wait.as_secs().max(1))
    })?;
    let signed_in = app.accounts.sign_in(&name, password).await?;
    app.sign_in_limits.give_back(&name);
    app.signed_in(StatusCode::CREATED, signed_in).await
}

/// New tokens for the session of the cookie.
#[utoipa::path(post, path = "/session/refresh", tag = "account", responses(
    (status = 200, body = SignedInJson),
    (status = 401, description = "The session has ended", body = ProblemJson),
))]
pub(crate) async fn refresh(State(app): State<App>, headers: HeaderMap) -> Answer {
    let token = refresh_token(&headers)?;
    match app.accounts.refresh(&token).await {
        Ok(signed_in) => app.signed_in(StatusCode::OK, signed_in).await,
        Err(error) => {
            let problem = Problem::from(error);
            Ok(app.without_cookie_if_unauthorized(problem.into_response()))
        }
    }
}

/// Ends the session, by its access token or by its cookie.
#[utoipa::path(delete, path = "/session", tag = "account", security(("access" = [])), responses(
    (status = 204, description = "The session has ended"),
    (status = 401, body = ProblemJson),
))]
pub(crate) async fn sign_out(State(app): State<App>, Viewer(viewer): Viewer, headers: HeaderMap) -> Answer {
    let access = match viewer {
        Some(Signed { access, .. }) => access,
        None => {
            // Only a token that is right ends a session.
            let signed_in = app.accounts.refresh(&refresh_token(&headers)?).await?;
            app.tokens.check(&signed_in.access)?
        }
    };
    app.accounts.sign_out(access).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().append(SET_COOKIE, app.cookie("", 0));
    Ok(response)
}

impl App {
    async fn signed_in(&self, status: StatusCode, signed_in: SignedIn) -> Answer {
        let positions = &signed_in.session.positions;
        let card = self.views.user(signed_in.session.user, positions).await?;
        let json = SignedInJson {
            user: UserJson::new(&card.ok_or_else(|| Problem::not_found("user"))?, None),
            access_token: signed_in.access,
            access_expires: signed_in.access_expires.rfc3339(),
        };
        let mut response = (status, Json(json)).into_response();
        let cookie = self.cookie(&signed_in.refresh.to_string(), self.settings.session_ttl.as_secs());
        response.headers_mut().append(SET_COOKIE, cookie);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    fn cookie(&self, value: &str, age: u64) -> HeaderValue {
        let https = self.settings.public_origin.as_ref().is_some_and(|origin| origin.starts_with("https:"));
        let secure = if https { "; Secure" } else { "" };
        let cookie = format!(
            "{REFRESH_COOKIE}={value}; HttpOnly; SameSite=Strict; Path=/api/v1/session; Max-Age={age}{secure}"
        );
        HeaderValue::from_str(&cookie).unwrap_or(HeaderValue::from_static(""))
    }

    /// A token that opens nothing any more is removed from the browser.
    fn without_cookie_if_unauthorized(&self, mut response: Response) -> Response {
        if response.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().append(SET_COOKIE, self.cookie("", 0));
        }
        response
    }
}

fn refresh_token(headers: &HeaderMap) -> Answer<RefreshToken> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let token = pairs.find(|(name, _)| *name == REFRESH_COOKIE).ok_or(SessionsError::Unknown)?.1;
    Ok(token.parse()?)
}
