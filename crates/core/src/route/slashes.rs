//! Which form of a path a route forwards: the normal form, or with `merge_slashes = false` the path with its slashes.

use std::borrow::Cow;

use evenkeel_config::{Action, PathMatch, Route};

use super::path::{BACKSLASH, PathRefused, with_slashes};
use super::rewrite::{below, stripped};

/// The path that `route`, which matched `normal`, forwards before it rewrites it. `unmerged` is the path as it came,
/// as [`RequestPath`](super::RequestPath) has it.
///
/// # Errors
/// The route does not take this path: it holds `%5C` and the route merges slashes; or the route keeps `//`, and the
/// path also holds a dot segment, or begins otherwise than the route's patterns.
pub fn forwarded<'a>(
    route: &Route,
    normal: &'a str,
    unmerged: Option<&str>,
) -> Result<Cow<'a, str>, PathRefused> {
    let Some(raw) = unmerged else { return Ok(Cow::Borrowed(normal)) };
    let reaches_servers = matches!(route.action, Action::Pool(_) | Action::Split(_));
    if route.merge_slashes || !reaches_servers {
        return if normal.contains(BACKSLASH) {
            Err(PathRefused::Backslash)
        } else {
            Ok(Cow::Borrowed(normal))
        };
    }
    if !raw.contains("//") {
        return Ok(Cow::Borrowed(normal));
    }
    let kept = with_slashes(raw)?;
    if !fits(&route.path, &kept) || stripped(route, &kept) != stripped(route, normal) {
        return Err(PathRefused::Slashes);
    }
    Ok(Cow::Owned(kept))
}

fn fits(pattern: &PathMatch, path: &str) -> bool {
    match pattern {
        PathMatch::Exact(exact) => exact == path,
        PathMatch::Prefix(prefix) => below(path, prefix).is_some(),
        PathMatch::Regex(regex) => regex.is_match(path),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use evenkeel_config::{Rewrite, parse};
    use proptest::prelude::*;

    use super::*;
    use crate::route::path::tests::tricky_path;
    use crate::route::{RequestPath, normalise, rewrite};

    /// A route with these keys.
    fn route(keys: &str) -> Route {
        let text = format!(
            "[listener.web]\nbind = 8080\n[[route]]\n{keys}\npool = \"app\"\n[pool.app]\nbackends = [5001]\n"
        );
        parse("test.toml", &text).unwrap().config.routes.remove(0)
    }

    fn keeping(path: &str) -> Route {
        route(&format!("path = \"{path}\"\nmerge_slashes = false"))
    }

    fn through(route: &Route, raw: &str) -> Result<String, PathRefused> {
        let path = RequestPath::of(raw)?;
        forwarded(route, &path.normal, path.unmerged).map(Cow::into_owned)
    }

    #[test]
    fn slashes_and_backslashes_stay_if_the_route_says_so() {
        let keeping = keeping("/raw/*");
        for (raw, expected) in [
            ("/raw//a", "/raw//a"),
            ("/raw/a///", "/raw/a///"),
            ("/raw/%41//b%5cc", "/raw/A//b%5Cc"),
            ("/raw/./a/../b%5Cc", "/raw/b%5Cc"),
            ("/raw/a", "/raw/a"),
        ] {
            assert_eq!(through(&keeping, raw).as_deref(), Ok(expected), "{raw}");
        }
        let merging = route("path = \"/raw/*\"");
        assert_eq!(through(&merging, "/raw//a/../b").as_deref(), Ok("/raw/b"));
        assert_eq!(through(&merging, "/raw/a%5cb"), Err(PathRefused::Backslash));
    }

    #[test]
    fn slashes_beside_dot_segments_are_refused() {
        let keeping = keeping("/raw/*");
        for raw in
            ["/raw//../b", "/raw/a//%2e%2e/b", "/raw/./a//b", "/raw//b/.", "/raw/..//raw/b", "/raw/.//..//"]
        {
            assert_eq!(through(&keeping, raw), Err(PathRefused::DotSegment), "{raw}");
        }
        for raw in ["/raw//..%5Cb", "/raw/a%5c..", "/raw/a%5C..;x", "/raw/.%5c%2e%2e", "/raw//..%2Fb"] {
            assert_eq!(through(&keeping, raw), Err(PathRefused::DotSegment), "{raw}");
        }
    }

    #[test]
    fn what_matches_the_route_only_when_merged_is_refused() {
        assert_eq!(through(&keeping("/raw/*"), "//raw/a"), Err(PathRefused::Slashes));
        assert_eq!(through(&keeping("/a/b/*"), "/a//b/c"), Err(PathRefused::Slashes));
        assert_eq!(through(&keeping("/a/b"), "/a//b"), Err(PathRefused::Slashes));
        assert_eq!(through(&keeping("/*"), "//a").as_deref(), Ok("//a"));
        let regex = route("path_regex = '/v[0-9]+/.*'\nmerge_slashes = false");
        assert_eq!(through(&regex, "/v1//a").as_deref(), Ok("/v1//a"));
        assert_eq!(through(&regex, "//v1/a"), Err(PathRefused::Slashes));
    }

    #[test]
    fn rewrites_see_the_path_with_its_slashes() {
        let mut keeping = keeping("/*");
        keeping.rewrite = Some(Rewrite::StripPrefix("/api".into()));
        let path = through(&keeping, "/api//key").unwrap();
        assert_eq!(rewrite(&keeping, &path), "//key");
        assert_eq!(through(&keeping, "//api/key"), Err(PathRefused::Slashes));
        let path = through(&keeping, "/other//key").unwrap();
        assert_eq!(rewrite(&keeping, &path), "/other//key");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        #[test]
        fn what_is_forwarded_has_the_normal_form_that_was_matched(raw in tricky_path()) {
            let keeping = keeping_all();
            let Ok(path) = RequestPath::of(&raw) else { return Ok(()) };
            let Ok(kept) = forwarded(&keeping, &path.normal, path.unmerged) else { return Ok(()) };
            let again = RequestPath::of(&kept).unwrap();
            prop_assert_eq!(&again.normal, &path.normal);
            // Merged or not, however a server splits it once decoded, there is no dot segment.
            let decoded = percent_encoding::percent_decode_str(&kept).decode_utf8_lossy().into_owned();
            for segment in kept.split('/').chain(decoded.split(['/', '\\'])) {
                let name = segment.split(';').next().unwrap_or_default();
                prop_assert!(name != "." && name != "..", "{} holds {}", kept, segment);
            }
        }

        #[test]
        fn a_route_that_merges_forwards_the_normal_form_or_nothing(raw in tricky_path()) {
            let merging = Route { merge_slashes: true, ..keeping_all() };
            prop_assert_eq!(through(&merging, &raw).ok(), normalise(&raw).ok().map(Cow::into_owned));
        }
    }

    fn keeping_all() -> Route {
        Route { merge_slashes: false, ..crate::route::tests::route("r") }
    }
}
