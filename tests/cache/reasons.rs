//! What is not kept, and that `Cache-Status` and the log say why.

use crate::support::cache::{assert_said, fresh, is_hit, said, start};
use crate::support::{Evenkeel, Origin, answer, cache};

/// For each reason: the rules of the route, the response, and the request's further fields.
const REASONS: [(&str, &str, u16, &str, &str); 18] = [
    ("no-store", "true", 200, "cache-control: no-store, max-age=60\r\n", ""),
    ("no-store", "{ ttl = \"1m\" }", 200, "cache-control: no-store\r\n", ""),
    ("private", "true", 200, "cache-control: max-age=60, private\r\n", ""),
    ("private", "{ ttl = \"1m\" }", 200, "cache-control: private\r\n", ""),
    ("set-cookie", "true", 200, "cache-control: max-age=60\r\nset-cookie: a=b\r\n", ""),
    ("set-cookie", "true", 200, "cache-control: max-age=60, public\r\nset-cookie: a=b\r\n", ""),
    ("authorization", "true", 200, "cache-control: max-age=60\r\n", "authorization: Basic eDp5\r\n"),
    ("authorization", "{ ttl = \"1m\" }", 200, "", "authorization: Basic eDp5\r\n"),
    ("vary-star", "true", 200, "cache-control: max-age=60\r\nvary: *\r\n", ""),
    ("vary-star", "true", 200, "cache-control: max-age=60\r\nvary: accept, *\r\n", ""),
    ("no-freshness", "true", 200, "", ""),
    ("no-freshness", "true", 302, "location: /\r\n", ""),
    ("stale", "true", 200, "cache-control: max-age=0\r\n", ""),
    ("stale", "true", 200, "expires: 0\r\n", ""),
    ("status", "{ statuses = { 200 = \"1m\" } }", 404, "cache-control: max-age=60\r\n", ""),
    ("status", "{ statuses = { 404 = \"0s\" } }", 404, "cache-control: max-age=60\r\n", ""),
    ("must-understand", "true", 299, "cache-control: max-age=60, must-understand\r\n", ""),
    ("partial", "true", 206, "cache-control: max-age=60\r\ncontent-range: bytes 0-4/10\r\n", ""),
];

#[test]
fn each_reason_is_named_and_nothing_is_kept() {
    for (word, rules, status, fields, asked) in REASONS {
        let origin = Origin::answering(move |_| answer(status, fields, "hello"));
        let evenkeel = start(&origin, rules);
        for count in 1..=3 {
            let response = evenkeel.client().get_with("/", asked);
            assert_eq!((response.status, response.text().as_str()), (status, "hello"), "{word}");
            assert!(!is_hit(&response), "{word}: {}", said(&response));
            assert_eq!(origin.count(), count, "{word}");
            if count == 1 {
                assert_said(&response, &format!("detail={word}"));
            }
            assert!(!said(&response).contains("stored"), "{word}: {}", said(&response));
        }
        let record = evenkeel.record(|record| record["cache_reason"] == word);
        assert_eq!(record["cache"], "miss", "{word}");
    }
}

#[test]
fn too_many_or_too_long_names_are_not_kept() {
    let many: Vec<String> = (0..20).map(|at| format!("x-{at}")).collect();
    let tags: Vec<String> = (0..70).map(|at| at.to_string()).collect();
    for (word, fields) in [
        ("vary-too-long", format!("vary: {}\r\n", many.join(","))),
        ("too-many-tags", format!("cache-tag: {}\r\n", tags.join(","))),
        ("too-many-tags", format!("surrogate-key: {}\r\n", "k".repeat(300))),
    ] {
        let origin = Origin::answering(move |_| fresh(&fields, "hello"));
        let evenkeel = start(&origin, "true");
        assert_said(&evenkeel.get("/"), &format!("detail={word}"));
        assert!(!is_hit(&evenkeel.get("/")));
    }
}

#[test]
fn a_body_that_is_known_to_be_too_long_is_not_kept() {
    let origin = Origin::answering(|_| fresh("", &"x".repeat(2_000)));
    let evenkeel = start(&origin, "{ max_object = \"1KiB\" }");
    let response = evenkeel.get("/");
    assert_eq!(response.text().len(), 2_000);
    assert_said(&response, "detail=too-large");
    assert!(!is_hit(&evenkeel.get("/")));
}

#[test]
fn what_may_be_kept_for_others_is_kept_in_spite_of_authorization() {
    for directives in ["public, max-age=60", "s-maxage=60", "max-age=60, must-revalidate"] {
        let origin =
            Origin::answering(move |_| answer(200, &format!("cache-control: {directives}\r\n"), "a"));
        let evenkeel = start(&origin, "true");
        evenkeel.client().get_with("/", "authorization: Basic eDp5\r\n");
        assert!(is_hit(&evenkeel.get("/")), "{directives}");
    }
}

#[test]
fn a_cookie_is_taken_off_where_the_route_ignores_them() {
    let origin = Origin::answering(|_| fresh("set-cookie: a=b\r\n", "hello"));
    let evenkeel = start(&origin, "{ ignore_cookies = true }");
    assert_eq!(evenkeel.get("/").headers("set-cookie"), ["a=b"]);
    let hit = evenkeel.get("/");
    assert!(is_hit(&hit));
    assert!(hit.headers("set-cookie").is_empty());
}

#[test]
fn fields_that_the_response_keeps_private_are_not_kept() {
    let origin = Origin::answering(|_| {
        let fields = "cache-control: max-age=60, private=\"x-user, set-cookie\", no-cache=\"x-token\"\r\n\
                      x-user: me\r\nset-cookie: a=b\r\nx-token: t\r\nx-all: 1\r\n";
        answer(200, fields, "hello")
    });
    let evenkeel = start(&origin, "true");
    evenkeel.get("/");
    let hit = evenkeel.get("/");
    assert!(is_hit(&hit));
    assert_eq!(hit.header("x-all"), Some("1"));
    for name in ["x-user", "set-cookie", "x-token"] {
        assert!(hit.headers(name).is_empty(), "{name}");
    }
}

#[test]
fn the_cookie_of_a_sticky_session_is_never_kept() {
    let origin = Origin::answering(|_| fresh("", "hello"));
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\nname = \"main\"\npath = \"/*\"\npool = \"app\"\ncache = true\n{}",
        crate::support::pool(&[&origin], "sticky = { cookie = \"lb\" }")
    ));
    evenkeel.get("/");
    for _ in 0..2 {
        let hit = evenkeel.get("/");
        assert!(is_hit(&hit));
        assert!(hit.headers("set-cookie").is_empty());
    }
}

#[test]
fn our_own_errors_are_not_kept() {
    let origin = Origin::refusing("app");
    let evenkeel = Evenkeel::start(&cache::config(
        &[&origin],
        "{ ttl = \"1m\", statuses = { 502 = \"1m\", 503 = \"1m\" } }",
    ));
    let failed = evenkeel.get("/");
    assert!((500..=504).contains(&failed.status));
    assert!(!is_hit(&failed));
    origin.resume();
    crate::support::eventually("the server is asked again", || evenkeel.get("/").status == 200);
}

#[test]
fn a_server_error_is_kept_only_as_the_route_says() {
    let origin = Origin::answering(|_| answer(503, "", "down"));
    let evenkeel = start(&origin, "{ statuses = { 503 = \"1m\" } }");
    evenkeel.get("/");
    let hit = evenkeel.get("/");
    assert_eq!((hit.status, is_hit(&hit)), (503, true));
}
