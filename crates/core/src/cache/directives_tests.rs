//! What cache directives mean, however they are written.

use super::*;

fn response(lines: &[&str]) -> ResponseDirectives {
    let head: Vec<_> = lines.iter().map(|line| ("cache-control", *line)).collect();
    ResponseDirectives::of(&head)
}

fn request(line: &str) -> RequestDirectives {
    RequestDirectives::of(&vec![("cache-control", line)])
}

#[test]
fn max_age_is_read_in_all_its_forms() {
    let check = |text: &str, expected: u32| {
        assert_eq!(response(&[text]).max_age, Some(expected), "{text}");
    };
    check("max-age=3600", 3600);
    check("MaX-aGe=3600", 3600);
    check("foobar, max-age=3600", 3600);
    check("max-age=003600", 3600);
    check("max-age=\"3600\"", 3600);
    check("max-age=2147483647", 2_147_483_647);
    for large in ["max-age=2147483648", "max-age=2147483649", "max-age=99999999999999999999999999"] {
        check(large, DELTA_MAX);
    }
    for stale in [
        "max-age=-3600",
        "max-age='3600'",
        "max-age=3600.0",
        "max-age=a3600",
        "max-age=3600a",
        "max-age =3600",
        "max-age= 3600",
        "max-age=",
        "max-age",
        "max-age=\"\"",
        "max-age=\"36",
        "max-age=3600, max-age=x",
    ] {
        check(stale, 0);
    }
    check("max-age=1, extension=\"max-age=3600\"", 1);
    check("extension=\"max-age=3600\", max-age=\"1\"", 1);
    check("max-age=1800, max-age=1", 1);
    assert_eq!(response(&["max-age=1", "max-age=1800"]).max_age, Some(1));
    assert_eq!(response(&["max-age=3600", "s-maxage=1"]).s_maxage, Some(1));
    assert_eq!(response(&[]).max_age, None);
}

#[test]
fn what_forbids_is_seen_however_it_is_written() {
    for text in
        ["no-store", "No-StOrE", "max-age=10, no-store", "no-store=1", "x=\"y, no-store", " no-store ,"]
    {
        assert!(response(&[text]).no_store, "{text}");
    }
    for text in ["private", "private=\"\"", "private=\"a\", private", "private="] {
        assert!(response(&[text]).private, "{text}");
    }
    let named = response(&["no-cache=\"a, b\", private=c"]);
    assert!(!named.no_cache && !named.private);
    assert_eq!(named.fields, [b"a", b"b", b"c"].map(|name| Box::from(&name[..])));
    assert!(response(&["must-revalidate"]).forbid_stale() && response(&["proxy-revalidate"]).forbid_stale());
    assert!(!response(&["x=\"no-store\""]).no_store);
}

#[test]
fn a_targeted_field_stands_in_place_of_cache_control() {
    let of = |target: &str| {
        ResponseDirectives::of(&vec![("Cache-Control", "no-store"), ("CDN-Cache-Control", target)])
    };
    let seen = of("max-age=60, must-revalidate, s-maxage=10");
    assert!(seen.targeted && !seen.no_store && seen.must_revalidate);
    assert_eq!((seen.max_age, seen.s_maxage), (Some(60), Some(10)));
    assert!(of("no-store").no_store && of("no-store").targeted);
    assert!(!of("no-store=?0, max-age=1").no_store);
    assert_eq!(of("max-age=\"x\"").max_age, Some(0));
    assert_eq!(of("max-age=1.5").max_age, Some(0));
    for ignored in ["", "max-age=", "Max-Age=60", "max-age=60,", "max-age=60 no-store"] {
        assert!(of(ignored).no_store && !of(ignored).targeted, "{ignored}");
    }
}

#[test]
fn requests_say_what_they_accept() {
    assert_eq!(request("max-age=0, no-cache").max_age, Some(0));
    assert!(request("no-cache").no_cache && request("only-if-cached").only_if_cached);
    assert_eq!(
        (request("max-stale").max_stale, request("max-stale=5").max_stale),
        (Some(DELTA_MAX), Some(5))
    );
    assert_eq!(request("min-fresh=5, min-fresh=9").min_fresh, Some(9));
    let pragma = |lines: &[(&str, &str)]| RequestDirectives::of(lines).no_cache;
    assert!(pragma(&[("Pragma", "No-Cache")]) && !pragma(&[("Pragma", "foo")]));
    assert!(!pragma(&[("Pragma", "no-cache"), ("Cache-Control", "max-age=5")]));
}
