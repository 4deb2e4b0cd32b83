//! `cache` of a route: which responses are kept, for how long, and what tells one from another.

use std::collections::BTreeMap;
use std::time::Duration;

use evenkeel_types::PoolName;

use crate::declare::{Rules, Setting, declared, list, section, word_settings, words};
use crate::diagnostic::Diagnostic;
use crate::keys::Absent::{Are, Is, Means};
use crate::keys::syntax::{CACHED_STATUS, COOKIE_NAME, HEADER_NAME, POOL_NAME, QUERY_NAME};
use crate::keys::{DAY_MS, Kind, key};
use crate::read::{Table, Value};
use crate::value::show_duration;

/// Nothing is kept for longer than a year.
const YEAR_MS: u64 = 365 * DAY_MS;
/// How long a status may be kept.
static LIFETIME: Kind = Kind::Duration(0, YEAR_MS);

section! {
    /// Which responses of a route are kept, and for how long. `true`: each for as long as its own `CDN-Cache-Control`,
    /// `Cache-Control` and `Expires` say; without these, for a tenth of the time since its `Last-Modified`, one day at
    /// most (RFC 9111, 4.2.2). A response with `no-store`, `private`, `Vary: *` or `Set-Cookie` is not kept, nor one to a
    /// request with `Authorization` unless it says `public`, `s-maxage` or `must-revalidate`; no key but `ignore_cookies`
    /// changes this.
    #[derive(PartialEq, Eq)]
    pub struct Cache "cache of [[route]]" {
        /// How long responses with status 200, 203, 204, 300, 301 and 308 are fresh, whatever their own `max-age`,
        /// `s-maxage` and `Expires` say. With `no-cache` they are still revalidated at every use.
        ttl: Option<Duration> = key(
            Kind::Duration(1_000, YEAR_MS),
            Means("the response's own freshness"),
            r#""10m""#,
        ),
        /// How long responses with these statuses are fresh, whatever they and `ttl` say; `0s` keeps none. Other statuses
        /// are then kept only by `ttl`.
        statuses: StatusLifetimes = key(
            Kind::Map(&CACHED_STATUS, &LIFETIME, 64),
            Means("every status by `ttl`, or by the response's own freshness"),
            r#"{ 200 = "5m", 404 = "10s" }"#,
        ),
        /// What tells one response from another, beside scheme, host, path and what else chose the pool.
        key: CacheKey = key(
            Kind::Section(CacheKey::SECTION),
            Means("the whole query"),
            r#"{ query = ["page"], headers = ["x-country"], cookies = ["theme"] }"#,
        ),
        /// How long a stale response is used while a fresh one is fetched, if the response does not say it itself (RFC
        /// 5861). Not for responses with `must-revalidate`, `proxy-revalidate` or `no-cache`.
        stale_while_revalidate: Option<Duration> = key(
            Kind::Duration(0, YEAR_MS),
            Means("what the response says"),
            r#""1m""#,
        ),
        /// How long a stale response is used when the servers fail, if the response does not say it itself (RFC 5861). Not
        /// for responses with `must-revalidate`, `proxy-revalidate` or `no-cache`.
        stale_if_error: Option<Duration> = key(
            Kind::Duration(0, YEAR_MS),
            Means("what the response says"),
            r#""1h""#,
        ),
        /// A response with a longer body is passed on and not kept.
        max_object: u64 = key(Kind::Size(1, 1 << 40), Is("64MiB"), r#""64MiB""#),
        /// `true`: a response with `Set-Cookie` is kept without it, and all clients but the first get it without the
        /// cookie. By default it is not kept.
        ignore_cookies: bool = key(Kind::Boolean, Is("false"), "true"),
        /// A pool of further cache nodes, to which goes what this one does not have: each key to one of them, by consistent
        /// hash, whatever the pool's `algorithm`. When none of them answers, the request goes to the route's own pool, as do
        /// requests that no cache may answer.
        parent: Option<PoolName> = key(
            Kind::Text(&POOL_NAME),
            Means("the route's own pool is asked"),
            r#""parents""#,
        ),
        /// Whose requests are answered from the cache. `GET` must be among them: what is kept for `HEAD` is a response to
        /// `GET`.
        methods: Vec<CacheMethod> = key(
            Kind::OneOrList(&Kind::OneOf(CacheMethod::WORDS), 2),
            Are(CacheMethod::WORDS),
            r#"["GET"]"#,
        ),
    }
}

impl Rules for Cache {
    fn finish(&mut self, table: &Table<'_>) {
        if let Some(span) = table.value_span("methods").filter(|_| self.methods == [CacheMethod::Head]) {
            table.reader.note(
                Diagnostic::error("a cache without `GET` has nothing to answer with")
                    .at(span)
                    .with_expected("`GET` is not among the methods")
                    .with_help("add \"GET\", or leave `methods` out"),
            );
        }
    }

    fn short(value: &Value<'_>) -> Option<Self> {
        value.boolean()?.then(Self::default)
    }

    fn shown_short(&self) -> Option<String> {
        (*self == Self::default()).then(|| "true".into())
    }
}

impl Default for Cache {
    /// `cache = true`.
    fn default() -> Self {
        declared().expect("every key of `cache` has a default")
    }
}

impl Cache {
    /// True if requests with this method are answered from the cache.
    pub fn answers(&self, method: CacheMethod) -> bool {
        self.methods.contains(&method)
    }
}

words! {
    /// One of `methods` of a route's `cache`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum CacheMethod {
        /// `GET`.
        Get = "GET",
        /// `HEAD`.
        Head = "HEAD",
    }
}

word_settings!(CacheMethod);

section! {
    /// What tells one kept response from another, beside scheme, host, path and what else chose the pool.
    #[derive(Default, PartialEq, Eq)]
    pub struct CacheKey "key of cache of [[route]]" {
        /// Only these query parameters; `[]`: none. The server gets the whole query all the same, and must not answer by
        /// the others.
        query: Option<Names> = key(
            Kind::ListOrNone(&Kind::Text(&QUERY_NAME), 64),
            Means("the whole query"),
            r#"["page", "sort"]"#,
        ),
        /// These header fields of the request, as they came.
        headers: Names = key(Kind::ListOrNone(&Kind::Text(&HEADER_NAME), 16), Means("none"), r#"["x-country"]"#),
        /// These cookies of the request.
        cookies: Names = key(Kind::ListOrNone(&Kind::Text(&COOKIE_NAME), 16), Means("none"), r#"["theme"]"#),
    }
}

impl Rules for CacheKey {}

/// A list of names that may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

impl Setting for Names {
    fn read(value: &Value<'_>) -> Option<Self> {
        let mut names: Vec<String> = value.items().iter().filter_map(Setting::read).collect();
        names.sort_unstable();
        names.dedup();
        Some(Self(names))
    }

    fn declared(_: &'static Kind, _: Option<&'static str>) -> Option<Self> {
        Some(Self::default())
    }

    fn show(&self, kind: &'static Kind) -> String {
        list(self.0.iter().map(|name| name.show(kind.one())))
    }
}

/// `statuses` of a route's `cache`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusLifetimes(BTreeMap<u16, Duration>);

impl StatusLifetimes {
    /// How long a response with this status is fresh, if that is said.
    pub fn of(&self, status: u16) -> Option<Duration> {
        self.0.get(&status).copied()
    }

    /// Each status of which something is said, and for how long a response with it is fresh.
    pub fn iter(&self) -> impl Iterator<Item = (u16, Duration)> {
        self.0.iter().map(|(status, lifetime)| (*status, *lifetime))
    }

    /// True if nothing is said of any status.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(u16, Duration)> for StatusLifetimes {
    fn from_iter<I: IntoIterator<Item = (u16, Duration)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl Setting for StatusLifetimes {
    fn read(value: &Value<'_>) -> Option<Self> {
        let mut out = BTreeMap::new();
        for (name, span, lifetime) in value.pairs() {
            match name.parse::<u16>() {
                // 206 and 304 are parts of other responses, and 101 is none.
                Ok(status @ 200..=599) if !matches!(status, 206 | 304) && name.len() == 3 => {
                    out.insert(status, lifetime.duration()?);
                }
                _ => value.reader.note(
                    Diagnostic::error(format!(
                        "no response with status `{}` is kept",
                        crate::read::clip(name)
                    ))
                    .at(span)
                    .with_expected(format!("expected {}", CACHED_STATUS.name))
                    .with_help(CACHED_STATUS.doc),
                ),
            }
        }
        Some(Self(out))
    }

    fn declared(_: &'static Kind, _: Option<&'static str>) -> Option<Self> {
        Some(Self::default())
    }

    fn show(&self, _: &'static Kind) -> String {
        let pairs: Vec<String> = self
            .0
            .iter()
            .map(|(status, lifetime)| format!("{status} = \"{}\"", show_duration(*lifetime)))
            .collect();
        if pairs.is_empty() { "{}".into() } else { format!("{{ {} }}", pairs.join(", ")) }
    }
}
