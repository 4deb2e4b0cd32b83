//! What the cache would do with a request, in words.

use std::fmt::Write;

use evenkeel_config::{Cache, StatusLifetimes, show_duration};

use super::admit::admit;
use super::fields::Fields;
use super::key::{Target, cookie, parameter, selected};

/// Whether the cache may answer a request with this method, and for how long it keeps the response. `body` and `upgrade` are
/// as for [`admit`].
pub fn describe(
    rules: &Cache,
    method: &str,
    request: &(impl Fields + ?Sized),
    (body, upgrade): (bool, bool),
) -> String {
    match admit(rules, method, request, (body, upgrade)) {
        Err(why) => format!("not asked: {}", why.sentence()),
        Ok(_) => format!("may answer; a response is fresh {}", lifetime(rules)),
    }
}

fn lifetime(rules: &Cache) -> String {
    let mut words: Vec<String> = rules
        .statuses
        .iter()
        .map(|(status, lifetime)| format!("for {} with status {status}", show_duration(lifetime)))
        .collect();
    if let Some(ttl) = rules.ttl {
        words.push(format!("for {} with any other status of success", show_duration(ttl)));
    }
    if rules.statuses == StatusLifetimes::default() && rules.ttl.is_none() {
        words.push("for as long as it says itself".into());
    }
    if let Some(window) = rules.stale_while_revalidate {
        words.push(format!("used for {} more while a fresh one is fetched", show_duration(window)));
    }
    if let Some(window) = rules.stale_if_error {
        words.push(format!("used for {} more if the servers fail", show_duration(window)));
    }
    words.join(", ")
}

/// What the key of the response consists of. `Vary` of the response may add to it.
pub fn describe_key(rules: &Cache, target: &Target<'_>, request: &(impl Fields + ?Sized)) -> String {
    let Target { scheme, authority, path, asked, query, route, pool } = *target;
    let mut out = format!("{scheme}://{}{path}", authority.to_ascii_lowercase());
    match (selected(&rules.key, query), query) {
        (None, None) => {}
        (None, Some(query)) => {
            // Writing to a String cannot fail.
            let _ = write!(out, "?{query}");
        }
        (Some(names), query) => {
            for name in names {
                for value in parameter(query.unwrap_or_default(), name) {
                    let value = String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
                    let _ = write!(out, ", parameter {name}={value}");
                }
            }
        }
    }
    if asked != path {
        let _ = write!(out, ", asked for as {asked}");
    }
    let _ = write!(out, ", route {route}, pool {pool}");
    for name in &rules.key.headers.0 {
        for value in request.values(name) {
            let _ = write!(out, ", header {name}={}", String::from_utf8_lossy(value));
        }
    }
    for name in &rules.key.cookies.0 {
        for value in cookie(request, name) {
            let _ = write!(out, ", cookie {name}={}", String::from_utf8_lossy(value));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use evenkeel_config::{CacheKey, Names};

    use super::*;

    fn target<'a>() -> Target<'a> {
        Target {
            scheme: "https",
            authority: "Shop.test",
            path: "/a",
            asked: "/api/a",
            query: Some("page=2&x=1"),
            route: "api",
            pool: "app",
        }
    }

    #[test]
    fn a_key_is_shown_in_its_parts() {
        let head = [("x-country", "DE"), ("cookie", "theme=dark; id=7")];
        let whole = describe_key(&Cache::default(), &target(), &head[..]);
        assert_eq!(whole, "https://shop.test/a?page=2&x=1, asked for as /api/a, route api, pool app");
        let names = |name: &str| Names(vec![name.to_owned()]);
        let key =
            CacheKey { query: Some(names("page")), headers: names("x-country"), cookies: names("theme") };
        let part = describe_key(&Cache { key, ..Cache::default() }, &target(), &head[..]);
        assert_eq!(
            part,
            "https://shop.test/a, parameter page=2, asked for as /api/a, route api, pool app, header x-country=DE, \
             cookie theme=dark"
        );
    }

    #[test]
    fn it_is_said_for_how_long_and_why_not() {
        let none: &[(&str, &str)] = &[];
        let said = |rules: &Cache, method| describe(rules, method, none, (false, false));
        assert_eq!(
            said(&Cache::default(), "GET"),
            "may answer; a response is fresh for as long as it says itself"
        );
        let rules = Cache { ttl: Some(Duration::from_secs(600)), ..Cache::default() };
        assert!(said(&rules, "GET").ends_with("fresh for 10m with any other status of success"));
        assert_eq!(said(&rules, "POST"), "not asked: the method is not among `cache.methods` of the route");
    }
}
