//! Tags of what commands change: they keep two operators from undoing each other's changes unseen.

use axum::Json;
use axum::http::header::{ETAG, HeaderMap, IF_MATCH};
use axum::http::{HeaderName, HeaderValue};

use crate::refusal::{Refusal, bad_request};

/// The field that carries a tag.
pub(crate) type Tag = [(HeaderName, HeaderValue); 1];

/// An answer with the tag of a pool or split.
pub(crate) type Tagged<T> = (Tag, Json<T>);

/// `ETag` with this tag.
pub(crate) fn field(tag: &str) -> Tag {
    [(ETAG, HeaderValue::from_str(&format!("\"{tag}\"")).unwrap_or(HeaderValue::from_static("\"\"")))]
}

/// The tags of `If-Match` (RFC 9110, 13.1.1), as they stand between the quotes; none if any will do.
pub(crate) fn tags(headers: &HeaderMap) -> Result<Option<Vec<String>>, Refusal> {
    let mut tags = Vec::new();
    for value in headers.get_all(IF_MATCH) {
        let text = value.to_str().map_err(|_| bad_request("If-Match is not ASCII"))?;
        for tag in text.split(',').map(str::trim) {
            if tag == "*" {
                return Ok(None);
            }
            tags.push(tag.trim_matches('"').to_owned());
        }
    }
    Ok(headers.contains_key(IF_MATCH).then_some(tags))
}
