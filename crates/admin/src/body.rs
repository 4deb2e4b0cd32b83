//! Bodies of requests: JSON objects without unknown keys, read whole within a time.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderMap};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use tokio::time::timeout;

use crate::refusal::{Refusal, bad_request};

/// How long a request's body may take to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// Reads a body that says that it is JSON.
pub(crate) async fn read(request: Request) -> Result<Bytes, Refusal> {
    if !is_json(request.headers()) {
        return Err(not_json());
    }
    read_any(request).await
}

/// The object that the request brings, or the default of a request without a body, which needs no `Content-Type`; an error
/// shows `example`.
pub(crate) async fn optional<T: DeserializeOwned + Default>(
    request: Request,
    example: &str,
) -> Result<T, Refusal> {
    let is_json = is_json(request.headers());
    match &read_any(request).await? {
        nothing if nothing.is_empty() => Ok(T::default()),
        _ if !is_json => Err(not_json()),
        bytes => parse(bytes, example),
    }
}

fn not_json() -> Refusal {
    let why = "the body must be JSON and say so: `Content-Type: application/json`";
    Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why)
}

async fn read_any(request: Request) -> Result<Bytes, Refusal> {
    timeout(BODY_TIME_MAX, Bytes::from_request(request, &()))
        .await
        .map_err(|_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive within 10 s"))?
        .map_err(|fault| Refusal::new(fault.status(), fault.body_text()))
}

/// Parses an object; an error shows `example`.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8], example: &str) -> Result<T, Refusal> {
    // Serde would take a list for the values of the fields in their order.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(bad_request(format!("the body must be a JSON object, as in {example}")));
    }
    serde_json::from_slice(body).map_err(|fault| bad_request(describe(&fault, body)))
}

/// What is wrong with a body. A place in the text helps only where the text is not JSON.
fn describe(fault: &serde_json::Error, body: &[u8]) -> String {
    let text = fault.to_string();
    if serde_json::from_slice::<IgnoredAny>(body).is_err() {
        return format!("the body is not JSON: {text}");
    }
    let place = format!(" at line {} column {}", fault.line(), fault.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

/// A key that is present has a value: `null` is not a way to leave it out.
pub(crate) fn present<'de, T, D>(value: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(value).map(Some)
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get(CONTENT_TYPE).map(|value| value.to_str()) else {
        return false;
    };
    let essence = value.split_once(';').map_or(value, |(essence, _)| essence);
    essence.trim().eq_ignore_ascii_case("application/json")
}
