//! May the cache be asked for this request at all, and if not, why not.

use evenkeel_config::{Cache, CacheMethod};

use super::directives::RequestDirectives;
use super::fields::Fields;

/// Why a request goes to a server past the cache. Nothing of its answer is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bypass {
    /// The method is not among the route's `methods`.
    Method,
    /// The request has a body.
    Body,
    /// The request asks for another protocol.
    Upgrade,
    /// The request says `no-store`.
    NoStore,
    /// `Range` has a unit other than `bytes`, or stands there more than once.
    RangeUnit,
    /// It says in a field of its own that it is of another method.
    OtherMethod,
    /// `If-Match` or `If-Unmodified-Since`, which a server alone can judge (RFC 9111, 4.3.2).
    Precondition,
}

impl Bypass {
    /// Why, in one word for logs, metrics and `detail` of `Cache-Status`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Body => "request-body",
            Self::Upgrade => "upgrade",
            Self::NoStore => "request-no-store",
            Self::RangeUnit => "range-unit",
            Self::OtherMethod => "other-method",
            Self::Precondition => "precondition",
        }
    }

    /// Why, in one sentence for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Method => "the method is not among `cache.methods` of the route",
            Self::Body => "the request has a body",
            Self::Upgrade => "the request asks for another protocol",
            Self::NoStore => "the request says `Cache-Control: no-store`",
            Self::RangeUnit => "the request's `Range` has a unit other than `bytes`, or stands there twice",
            Self::OtherMethod => {
                "the request says in a field such as `X-HTTP-Method-Override` that it is of another method"
            }
            Self::Precondition => "only a server can judge `If-Match` and `If-Unmodified-Since`",
        }
    }
}

/// What a request that the cache may be asked for wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// `GET` or `HEAD`.
    pub method: CacheMethod,
    /// What it accepts.
    pub directives: RequestDirectives,
    /// True if it has a `Range`, which only `GET` can have (RFC 9110, 14.2).
    pub range: bool,
}

/// Decides whether the cache may be asked. `body`: the request has one, even an empty chunked one; `upgrade`: it asks for
/// another protocol.
///
/// # Errors
/// Why the request goes past the cache.
pub fn admit(
    rules: &Cache,
    method: &str,
    request: &(impl Fields + ?Sized),
    (body, upgrade): (bool, bool),
) -> Result<Asked, Bypass> {
    let Asked { method, .. } = admit_plain(rules, method, (body, upgrade))?;
    let directives = RequestDirectives::of(request);
    if directives.no_store {
        return Err(Bypass::NoStore);
    }
    if request.has("if-match") || request.has("if-unmodified-since") {
        return Err(Bypass::Precondition);
    }
    let mut ranges = request.values("range");
    let range = match (method, ranges.next()) {
        (CacheMethod::Head, _) | (_, None) => false,
        (CacheMethod::Get, Some(range)) => {
            let is_bytes = range.get(..6).is_some_and(|unit| unit.eq_ignore_ascii_case(b"bytes="));
            if !is_bytes || ranges.next().is_some() {
                return Err(Bypass::RangeUnit);
            }
            true
        }
    };
    Ok(Asked { method, directives, range })
}

/// The same for a request that has none of the fields [`SPEAKS_TO_CACHES`].
///
/// # Errors
/// Why the request goes past the cache.
pub fn admit_plain(rules: &Cache, method: &str, (body, upgrade): (bool, bool)) -> Result<Asked, Bypass> {
    let method =
        CacheMethod::from_word(method).filter(|method| rules.answers(*method)).ok_or(Bypass::Method)?;
    match (body, upgrade) {
        (true, _) => Err(Bypass::Body),
        (_, true) => Err(Bypass::Upgrade),
        _ => Ok(Asked { method, directives: RequestDirectives::default(), range: false }),
    }
}

/// The fields of a request that tell a cache what to do: all that [`admit`] and conditions look at.
pub const SPEAKS_TO_CACHES: [&str; 8] = [
    "cache-control",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "pragma",
    "range",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, head: &[(&str, &str)]) -> Result<Asked, Bypass> {
        admit(&Cache::default(), method, head, (false, false))
    }

    #[test]
    fn a_plain_request_is_admitted() {
        let asked = asked("GET", &[("Cookie", "a=b"), ("Cache-Control", "no-cache")]).expect("admitted");
        assert!(asked.directives.no_cache && !asked.range);
        assert!(super::admit(&Cache::default(), "HEAD", &[("Range", "x=1")][..], (false, false)).is_ok());
    }

    #[test]
    fn each_reason_is_named() {
        let refused = |method: &str, head: &[(&str, &str)]| asked(method, head).err();
        assert_eq!(refused("POST", &[]), Some(Bypass::Method));
        assert_eq!(refused("get", &[]), Some(Bypass::Method));
        assert_eq!(refused("GET", &[("cache-control", "no-store")]), Some(Bypass::NoStore));
        assert_eq!(refused("GET", &[("range", "lines=1-2")]), Some(Bypass::RangeUnit));
        assert_eq!(refused("GET", &[("range", "bytes=1-2"), ("range", "bytes=3-")]), Some(Bypass::RangeUnit));
        assert_eq!(refused("GET", &[("if-match", "*")]), Some(Bypass::Precondition));
        let head: &[(&str, &str)] = &[];
        assert_eq!(admit(&Cache::default(), "GET", head, (true, false)), Err(Bypass::Body));
        assert_eq!(admit(&Cache::default(), "GET", head, (false, true)), Err(Bypass::Upgrade));
        let get = Cache { methods: vec![CacheMethod::Get], ..Cache::default() };
        assert_eq!(admit(&get, "HEAD", head, (false, false)), Err(Bypass::Method));
    }
}
