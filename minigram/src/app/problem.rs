//! Errors as clients see them: `application/problem+json` (RFC 9457), and when to try again.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::accounts::AccountError;
use crate::domain::passwords::PasswordError;
use crate::domain::posting::PostError;
use crate::domain::tokens::TokenError;
use crate::ports::blobs::BlobsError;
use crate::ports::cache::CacheError;
use crate::ports::sessions::SessionsError;
use crate::ports::store::StoreError;
use crate::ports::{Retriable, Retry};
use crate::text::Malformed;

/// Why a request failed.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
    /// In seconds.
    retry_after: Option<u64>,
}

/// A problem's JSON.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemJson {
    /// What the status means.
    title: &'static str,
    /// The status.
    status: u16,
    /// What is wrong with this request.
    detail: String,
}

/// What handlers return.
pub(crate) type Answer<T = Response> = Result<T, Problem>;

impl Problem {
    /// A problem of the client's making.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry_after: None }
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("no such {what}"))
    }

    /// A limit that is reached: it helps to wait.
    pub fn too_many(detail: &str, retry_after: u64) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    /// What cannot be done now. The reason is for the log alone.
    pub fn unavailable(reason: &dyn std::fmt::Display) -> Self {
        tracing::warn!(%reason, "a request was refused: an engine is unavailable");
        let detail = "this cannot be done at the moment; please try again";
        Self { retry_after: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// An error of the server. The reason is for the log alone.
    pub fn internal(reason: &dyn std::fmt::Display) -> Self {
        tracing::error!(%reason, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed")
    }

    /// Whether the client is not signed in.
    pub fn is_unauthorized(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    /// What an engine failed with for which the client is not to blame.
    fn engine(error: &(impl Retriable + std::fmt::Display)) -> Self {
        match error.retry() {
            Retry::Soon => Self::unavailable(error),
            Retry::Never => Self::internal(error),
        }
    }

    fn unauthorized(error: &dyn std::fmt::Display) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let json = ProblemJson { title, status: self.status.as_u16(), detail: self.detail };
        let mut response = (self.status, axum::Json(json)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Malformed> for Problem {
    fn from(error: Malformed) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.what)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NameTaken => Self::new(StatusCode::CONFLICT, error.to_string()),
            StoreError::NoSuchUser | StoreError::NoSuchPhoto => {
                Self::new(StatusCode::NOT_FOUND, error.to_string())
            }
            StoreError::KeyReused => Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
            // Another server made the same id in the same millisecond.
            StoreError::IdTaken => Self::unavailable(&error),
            StoreError::Repeated(_) => Self::internal(&error),
            StoreError::Behind { .. } | StoreError::Unavailable(_) | StoreError::Failed(_) => {
                Self::engine(&error)
            }
        }
    }
}

impl From<SessionsError> for Problem {
    fn from(error: SessionsError) -> Self {
        match error {
            SessionsError::Unknown | SessionsError::Reused => Self::unauthorized(&error),
            SessionsError::Full(_) | SessionsError::Unavailable(_) => Self::engine(&error),
        }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        Self::unauthorized(&error)
    }
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Wrong => Self::unauthorized(&error),
            AccountError::Password(PasswordError::Busy) => Self::unavailable(&error),
            AccountError::Password(PasswordError::Failed(_)) | AccountError::Token(_) => {
                Self::internal(&error)
            }
            AccountError::Store(error) => error.into(),
            AccountError::Sessions(error) => error.into(),
        }
    }
}

impl From<BlobsError> for Problem {
    fn from(error: BlobsError) -> Self {
        let status = match error {
            BlobsError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            BlobsError::BrokenOff(_) => StatusCode::BAD_REQUEST,
            BlobsError::NotFound => StatusCode::NOT_FOUND,
            BlobsError::OutOfRange(_) => StatusCode::RANGE_NOT_SATISFIABLE,
            BlobsError::Unavailable(_) => return Self::engine(&error),
        };
        Self::new(status, error.to_string())
    }
}

impl From<PostError> for Problem {
    fn from(error: PostError) -> Self {
        match error {
            PostError::UnknownType => Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error.to_string()),
            PostError::Blobs(error) => error.into(),
            PostError::Store(error) => error.into(),
        }
    }
}

impl From<CacheError> for Problem {
    fn from(error: CacheError) -> Self {
        Self::engine(&error)
    }
}
