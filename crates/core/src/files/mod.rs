//! Static files as far as they can be decided without a disk: which file a path names, and what its response says of it.

mod content_type;
mod path;
mod pattern;

use std::borrow::Cow;

use evenkeel_config::{Files, PathMatch, Route};

pub use content_type::content_type;
pub use path::{FilePath, NotServed};

use crate::route::{below, rewrite};

/// What `Allow` lists for a file (RFC 9110, 10.2.1).
pub const ALLOWED: &str = "GET, HEAD, OPTIONS";

/// What a method does to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileMethod {
    /// GET and HEAD.
    Read,
    /// OPTIONS, which any file answers in the same way.
    Options,
    /// A file cannot do it: 405.
    NotAllowed,
}

impl FileMethod {
    /// What this method does; methods are case-sensitive.
    pub fn of(method: &str) -> Self {
        match method {
            "GET" | "HEAD" => Self::Read,
            "OPTIONS" => Self::Options,
            _ => Self::NotAllowed,
        }
    }
}

/// The part of a request's path that names a file below the root of `route`: what is behind the prefix that the route
/// matches, or what `rewrite` makes of the path. It is empty or begins with `/`.
pub fn below_root<'a>(route: &'a Route, path: &'a str) -> Cow<'a, str> {
    match &route.path {
        _ if route.rewrite.is_some() => rewrite(route, path),
        PathMatch::Prefix(prefix) => Cow::Borrowed(below(path, prefix).unwrap_or(path)),
        PathMatch::Exact(_) | PathMatch::Regex(_) => Cow::Borrowed(path),
    }
}

/// `Cache-Control` of the file at this path, which is relative to the root.
pub fn cache_control<'f>(files: &'f Files, path: &str) -> Option<&'f str> {
    files.cache_control.iter().find(|(pattern, _)| pattern::fits(pattern, path)).map(|(_, value)| &**value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use evenkeel_config::{Config, parse};

    use super::*;

    fn route(keys: &str) -> Route {
        let text = format!("[listener.web]\nbind = 8080\n[[route]]\n{keys}\n");
        let Config { mut routes, .. } = parse("test.toml", &text).unwrap().config;
        routes.remove(0)
    }

    #[track_caller]
    fn check(keys: &str, path: &str, expected: &str) {
        assert_eq!(below_root(&route(&format!("{keys}\nfiles = \"/srv\"")), path), expected);
    }

    #[test]
    fn what_the_route_matches_is_left_out() {
        check("path = \"/*\"", "/a/b", "/a/b");
        check("path = \"/*\"", "/", "/");
        check("path = \"/assets/*\"", "/assets/a/b", "/a/b");
        check("path = \"/assets/*\"", "/assets/", "/");
        check("path = \"/assets/*\"", "/assets", "");
        check("path = \"/icons/favicon.ico\"", "/icons/favicon.ico", "/icons/favicon.ico");
        check("path_regex = '/v[0-9]/.*'", "/v1/x", "/v1/x");
    }

    #[test]
    fn a_rewritten_path_is_taken_as_it_is() {
        check("path = \"/assets/*\"\nrewrite = { path = \"/assets/*\" }", "/assets/a", "/assets/a");
        check("path = \"/a/*\"\nrewrite = { strip_prefix = \"/a/b\" }", "/a/b/c", "/c");
        check(
            "path = \"/robots.txt\"\nrewrite = { path = \"/public/robots.txt\" }",
            "/robots.txt",
            "/public/robots.txt",
        );
    }

    #[test]
    fn the_first_pattern_that_fits_counts() {
        let keys = "files = { root = \"/srv\", cache_control = \
                    { \"/assets/*\" = \"immutable\", \"*.html\" = \"no-cache\", \"*\" = \"max-age=60\" } }";
        let route = route(keys);
        let evenkeel_config::Action::Files(files) = &route.action else { panic!() };
        assert_eq!(cache_control(files, "assets/x.html"), Some("immutable"));
        assert_eq!(cache_control(files, "a/x.html"), Some("no-cache"));
        assert_eq!(cache_control(files, "a/x.htm"), Some("max-age=60"));
        assert_eq!(cache_control(&Files::new("/srv".into()), "a"), None);
    }

    #[test]
    fn files_are_read_and_nothing_else() {
        assert_eq!(FileMethod::of("HEAD"), FileMethod::Read);
        assert_eq!(FileMethod::of("OPTIONS"), FileMethod::Options);
        for method in ["get", "POST", "PUT", "DELETE", "TRACE", "PROPFIND", ""] {
            assert_eq!(FileMethod::of(method), FileMethod::NotAllowed, "{method}");
        }
    }
}
