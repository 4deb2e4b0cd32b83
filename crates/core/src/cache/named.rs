//! What an operator names in a purge: read as strictly as a request, so that both mean the same response.

use std::borrow::Cow;
use std::fmt;

use super::purge::Scope;
use super::tags::TAG_BYTES_MAX;
use crate::route::{HostRefused, PathRefused, RequestPath, parse_host, with_slashes};

/// What is to be purged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// In normal form, as it is shown: the scheme and the port of a URL are left out, because they do not matter.
    pub shown: String,
    /// All that one of these speaks of. It is several where routes read a path in different ways.
    pub scopes: Vec<Scope>,
    /// The host in it, in normal form.
    pub host: Option<String>,
}

/// Why a name names nothing that could be purged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameFault {
    /// It has no scheme.
    NotAbsolute(String),
    /// It has another scheme than `http` and `https`.
    Scheme(String),
    /// It has no host.
    NoHost(String),
    /// Its host is none.
    Host(String, HostRefused),
    /// No request can have its path.
    Path(String, PathRefused),
    /// No request can have its query, because of this byte.
    Query(String, u8),
    /// A prefix with a query.
    PrefixWithQuery(String),
    /// A path that ends in `*`, as those of routes do.
    Wildcard(String),
    /// A host with something behind it.
    NotOnlyHost(String),
    /// A tag that no response can have.
    Tag(String),
}

impl fmt::Display for NameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAbsolute(url) => {
                write!(f, "`{url}` is not an absolute URL, as in `https://shop.example.com/a`")
            }
            Self::Scheme(scheme) => write!(f, "`{scheme}://` is neither `http://` nor `https://`"),
            Self::NoHost(url) => write!(f, "`{url}` has no host, as in `https://shop.example.com/a`"),
            Self::Host(name, fault) => write!(f, "`{name}`: {fault}"),
            Self::Path(url, fault) => write!(f, "`{url}`: {fault}"),
            Self::Query(url, byte) => write!(f, "`{url}`: the query holds the byte 0x{byte:02x}"),
            Self::PrefixWithQuery(url) => {
                write!(
                    f,
                    "`{url}` has a query, and a prefix ends within the path: leave out what follows the `?`"
                )
            }
            Self::Wildcard(url) => {
                let prefix = url.trim_end_matches('*');
                write!(
                    f,
                    "`{url}`: `*` stands for itself here; what begins alike is purged by the prefix `{prefix}`"
                )
            }
            Self::NotOnlyHost(name) => {
                write!(f, "`{name}` is not a host name, as in `shop.example.com`")
            }
            Self::Tag(tag) if tag.is_empty() => f.write_str("the tag is empty"),
            Self::Tag(tag) => write!(
                f,
                "`{tag}` is not one tag: a tag has at most {TAG_BYTES_MAX} bytes, and neither white space nor a comma"
            ),
        }
    }
}

impl std::error::Error for NameFault {}

impl Named {
    /// One URL with all its variants, whatever its scheme and port. A fragment is left out.
    ///
    /// # Errors
    /// No request can be for this URL.
    pub fn url(text: &str) -> Result<Self, NameFault> {
        let Parts { host, path, query } = parts(text)?;
        if let Some(byte) = query.and_then(|query| query.bytes().find(|byte| !byte.is_ascii_graphic())) {
            return Err(NameFault::Query(text.into(), byte));
        }
        let scopes = path.forms().map(|path| Scope::url(&host, path, query)).collect();
        let question = if query.is_some() { "?" } else { "" };
        let shown = format!("{host}{}{question}{}", path.normal, query.unwrap_or_default());
        Ok(Self { shown, scopes, host: Some(host.into_owned()) })
    }

    /// All URLs of a host whose paths begin alike.
    ///
    /// # Errors
    /// No request can be for such a URL, or the prefix has a query.
    pub fn prefix(text: &str) -> Result<Self, NameFault> {
        let Parts { host, path, query } = parts(text)?;
        if query.is_some() {
            return Err(NameFault::PrefixWithQuery(text.into()));
        }
        let scopes = path.forms().map(|path| Scope::prefix(&host, path)).collect();
        Ok(Self { shown: format!("{host}{}", path.normal), scopes, host: Some(host.into_owned()) })
    }

    /// All URLs of a host, whatever its port.
    ///
    /// # Errors
    /// It is no host.
    pub fn host(text: &str) -> Result<Self, NameFault> {
        if text.is_empty() || text.contains(['/', '?', '#']) {
            return Err(NameFault::NotOnlyHost(text.into()));
        }
        let (host, _) = parse_host(text).map_err(|fault| NameFault::Host(text.into(), fault))?;
        let scope = Scope::host(&host).ok_or_else(|| NameFault::NotOnlyHost(text.into()))?;
        let host = host.into_owned();
        Ok(Self { shown: host.clone(), scopes: vec![scope], host: Some(host) })
    }

    /// All responses with a tag. Upper and lower case differ.
    ///
    /// # Errors
    /// It is empty, too long, or holds what separates tags.
    pub fn tag(text: &str) -> Result<Self, NameFault> {
        let is_tag =
            |tag: &str| !tag.bytes().any(|b| b.is_ascii_whitespace() || b.is_ascii_control() || b == b',');
        if text.is_empty() || text.len() > TAG_BYTES_MAX || !is_tag(text) {
            return Err(NameFault::Tag(text.into()));
        }
        Ok(Self { shown: text.into(), scopes: vec![Scope::tag(text)], host: None })
    }

    /// Everything.
    pub fn all() -> Self {
        Self { shown: "everything".into(), scopes: vec![Scope::All], host: None }
    }
}

struct Parts<'a> {
    host: Cow<'a, str>,
    path: Path,
    query: Option<&'a str>,
}

/// A path as routes may read it.
struct Path {
    normal: String,
    /// With its `//`, which routes with `merge_slashes = false` keep.
    unmerged: Option<String>,
}

impl Path {
    fn forms(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.normal.as_str()).chain(self.unmerged.as_deref())
    }
}

fn parts(url: &str) -> Result<Parts<'_>, NameFault> {
    let (scheme, rest) = url.split_once("://").ok_or_else(|| NameFault::NotAbsolute(url.into()))?;
    if scheme.contains(['/', '?', '#']) {
        return Err(NameFault::NotAbsolute(url.into()));
    }
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(NameFault::Scheme(scheme.into()));
    }
    let rest = rest.split('#').next().unwrap_or_default();
    let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if authority.is_empty() {
        return Err(NameFault::NoHost(url.into()));
    }
    let (host, _) = parse_host(authority).map_err(|fault| NameFault::Host(url.into(), fault))?;
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    // Where such a path is meant as it is, it has a prefix all the same.
    if path.ends_with('*') {
        return Err(NameFault::Wildcard(url.into()));
    }
    let path = if path.is_empty() { "/" } else { path };
    let read = RequestPath::of(path).map_err(|fault| NameFault::Path(url.into(), fault))?;
    let unmerged = if path.contains("//") { with_slashes(path).ok() } else { None };
    Ok(Parts { host, path: Path { normal: read.normal.into_owned(), unmerged }, query })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(named: Result<Named, NameFault>, expected: Result<&str, &str>) {
        let shown = named.map(|named| named.shown).map_err(|fault| fault.to_string());
        assert_eq!(shown.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn urls_are_shown_in_the_form_of_requests() {
        check(Named::url("https://shop.example.com/a/b?x=1&y"), Ok("shop.example.com/a/b?x=1&y"));
        check(Named::url("HTTP://Shop.Example.com.:8080"), Ok("shop.example.com/"));
        check(Named::url("http://[::0:1]:80/%41//b/../c#top"), Ok("[::1]/A/c"));
        check(Named::url("https://shop.example.com/?"), Ok("shop.example.com/?"));
        check(Named::prefix("https://shop.example.com/img"), Ok("shop.example.com/img"));
        check(Named::prefix("https://shop.example.com"), Ok("shop.example.com/"));
        check(Named::host("Shop.example.com:443"), Ok("shop.example.com"));
        check(Named::tag("Product-17"), Ok("Product-17"));
    }

    #[test]
    fn what_no_request_can_be_for_is_refused_in_words() {
        check(Named::url("/a"), Err("`/a` is not an absolute URL, as in `https://shop.example.com/a`"));
        check(
            Named::url("/a?to=http://b"),
            Err("`/a?to=http://b` is not an absolute URL, as in `https://shop.example.com/a`"),
        );
        check(Named::url("ftp://a/b"), Err("`ftp://` is neither `http://` nor `https://`"));
        check(Named::url("https:///a"), Err("`https:///a` has no host, as in `https://shop.example.com/a`"));
        check(Named::url("https://me@a/b"), Err("`https://me@a/b`: the host holds the byte 0x40"));
        check(Named::url("https://a:x/b"), Err("`https://a:x/b`: the port is not a number from 0 to 65535"));
        check(Named::url("https://a/b c"), Err("`https://a/b c`: the path holds the byte 0x20"));
        check(Named::url("https://a/../b"), Err("`https://a/../b`: the path climbs above the root"));
        check(Named::url("https://a/b?c d"), Err("`https://a/b?c d`: the query holds the byte 0x20"));
        check(
            Named::prefix("https://a/b?c"),
            Err(
                "`https://a/b?c` has a query, and a prefix ends within the path: leave out what follows the `?`",
            ),
        );
        check(Named::host("https://a"), Err("`https://a` is not a host name, as in `shop.example.com`"));
        check(
            Named::url("https://a/img/*"),
            Err(
                "`https://a/img/*`: `*` stands for itself here; what begins alike is purged by the prefix `https://a/img/`",
            ),
        );
        assert_eq!(Named::prefix("https://a/*"), Err(NameFault::Wildcard("https://a/*".into())));
        check(Named::url("https://a/b*c"), Ok("a/b*c"));
        check(Named::host(""), Err("`` is not a host name, as in `shop.example.com`"));
        check(Named::host("a b"), Err("`a b`: the host holds the byte 0x20"));
        check(Named::tag(""), Err("the tag is empty"));
        check(
            Named::tag("a,b"),
            Err("`a,b` is not one tag: a tag has at most 256 bytes, and neither white space nor a comma"),
        );
    }

    #[test]
    fn scheme_and_port_and_the_case_of_the_host_do_not_matter() {
        let one = Named::url("https://shop.example.com/a?b").unwrap().scopes;
        assert_eq!(one, [Scope::url("shop.example.com", "/a", Some("b"))]);
        assert_eq!(Named::url("http://SHOP.example.com:8080/a?b").unwrap().scopes, one);
        assert_ne!(Named::url("https://shop.example.com/A?b").unwrap().scopes, one);
        assert_ne!(Named::url("https://shop.example.com/a").unwrap().scopes, one);
    }

    #[test]
    fn a_host_is_the_same_however_a_request_writes_it() {
        for (authority, url) in [
            ("Shop.example.com.:8080", "https://shop.example.com/a"),
            ("[::0:1]:80", "http://[::1]/a"),
            ("[::1]", "http://[0::1]:80/a"),
            ("127.0.0.1:8080", "http://127.0.0.1/a"),
        ] {
            assert_eq!(Named::url(url).unwrap().scopes, [Scope::url(authority, "/a", None)], "{authority}");
            assert_eq!(Named::prefix(url).unwrap().scopes, [Scope::prefix(authority, "/a")], "{authority}");
            let host = url.split('/').nth(2).unwrap();
            assert_eq!(Named::host(host).unwrap().scopes, [Scope::host(authority).unwrap()], "{authority}");
        }
    }

    #[test]
    fn a_path_with_two_slashes_is_purged_as_either_kind_of_route_reads_it() {
        let named = Named::url("https://img.example.com/resize/https://a/b").unwrap();
        let expected = ["/resize/https:/a/b", "/resize/https://a/b"];
        assert_eq!(named.scopes, expected.map(|path| Scope::url("img.example.com", path, None)));
    }
}
