//! What requests carry: JSON, query and ids in the path, with problems instead of axum's plain texts.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::problem::{Answer, Problem};
use super::server::App;
use crate::domain::views::PAGE;
use crate::ids::{CommentId, PhotoId};
use crate::ports::store::IdempotencyKey;
use crate::text::UserName;

/// The header of [`Repeatable`].
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Entries of a page, at most.
const LIMIT_MAX: u32 = 50;

/// A request's JSON.
pub(crate) struct Sent<T>(pub T);

/// A request's query.
pub(crate) struct Asked<T>(pub T);

/// A user's name in the path.
pub(crate) struct OfName(pub UserName);

/// A photo's id in the path.
pub(crate) struct OfPhoto(pub PhotoId);

/// The key by which a client may repeat the request, if it sends one.
pub(crate) struct Repeatable(pub Option<IdempotencyKey>);

/// Which page of a list.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// What the page before named as `next`.
    before: Option<String>,
    /// Entries, 20 unless said, at most 50.
    limit: Option<u32>,
}

impl PageQuery {
    pub fn limit(&self) -> u32 {
        limit(self.limit)
    }

    pub fn before_photo(&self) -> Answer<Option<PhotoId>> {
        Ok(self.before.as_deref().map(id).transpose()?.map(PhotoId::from_sql))
    }

    pub fn before_comment(&self) -> Answer<Option<CommentId>> {
        Ok(self.before.as_deref().map(id).transpose()?.map(CommentId::from_sql))
    }
}

/// How many entries to return of those that were asked for.
pub(crate) fn limit(asked: Option<u32>) -> u32 {
    asked.unwrap_or(PAGE).clamp(1, LIMIT_MAX)
}

/// An id as JSON and paths have it.
pub(crate) fn id(text: &str) -> Answer<i64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let id = digits.then(|| text.parse().ok()).flatten();
    id.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "an id is a number"))
}

impl<T: DeserializeOwned> FromRequest<App> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Answer<Self> {
        Ok(Self(Json::from_request(request, app).await?.0))
    }
}

impl<T: DeserializeOwned> FromRequestParts<App> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        Ok(Self(Query::from_request_parts(parts, app).await?.0))
    }
}

impl FromRequestParts<App> for OfName {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let Path(name): Path<String> = Path::from_request_parts(parts, app).await?;
        // A malformed name belongs to no user.
        name.parse().map(Self).map_err(|_| Problem::not_found("user"))
    }
}

impl FromRequestParts<App> for OfPhoto {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let Path(photo): Path<String> = Path::from_request_parts(parts, app).await?;
        id(&photo).map(|id| Self(PhotoId::from_sql(id))).map_err(|_| Problem::not_found("photo"))
    }
}

impl FromRequestParts<App> for Repeatable {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Answer<Self> {
        let mut values = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let (value, more) = (values.next(), values.next());
        let key = value.map(|value| IdempotencyKey::new(value.to_str().unwrap_or_default())).transpose();
        match key {
            Ok(key) if more.is_none() => Ok(Self(key)),
            Ok(_) => Err(Problem::new(StatusCode::BAD_REQUEST, "a request has one idempotency key at most")),
            Err(malformed) => Err(Problem::new(StatusCode::BAD_REQUEST, malformed.what)),
        }
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}
