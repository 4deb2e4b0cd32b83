//! Answers that caches may keep: for anyone at the edge, for one user in the browser.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::IntoResponse;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::auth::Viewer;
use super::problem::{Answer, Problem};

/// By what the edge is purged.
pub(crate) const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");

/// What everyone is shown: some seconds in browsers, from where nothing can be purged, and ten minutes at the edge.
const PUBLIC: HeaderValue = HeaderValue::from_static("public, max-age=5, s-maxage=600");

/// What one user is shown: kept by the browser, which asks whether it is still so.
const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-cache");

/// Tags that a response has at most: as many as Evenkeel takes.
const TAGS_MAX: usize = 64;

/// JSON with an entity tag. For a client who is not signed in, the edge keeps it until a tag is purged. A list with
/// more tags than the edge takes is not kept there.
pub(crate) fn cacheable(
    request: &HeaderMap,
    viewer: &Viewer,
    tags: &[String],
    json: &impl Serialize,
) -> Answer {
    let body = serde_json::to_vec(json).map_err(|error| Problem::internal(&error))?;
    let hash = Sha256::digest(&body);
    let etag: String = hash[..12].iter().map(|byte| format!("{byte:02x}")).collect();
    let etag = format!("\"{etag}\"");
    let mut response = if has_tag(request, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("authorization"));
    headers.insert(ETAG, HeaderValue::try_from(etag).map_err(|error| Problem::internal(&error))?);
    if viewer.0.is_none() && tags.len() <= TAGS_MAX {
        headers.insert(CACHE_CONTROL, PUBLIC);
        let tags = HeaderValue::try_from(tags.join(",")).map_err(|error| Problem::internal(&error))?;
        headers.insert(CACHE_TAG, tags);
    } else {
        headers.insert(CACHE_CONTROL, PRIVATE);
    }
    Ok(response)
}

/// Whether the client has what has this tag.
pub(crate) fn has_tag(request: &HeaderMap, etag: &str) -> bool {
    let tags = request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    tags.flat_map(|value| value.split(',')).any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
    })
}
