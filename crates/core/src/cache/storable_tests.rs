//! What is kept, for how long, and why not.

use evenkeel_config::Names;

use super::*;

const NOW: Wall = Wall::from_secs(1_800_000_000);
type Lines<'a> = &'a [(&'a str, &'a str)];

fn of(rules: &Cache, request: Lines<'_>, status: u16, answer: Lines<'_>) -> Result<Keep, NotStored> {
    storable(rules, &Exchange { request, status, answer, sent: NOW, received: NOW })
}

/// By `cache = true`, in answer to a plain request.
fn plain(status: u16, answer: Lines<'_>) -> Result<Keep, NotStored> {
    of(&Cache::default(), &[], status, answer)
}

/// Seconds for which the answer is fresh from now on; `None` if it is not kept.
fn fresh(status: u16, answer: Lines<'_>) -> Option<i64> {
    plain(status, answer).ok().map(|keep| keep.stored.ttl(NOW))
}

fn date(offset: i64) -> String {
    Wall::from_secs(NOW.as_secs().saturating_add_signed(offset)).http_date()
}

#[test]
fn freshness_is_that_of_the_most_specific_field() {
    let (past, later) = (date(-100), date(300));
    assert_eq!(fresh(200, &[("cache-control", "max-age=60")]), Some(60));
    assert_eq!(fresh(200, &[("cache-control", "max-age=60, s-maxage=10")]), Some(10));
    assert_eq!(fresh(200, &[("cache-control", "max-age=60"), ("expires", &past)]), Some(60));
    assert_eq!(fresh(200, &[("expires", &later)]), Some(300));
    assert_eq!(
        fresh(200, &[("expires", &later), ("date", &past)]),
        Some(300),
        "100 seconds of the 400 are over"
    );
    assert_eq!(fresh(200, &[("expires", "0"), ("etag", "\"a\"")]), Some(0));
    let targeted = [("cdn-cache-control", "max-age=5"), ("cache-control", "no-store"), ("expires", &*later)];
    assert_eq!(fresh(200, &targeted), Some(5));
    let without = [("cdn-cache-control", "public"), ("cache-control", "max-age=9"), ("expires", &*later)];
    assert_eq!(
        plain(200, &without).err(),
        Some(NotStored::NoFreshness),
        "nothing beside a targeted field counts"
    );
}

#[test]
fn age_and_date_count() {
    let aged = |age: &str| fresh(200, &[("cache-control", "max-age=60"), ("age", age), ("etag", "\"a\"")]);
    assert_eq!((aged("20"), aged("60"), aged("1000000000")), (Some(40), Some(0), Some(60 - 1_000_000_000)));
    // Only the first member counts, and not if it is malformed.
    assert_eq!(
        (aged("20, 50"), aged("abc"), aged("-5"), aged("1.5")),
        (Some(40), Some(60), Some(60), Some(60))
    );
    let dated = |offset: i64| fresh(200, &[("cache-control", "max-age=60"), ("date", &date(offset))]);
    assert_eq!(dated(-30), Some(30));
    assert_eq!((dated(-10), dated(100)), (Some(60), Some(60)), "clocks differ a little");
    let delayed = Exchange {
        request: &[("", ""); 0][..],
        status: 200,
        answer: &[("cache-control", "max-age=60"), ("age", "5")][..],
        sent: NOW,
        received: NOW.plus_millis(3_000),
    };
    let stored = storable(&Cache::default(), &delayed).map(|keep| keep.stored);
    assert_eq!(
        stored.map(|stored| stored.age(NOW.plus_millis(3_000))),
        Ok(8),
        "the time of the request counts"
    );
}

#[test]
fn freshness_is_guessed_where_that_is_allowed() {
    let guess = |status: u16, more: Lines<'_>| {
        let modified = date(-1_000);
        let mut head = vec![("last-modified", &*modified)];
        head.extend_from_slice(more);
        plain(status, &head).map(|keep| (keep.stored.ttl(NOW), keep.heuristic))
    };
    for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        assert_eq!(guess(status, &[]).ok(), Some((100, true)), "{status}");
    }
    for status in [201, 202, 302, 303, 307, 403, 500, 502, 503, 504, 599] {
        assert_eq!(guess(status, &[]).err(), Some(NotStored::NoFreshness), "{status}");
        assert_eq!(guess(status, &[("cache-control", "public")]).ok(), Some((100, true)), "{status}");
        assert_eq!(guess(status, &[("cache-control", "max-age=5")]).ok(), Some((5, false)), "{status}");
    }
    let old = date(-100 * 86_400);
    assert_eq!(fresh(200, &[("last-modified", &old)]), Some(86_400), "a day at most");
    assert_eq!(plain(200, &[]).err(), Some(NotStored::NoFreshness));
    assert_eq!(fresh(200, &[("etag", "\"a\"")]), Some(0), "kept to be revalidated");
}

#[test]
fn each_reason_not_to_keep_is_named() {
    let check = |answer: Lines<'_>, expected: NotStored| {
        let mut head = vec![("etag", "\"a\"")];
        head.extend_from_slice(answer);
        if !answer.iter().any(|(name, _)| *name == "cache-control") {
            head.push(("cache-control", "max-age=60"));
        }
        assert_eq!(plain(200, &head).err(), Some(expected), "{answer:?}");
    };
    check(&[("cache-control", "max-age=60, no-store")], NotStored::NoStore);
    check(&[("cache-control", "private, max-age=60")], NotStored::Private);
    check(&[("set-cookie", "a=b")], NotStored::SetCookie);
    check(&[("vary", "accept, *")], NotStored::VaryStar);
    check(&[("content-length", "67108865")], NotStored::TooLarge);
    check(&[("cache-tag", &"x,".repeat(40)), ("surrogate-key", &"y".repeat(300))], NotStored::TooManyTags);
    for status in [101, 206, 304, 600] {
        assert_eq!(
            plain(status, &[("cache-control", "max-age=60")]).err(),
            Some(NotStored::Part),
            "{status}"
        );
    }
    assert_eq!(plain(200, &[("cache-control", "max-age=0")]).err(), Some(NotStored::Stale));
    assert_eq!(plain(200, &[("cache-control", "no-cache, max-age=60")]).err(), Some(NotStored::Stale));
    let understood = [("cache-control", "max-age=60, no-store, must-understand")];
    assert_eq!(fresh(200, &understood), Some(60));
    assert_eq!(plain(599, &understood).err(), Some(NotStored::NotUnderstood));
}

#[test]
fn what_one_user_may_see_is_not_kept_for_others() {
    let secret: Lines<'_> = &[("authorization", "Basic eA==")];
    let kept = |rules: &Cache, control: &str| of(rules, secret, 200, &[("cache-control", control)]).err();
    let default = Cache::default();
    assert_eq!(kept(&default, "max-age=60"), Some(NotStored::Authorization));
    assert_eq!(kept(&default, "max-age=60, proxy-revalidate"), Some(NotStored::Authorization));
    for allowed in ["max-age=60, public", "max-age=60, must-revalidate", "s-maxage=60"] {
        assert_eq!(kept(&default, allowed), None, "{allowed}");
    }
    // No key of the route changes any of this.
    let eager = Cache {
        ttl: Some(Duration::from_secs(60)),
        statuses: [(200, Duration::from_secs(60))].into_iter().collect(),
        ignore_cookies: true,
        key: evenkeel_config::CacheKey { headers: Names(vec!["authorization".into()]), ..Default::default() },
        ..Cache::default()
    };
    assert_eq!(kept(&eager, ""), Some(NotStored::Authorization));
    assert_eq!(kept(&eager, "private"), Some(NotStored::Private));
    assert_eq!(kept(&eager, "no-store"), Some(NotStored::NoStore));
}

#[test]
fn the_route_says_how_long() {
    let seconds = Duration::from_secs;
    let ttl = Cache { ttl: Some(seconds(600)), ..Cache::default() };
    let kept = |rules: &Cache, status: u16, answer: Lines<'_>| {
        of(rules, &[], status, answer).map(|keep| keep.stored.ttl(NOW))
    };
    assert_eq!(kept(&ttl, 200, &[]), Ok(600));
    assert_eq!(kept(&ttl, 200, &[("cache-control", "max-age=0"), ("age", "50")]), Ok(600), "from now on");
    assert_eq!(kept(&ttl, 500, &[]), Err(NotStored::NoFreshness));
    assert_eq!(kept(&ttl, 404, &[("cache-control", "max-age=5")]), Ok(5));
    let statuses = [(200, seconds(300)), (404, seconds(10)), (301, Duration::ZERO)].into_iter().collect();
    let both = Cache { statuses, ..ttl };
    assert_eq!(
        (kept(&both, 200, &[]), kept(&both, 404, &[]), kept(&both, 203, &[])),
        (Ok(300), Ok(10), Ok(600))
    );
    assert_eq!(kept(&both, 301, &[]), Err(NotStored::Status));
    assert_eq!(kept(&both, 500, &[("cache-control", "max-age=60")]), Err(NotStored::Status));
    let no_cache = of(&both, &[], 200, &[("cache-control", "no-cache"), ("etag", "\"a\"")]).expect("kept");
    assert!(no_cache.stored.flags.has(Flags::NO_CACHE));
}

#[test]
fn stale_windows_are_the_responses_or_the_routes() {
    let route = Cache {
        stale_while_revalidate: Some(Duration::from_secs(10)),
        stale_if_error: Some(Duration::from_millis(20_500)),
        ..Cache::default()
    };
    let windows = |control: &str| {
        let stored =
            of(&route, &[], 200, &[("cache-control", control), ("etag", "\"a\"")]).expect("kept").stored;
        (stored.stale_while_revalidate, stored.stale_if_error)
    };
    assert_eq!(windows("max-age=1"), (10, 21));
    assert_eq!(windows("max-age=1, stale-while-revalidate=3"), (3, 21));
    assert_eq!(windows("s-maxage=1, stale-if-error=0"), (10, 0));
    for never in ["must-revalidate", "proxy-revalidate", "no-cache"] {
        assert_eq!(windows(&format!("max-age=1, stale-if-error=9, {never}")), (0, 0), "{never}");
    }
}

#[test]
fn fields_that_are_not_kept_are_named() {
    let head = [
        ("connection", "x-hop, close"),
        ("cache-control", "max-age=60, no-cache=\"x-one\", private=\"set-cookie\""),
        ("set-cookie", "a=b"),
    ];
    let without = plain(200, &head).expect("a named Set-Cookie is left out").without;
    for name in ["X-Hop", "x-one", "Set-Cookie", "Connection", "Age", "transfer-encoding"] {
        assert!(without.holds(name.as_bytes()), "{name}");
    }
    assert!(!without.holds(b"etag"));
    let ignoring = Cache { ignore_cookies: true, ..Cache::default() };
    let head = [("cache-control", "max-age=60"), ("set-cookie", "a=b")];
    assert!(of(&ignoring, &[], 200, &head).expect("kept").without.holds(b"set-cookie"));
    // A range of a 200 is nonsense, and no reason.
    assert!(plain(200, &[("cache-control", "max-age=60"), ("content-range", "x")]).is_ok());
}

#[test]
fn what_is_known_of_an_object_is_small() {
    assert_eq!(size_of::<Stored>(), 24);
    let flags = Flags::default().with(Flags::IMMUTABLE, true).with(Flags::NO_CACHE, false);
    assert_eq!(Flags::from_bits(flags.bits()), flags);
}
