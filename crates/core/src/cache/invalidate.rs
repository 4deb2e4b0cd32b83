//! What a successful unsafe request invalidates (RFC 9111, 4.4).

use super::fields::Fields;
use super::key::host_of;
use super::purge::Scope;
use crate::route::normalise;

/// What must be purged after an answer to a request whose method is not safe: the URL that was asked for, and those that
/// `Location` and `Content-Location` name on the same host. Nothing after a failure, or for a safe method.
///
/// `path` and `query` are those that the client asked for.
pub fn invalidated(
    method: &str,
    status: u16,
    (authority, path, query): (&str, &str, Option<&str>),
    answer: &(impl Fields + ?Sized),
) -> Vec<Scope> {
    let is_safe = matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE");
    if is_safe || !matches!(status, 200..=399) {
        return Vec::new();
    }
    let mut out = vec![Scope::url(authority, path, query)];
    for name in ["location", "content-location"] {
        let reference = answer.first(name).and_then(|text| std::str::from_utf8(text).ok());
        let scope = reference.and_then(|reference| resolve(reference, authority, path, query));
        out.extend(scope.filter(|scope| !out.contains(scope)));
    }
    out
}

/// The URL that a reference names (RFC 3986, 5.2), if it lies on the same host.
fn resolve(reference: &str, authority: &str, path: &str, query: Option<&str>) -> Option<Scope> {
    let reference = reference.split('#').next().unwrap_or_default();
    let (host, rest) = match (split_scheme(reference), reference.strip_prefix("//")) {
        (Some(rest), _) | (None, Some(rest)) => {
            let (host, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            (host, rest)
        }
        (None, None) => (authority, reference),
    };
    if host_of(host) != host_of(authority) {
        return None;
    }
    let (relative, own_query) = match rest.split_once('?') {
        Some((relative, query)) => (relative, Some(query)),
        None => (rest, None),
    };
    let merged = if relative.is_empty() && host.as_ptr() == authority.as_ptr() {
        // The same path; the query as well, if the reference has none.
        return Some(Scope::url(authority, path, own_query.or(query)));
    } else if relative.is_empty() {
        "/".to_owned()
    } else if relative.starts_with('/') {
        relative.to_owned()
    } else {
        let folder = path.rfind('/').map_or("/", |at| &path[..=at]);
        format!("{folder}{relative}")
    };
    // A path with a scheme of another kind, as in `mailto:`, is on no host.
    let normal = normalise(&merged).ok()?;
    Some(Scope::url(authority, normal.as_ref(), own_query))
}

/// What stands behind `http://` or `https://`.
fn split_scheme(reference: &str) -> Option<&str> {
    ["http://", "https://"].iter().find_map(|scheme| {
        let start = reference.get(..scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then(|| &reference[scheme.len()..])
    })
}

#[cfg(test)]
#[path = "invalidate_tests.rs"]
mod tests;
