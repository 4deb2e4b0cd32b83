//! What holds for every request: who may send it from a browser, how long it may take, and headers of every response.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, HOST, ORIGIN, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::problem::{Answer, Problem};
use super::server::App;

/// Which server answered.
const X_SERVER: HeaderName = HeaderName::from_static("x-server");

/// Refuses what a page of another origin sends, if it could change something: the refresh cookie is sent by the
/// browser, whichever page asks. Clients that are no browsers send no `Origin`.
pub(crate) async fn same_origin(State(app): State<App>, request: Request, next: Next) -> Answer {
    if !request.method().is_safe() {
        app.check_origin(request.headers())?;
    }
    Ok(next.run(request).await)
}

/// Gives up a request that takes longer than `limit`.
pub(crate) async fn within(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    match timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::unavailable(&format!("it took more than {limit:?}")).into_response(),
    }
}

/// Adds the headers of every response. What says nothing else may be kept by its one client, which asks again.
pub(crate) async fn finish(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
    if let Ok(name) = HeaderValue::from_str(&app.settings.name) {
        headers.insert(X_SERVER, name);
    }
    response
}

/// For paths that are not there.
pub(crate) async fn no_such_path() -> Problem {
    Problem::not_found("path")
}

/// For methods that a path does not take.
pub(crate) async fn no_such_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "the path does not take this method")
}

impl App {
    /// Refuses a request of another origin.
    pub(crate) fn check_origin(&self, headers: &HeaderMap) -> Answer<()> {
        let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
        let same = match &self.settings.public_origin {
            Some(public) => origin.as_bytes() == public.as_bytes(),
            None => headers.get(HOST).is_some_and(|host| is_origin_of(origin, host)),
        };
        if same {
            Ok(())
        } else {
            Err(Problem::new(StatusCode::FORBIDDEN, "the request comes from another origin"))
        }
    }
}

fn is_origin_of(origin: &HeaderValue, host: &HeaderValue) -> bool {
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    authority.is_some_and(|(_, authority)| authority.as_bytes().eq_ignore_ascii_case(host.as_bytes()))
}
