//! The files of the dashboard, which are part of the binary, and the headers that restrict what its pages may do.

use axum::extract::Path;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue,
    IF_NONE_MATCH, REFERRER_POLICY, X_FRAME_OPTIONS,
};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::refusal::Refusal;

/// All files below `web`.
#[derive(RustEmbed)]
#[folder = "../../web"]
struct Files;

/// The page, which loads the rest.
const PAGE: &str = "index.html";
/// Where the files are.
const PREFIX: &str = "/assets/";

/// Sent with each file. A page may use the files and the API of its own origin and nothing else (W3C CSP Level 3): no
/// other host, no script or style within the page, no frame around it.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
         font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    // A browser asks each time whether its copy is still the newest: after an upgrade no page mixes two versions.
    (CACHE_CONTROL, "no-cache"),
    (REFERRER_POLICY, "no-referrer"),
    (X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

/// The dashboard.
pub(crate) fn page(headers: &HeaderMap) -> Result<Response, Refusal> {
    answer(PAGE, headers)
}

/// One file.
pub(crate) async fn file(
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    answer(&name, &headers).map_err(|_| not_found(uri.path()))
}

/// Whether a client asks for a page, as browsers do when a person opens an address.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut ranges = values.flat_map(|value| value.split(','));
    ranges.any(|range| {
        let kind = range.split_once(';').map_or(range, |(kind, _)| kind);
        kind.trim().eq_ignore_ascii_case("text/html")
    })
}

/// Whether `path` is that of a file.
pub(crate) fn is_file(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|name| Files::get(name).is_some())
}

fn answer(name: &str, headers: &HeaderMap) -> Result<Response, Refusal> {
    let file = Files::get(name).ok_or_else(|| not_found(name))?;
    let tag = tag(&file);
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = known.flat_map(|value| value.split(',')).any(|known| known.trim() == tag);
    let mut response = match is_known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => ([(CONTENT_TYPE, content_type(name))], file.data).into_response(),
    };
    let fields = response.headers_mut();
    for (name, value) in HEADERS {
        fields.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        fields.insert(ETAG, tag);
    }
    Ok(response)
}

/// Half of the file's SHA-256, in hexadecimal.
fn tag(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    let digits: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

fn not_found(path: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, format!("the API has no path {path}; GET / lists its paths"))
}
