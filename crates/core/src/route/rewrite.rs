//! What a route makes of a path: the one its server sees, or the location a client is sent to.

use std::borrow::Cow;

use evenkeel_config::{Config, PathMatch, Redirect, Rewrite, Route};
use evenkeel_types::Address;

/// The path that the server sees, for a `path` that `route` matched, as [`forwarded`](super::forwarded) returns it. `*` is never rewritten.
pub fn rewrite<'a>(route: &'a Route, path: &'a str) -> Cow<'a, str> {
    let Some(rewrite) = &route.rewrite else { return Cow::Borrowed(path) };
    if !path.starts_with('/') {
        return Cow::Borrowed(path);
    }
    match rewrite {
        Rewrite::StripPrefix(prefix) => Cow::Borrowed(match below(path, prefix) {
            Some("") => "/",
            Some(rest) => rest,
            None => path,
        }),
        Rewrite::ReplacePath(new) => Cow::Borrowed(new),
        Rewrite::ReplacePrefix(new) => {
            let rest = match &route.path {
                PathMatch::Prefix(prefix) => below(path, prefix).unwrap_or_default(),
                PathMatch::Exact(_) | PathMatch::Regex(_) => "",
            };
            match (new.trim_end_matches('/'), rest) {
                ("", "") => Cow::Borrowed("/"),
                ("", rest) => Cow::Borrowed(rest),
                (new, "") => Cow::Borrowed(new),
                (new, rest) => Cow::Owned([new, rest].concat()),
            }
        }
    }
}

/// The prefix that [`rewrite`] takes off `path`; `None` if it takes off none.
pub fn stripped<'a>(route: &'a Route, path: &str) -> Option<&'a str> {
    match &route.rewrite {
        Some(Rewrite::StripPrefix(prefix)) if path.starts_with('/') => {
            below(path, prefix).map(|_| prefix.trim_end_matches('/')).filter(|prefix| !prefix.is_empty())
        }
        _ => None,
    }
}

/// The location of a redirect, with the placeholders of `redirect.to` filled in. `query` comes without its `?`.
/// Whatever the arguments hold, the result is visible ASCII: the rest is percent-encoded.
pub fn location(redirect: &Redirect, scheme: &str, host: &str, path: &str, query: Option<&str>) -> String {
    let mut out = String::with_capacity(redirect.to.len() + host.len() + path.len());
    let mut rest = redirect.to.as_str();
    // One pass over the template: a `{host}` in a path must not be filled in as well.
    while let Some((before, from)) = rest.find('{').map(|at| rest.split_at(at)) {
        push_visible(&mut out, before);
        let (name, after) = from.find('}').map_or((from, ""), |at| from.split_at(at + 1));
        match name {
            "{scheme}" => push_visible(&mut out, scheme),
            "{host}" => push_visible(&mut out, host),
            "{path}" => push_visible(&mut out, if path == "*" { "/" } else { path }),
            "{query}" => {
                if let Some(query) = query {
                    out.push('?');
                    push_visible(&mut out, query);
                }
            }
            other => push_visible(&mut out, other),
        }
        rest = after;
    }
    push_visible(&mut out, rest);
    out
}

/// Where `redirect_to_https` sends a request: to the same place, at the usual port if that was asked for, else at that
/// of the first listener with TLS. `query` comes without its `?`.
pub fn https_location(
    config: &Config,
    authority: &str,
    host: &str,
    path: &str,
    query: Option<&str>,
) -> String {
    let secure = config.listeners.iter().filter(|listener| listener.tls.is_some() && !listener.is_tcp());
    let port = secure.flat_map(|listener| &listener.bind).find_map(|address| match address {
        Address::Ip(address) => Some(address.port()),
        _ => None,
    });
    let names_port = authority.len() > host.len();
    let to = match port.filter(|port| names_port && !matches!(port, 0 | 443)) {
        Some(port) => format!("https://{{host}}:{port}{{path}}{{query}}"),
        None => "https://{host}{path}{query}".into(),
    };
    location(&Redirect { to, status: 308 }, "https", host, path, query)
}

/// Appends `text` with everything but visible ASCII percent-encoded.
pub(super) fn push_visible(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_graphic() {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// What follows `prefix` in `path`, whole segments only: empty, or beginning with `/`.
pub(crate) fn below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(prefix.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::route::tests::route;

    fn check(matched: PathMatch, with: Rewrite, path: &str, expected: &str) {
        let route = Route { path: matched, rewrite: Some(with), ..route("r") };
        assert_eq!(rewrite(&route, path), expected, "{:?} on {path}", route.rewrite);
    }

    fn prefix(path: &str) -> PathMatch {
        PathMatch::Prefix(path.into())
    }

    #[test]
    fn strip_prefix_takes_whole_segments() {
        let strip = |path, expected| check(prefix("/"), Rewrite::StripPrefix("/api".into()), path, expected);
        strip("/api/cart", "/cart");
        strip("/api/", "/");
        strip("/api", "/");
        strip("/apix", "/apix");
        strip("/other", "/other");
        strip("*", "*");
        check(prefix("/"), Rewrite::StripPrefix("/".into()), "/a", "/a");
    }

    #[test]
    fn replaced_prefixes_and_paths() {
        let replace = |old, new: &str, path, expected| {
            check(prefix(old), Rewrite::ReplacePrefix(new.into()), path, expected);
        };
        replace("/old", "/new", "/old/a/b", "/new/a/b");
        replace("/old", "/new", "/old", "/new");
        replace("/old", "/new", "/old/", "/new/");
        replace("/old", "/", "/old/a", "/a");
        replace("/old", "/", "/old", "/");
        replace("/", "/new", "/a", "/new/a");
        replace("/", "/new", "/", "/new/");
        check(PathMatch::Exact("/x".into()), Rewrite::ReplacePrefix("/new".into()), "/x", "/new");
        check(prefix("/old"), Rewrite::ReplacePath("/one".into()), "/old/a", "/one");
        assert_eq!(rewrite(&route("r"), "/same"), "/same");
    }

    fn to(to: &str) -> Redirect {
        Redirect { to: to.into(), status: 302 }
    }

    #[test]
    fn placeholders_are_filled_in_once() {
        let all = to("{scheme}://{host}{path}{query}");
        assert_eq!(location(&all, "https", "a.b", "/c", Some("d=e")), "https://a.b/c?d=e");
        assert_eq!(location(&all, "https", "a.b", "/c", None), "https://a.b/c");
        assert_eq!(location(&to("/login?from={path}"), "http", "a", "/{host}", None), "/login?from=/{host}");
        assert_eq!(location(&to("/{x}/{"), "http", "a", "/", None), "/{x}/{");
        assert_eq!(location(&to("/a"), "http", "a", "/", Some("q")), "/a");
        assert_eq!(location(&to("https://a{path}"), "http", "a", "*", None), "https://a/");
    }

    proptest! {
        #[test]
        fn no_location_splits_a_response(template in ".*", host in ".*", path in ".*", query in ".*") {
            let filled = to(&format!("{template}{{host}}{{path}}{{query}}"));
            let location = location(&filled, "http", &host, &path, Some(&query));
            prop_assert!(location.bytes().all(|b| b.is_ascii_graphic()), "{location:?}");
        }
    }
}
