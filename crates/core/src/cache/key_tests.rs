//! Two requests that may get different answers never have one key.

use std::collections::HashMap;

use evenkeel_config::Names;

use super::*;

type Head = Vec<(&'static str, String)>;

const TARGET: Target<'static> = Target {
    scheme: "https",
    authority: "shop.example.com",
    path: "/api",
    asked: "/api",
    query: None,
    route: "api",
    pool: "app",
};

fn rules(query: Option<&[&str]>, headers: &[&str], cookies: &[&str]) -> CacheKey {
    let names = |names: &[&str]| Names(names.iter().map(|name| (*name).to_owned()).collect());
    CacheKey { query: query.map(names), headers: names(headers), cookies: names(cookies) }
}

fn of(rules: &CacheKey, query: Option<&str>, head: &[(&str, &str)]) -> Box<[u8]> {
    key(rules, &Target { query, ..TARGET }, head).bytes
}

#[test]
fn a_further_part_makes_another_key() {
    let base = key(&rules(None, &["x-one"], &["two"]), &TARGET, &Head::new()).bytes.into_vec();
    let mut keys = vec![base.clone()];
    for part in [&b""[..], b"a", b"b", b"\0"] {
        let mut other = base.clone();
        add_to_key(&mut other, part);
        assert!(!keys.contains(&other), "{part:?}");
        keys.push(other);
    }
}

#[test]
fn each_part_of_the_target_counts() {
    let all = rules(None, &[], &[]);
    let base = key(&all, &TARGET, &Head::new());
    for other in [
        Target { scheme: "http", ..TARGET },
        Target { authority: "shop.example.com:8443", ..TARGET },
        Target { path: "/ap", ..TARGET },
        Target { asked: "/v1/api", ..TARGET },
        Target { query: Some(""), ..TARGET },
        Target { query: Some("a"), ..TARGET },
        Target { route: "other", ..TARGET },
        Target { pool: "other", ..TARGET },
    ] {
        assert_ne!(key(&all, &other, &Head::new()).bytes, base.bytes, "{other:?}");
    }
    // The length of a host is no letter, whatever its byte.
    for length in 60..130 {
        let long = "a".repeat(length);
        let bytes = key(&all, &Target { authority: &long, ..TARGET }, &Head::new()).bytes;
        assert!(bytes.starts_with(&[length as u8]) || length > 127, "{length}");
    }
    let upper = key(&all, &Target { authority: "SHOP.example.com", ..TARGET }, &Head::new());
    assert_eq!(upper, base);
}

#[test]
fn a_lookup_writes_the_same_key() {
    let all = rules(None, &[], &[]);
    let mut out = b"what was there before".to_vec();
    write_key(&all, &TARGET, &Head::new(), &mut out);
    assert_eq!(*out, *key(&all, &TARGET, &Head::new()).bytes);
}

#[test]
fn a_whole_query_counts_as_it_came() {
    let all = rules(None, &[], &[]);
    assert_ne!(of(&all, Some("a=1&b=2"), &[]), of(&all, Some("b=2&a=1"), &[]));
    assert_ne!(of(&all, Some("a=%61"), &[]), of(&all, Some("a=a"), &[]));
}

#[test]
fn only_the_selected_parameters_count() {
    let some = rules(Some(&["page", "sort"]), &[], &[]);
    let equal = |one: &str, other: &str| of(&some, Some(one), &[]) == of(&some, Some(other), &[]);
    assert!(equal("page=1&utm=x", "utm=y&page=1") && equal("page=1&sort=a", "sort=a&page=1"));
    assert!(of(&some, None, &[]) == of(&some, Some("utm=x"), &[]));
    assert!(
        !equal("page=1", "page=2") && !equal("page", "page=") && !equal("page=1&page=2", "page=2&page=1")
    );
    assert!(!equal("page=1", "page=1&page=1") && !equal("page=1", "sort=1") && !equal("page=%31", "page=1"));
    assert!(equal("p%61ge=1", "page=1"), "a server reads both names alike");
    // Some servers see a parameter behind the `;`, so all of it counts.
    assert!(!equal("page=1&x=1;page=2", "page=1&x=1") && !equal("page=1;page=2", "page=1"));
    let spaced = rules(Some(&["a b"]), &[], &[]);
    assert_ne!(of(&spaced, Some("a+b=1"), &[]), of(&spaced, Some("a+b=2"), &[]));
    let none = rules(Some(&[]), &[], &[]);
    assert_eq!(of(&none, Some("a=1"), &[]), of(&none, None, &[]));
}

#[test]
fn selected_fields_and_cookies_count() {
    let some = rules(None, &["x-country"], &["theme", "lang"]);
    let ask = |head: &[(&str, &str)]| of(&some, None, head);
    assert_eq!(ask(&[("other", "1")]), ask(&[]));
    assert_ne!(ask(&[("x-country", "")]), ask(&[]));
    assert_ne!(ask(&[("x-country", "de")]), ask(&[("x-country", "at")]));
    assert_ne!(ask(&[("x-country", "de"), ("x-country", "at")]), ask(&[("x-country", "de, at")]));
    assert_eq!(ask(&[("cookie", "id=7; theme=dark")]), ask(&[("cookie", "theme=dark; id=8")]));
    assert_ne!(ask(&[("cookie", "theme=dark")]), ask(&[("cookie", "lang=dark")]));
    assert_ne!(ask(&[("cookie", "theme=dark; theme=light")]), ask(&[("cookie", "theme=dark")]));
    assert_eq!(
        ask(&[("cookie", "theme=dark"), ("cookie", "lang=de")]),
        ask(&[("cookie", "lang=de;theme=dark")])
    );
}

#[test]
fn purges_know_the_url_without_scheme_and_port() {
    let (whole, part) = (rules(None, &[], &[]), rules(Some(&["page"]), &[], &[]));
    let url = |rules: &CacheKey, authority: &'static str, query| {
        url_id(rules, &Target { authority, query, ..TARGET })
    };
    assert_eq!(
        url(&whole, "Shop.Example.com:443", Some("a")),
        UrlId::whole("shop.example.com", "/api", Some("a"))
    );
    assert_ne!(UrlId::whole("h", "/api", Some("")), UrlId::whole("h", "/api", None));
    assert_eq!(url(&part, "h", Some("page=1")), UrlId::bare("h", "/api"));
    assert_eq!(url(&part, "h", Some("page=1;x")), UrlId::whole("h", "/api", Some("page=1;x")));
    assert_eq!(
        (host_of("[::1]:80"), host_of("[::1]"), host_of("A")),
        (b"[::1]".into(), b"[::1]".into(), b"a".into())
    );
}

/// Everything that counts, as the test knows it: compared whole, not by any encoding.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Counts {
    parts: Vec<String>,
    query: Option<String>,
    fields: Vec<String>,
    cookies: Vec<String>,
}

#[test]
fn two_requests_that_differ_never_have_one_key() {
    let (seed, rules) = (7, rules(None, &["x"], &["c"]));
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut seen: HashMap<Box<[u8]>, Counts> = HashMap::new();
    // Few short texts over few characters, the lengths and marks of the encoding among them.
    let mut text = move || -> String {
        (0..rng.usize(..4)).map(|_| ['\0', '\u{1}', '\u{2}', 'a'][rng.usize(..4)]).collect()
    };
    let mut rng = fastrand::Rng::with_seed(seed + 1);
    for _ in 0..200_000 {
        let parts: Vec<String> = (0..6).map(|_| text()).collect();
        let query = rng.bool().then(&mut text);
        let fields: Vec<String> = (0..rng.usize(..3)).map(|_| text()).collect();
        let cookies: Vec<String> = (0..rng.usize(..3)).map(|_| text()).collect();
        let mut head: Head = fields.iter().map(|value| ("x", value.clone())).collect();
        head.extend(cookies.iter().map(|value| ("cookie", format!("c={value}"))));
        let target = Target {
            scheme: &parts[0],
            authority: &parts[1],
            path: &parts[2],
            asked: &parts[3],
            query: query.as_deref(),
            route: &parts[4],
            pool: &parts[5],
        };
        let key = key(&rules, &target, &head);
        let counts = Counts { parts, query, fields, cookies };
        let before = seen.entry(key.bytes).or_insert_with(|| counts.clone());
        assert_eq!(*before, counts, "seed {seed}: one key for both");
    }
}
