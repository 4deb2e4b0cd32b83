//! Whole lives of responses, and what an attacker might try: no user ever gets what is another's.

use evenkeel_config::{CacheKey, Names};

use super::rig::{Answer, Ask, From, Reply, Rig, head};
use super::*;

type Lines<'a> = &'a [(&'a str, &'a str)];

fn rig() -> Rig {
    let mut rig = Rig::default();
    rig.now = Wall::from_secs(1_800_000_000);
    rig
}

/// Asks, and has the server answer so if it is asked.
fn ask(rig: &mut Rig, ask: &Ask, status: u16, lines: Lines<'_>, body: &str) -> Answer {
    rig.ask(ask, &mut |_| Reply::Answer { status, head: head(lines), body: body.into() })
}

/// Asks for what is kept; a request to the server fails the test's expectation by its body.
fn kept(rig: &mut Rig, request: &Ask) -> String {
    ask(rig, request, 200, &[("cache-control", "no-store")], "from the server").body
}

const FRESH: Lines<'static> = &[("cache-control", "max-age=60"), ("etag", "\"a\"")];

#[test]
fn a_response_lives_through_all_its_states() {
    let mut rig = rig();
    let get = Ask::get("/a", &[]);
    let lines: Lines<'_> =
        &[("cache-control", "max-age=60, stale-while-revalidate=10, stale-if-error=100"), ("etag", "\"a\"")];
    assert_eq!(ask(&mut rig, &get, 200, lines, "one").from, From::Server);
    let mut at = |seconds: u64, reply: &dyn Fn(&Ask) -> Reply| {
        rig.now = Wall::from_secs(1_800_000_000 + seconds);
        let answer = rig.ask(&get, &mut |asked| reply(asked));
        (answer.from, answer.body)
    };
    let fails = |_: &Ask| Reply::Failed(Failure::Timeout);
    let not_modified = |asked: &Ask| {
        assert_eq!(asked.head.first("if-none-match"), Some(&b"\"a\""[..]));
        Reply::Answer { status: 304, head: head(&[("etag", "\"a\"")]), body: String::new() }
    };
    let one = || "one".to_owned();
    assert_eq!(at(59, &fails), (From::Fresh, one()));
    assert_eq!(at(65, &fails), (From::Stale(StaleUse::WhileRevalidate), one()));
    assert_eq!(at(75, &fails), (From::Stale(StaleUse::IfError), one()));
    assert_eq!(at(80, &not_modified), (From::Revalidated, one()));
    assert_eq!(at(139, &fails), (From::Fresh, one()));
    // Stale, and renewed behind the client's back.
    assert_eq!(at(141, &not_modified), (From::Stale(StaleUse::WhileRevalidate), one()));
    assert_eq!(at(200, &fails), (From::Fresh, one()));
    assert_eq!(at(401, &fails).0, From::Own, "beyond all windows");
}

#[test]
fn what_is_for_one_user_is_never_for_another() {
    let alice = Ask::get("/me", &[("cookie", "id=alice"), ("authorization", "Bearer alice")]);
    let bob = Ask::get("/me", &[("cookie", "id=bob"), ("authorization", "Bearer bob")]);
    for lines in [
        &[("cache-control", "max-age=60")][..],
        &[("expires", "Fri, 01 Jan 2100 00:00:00 GMT")],
        &[("cache-control", "private, max-age=60"), ("etag", "\"a\"")],
        &[("cache-control", "public, max-age=60"), ("set-cookie", "id=alice")],
        &[("cache-control", "public, max-age=60"), ("vary", "cookie")],
        &[("cache-control", "public, max-age=60"), ("vary", "Authorization")],
        &[("cache-control", "public, max-age=60"), ("vary", "*")],
        &[("cache-control", "public, max-age=60"), ("vary", "x"), ("Vary", "Cookie")],
        &[("cache-control", "public, max-age=60, private")],
        &[("cache-control", "public, max-age=60"), ("cache-control", "no-store")],
        &[("cache-control", "public"), ("cdn-cache-control", "no-store")],
        &[],
    ] {
        let mut rig = rig();
        ask(&mut rig, &alice, 200, lines, "alice's");
        assert_eq!(kept(&mut rig, &bob), "from the server", "{lines:?}");
        let anybody = Ask::get("/me", &[]);
        assert_eq!(kept(&mut rig, &anybody), "from the server", "{lines:?}");
    }
}

#[test]
fn one_users_entity_tag_is_not_sent_for_another() {
    let mut rig = rig();
    let lines: Lines<'_> =
        &[("cache-control", "public, max-age=60"), ("vary", "cookie, accept"), ("etag", "\"same\"")];
    ask(&mut rig, &Ask::get("/me", &[("cookie", "id=alice")]), 200, lines, "alice's");
    let bob = Ask::get("/me", &[("cookie", "id=bob")]);
    let answer = rig.ask(&bob, &mut |asked| {
        assert!(!asked.head.has("if-none-match"));
        Reply::Answer { status: 200, head: head(&[]), body: "bob's".into() }
    });
    assert_eq!(answer.body, "bob's");
}

#[test]
fn no_path_is_kept_for_what_it_looks_like() {
    // Cache deception: the server answers `/account/x.css` with the account.
    for path in ["/account/x.css", "/account;x.js", "/account/%2e%2e/x.png"] {
        let mut rig = rig();
        ask(&mut rig, &Ask::get(path, &[]), 200, &[("content-type", "text/html")], "alice's");
        assert_eq!(kept(&mut rig, &Ask::get(path, &[])), "from the server", "{path}");
    }
}

#[test]
fn a_parameter_that_hides_another_poisons_nothing() {
    let key = CacheKey { query: Some(Names(vec!["page".into()])), ..CacheKey::default() };
    let with = |query: &str| Ask { query: Some(query.into()), ..Ask::get("/a", &[]) };
    for poison in ["x=1;page=2&page=1", "page=1&page=2", "page=1&p%61ge=2", "page=%31", "page[]=1", "PAGE=1"]
    {
        let mut rig = rig();
        rig.rules.key = key.clone();
        ask(&mut rig, &with(poison), 200, FRESH, "poison");
        assert_eq!(kept(&mut rig, &with("page=1")), "from the server", "{poison}");
    }
    let mut rig = rig();
    rig.rules.key = key;
    ask(&mut rig, &with("page=1&utm=a"), 200, FRESH, "page 1");
    assert_eq!(kept(&mut rig, &with("utm=b&page=1")), "page 1");
}

#[test]
fn selected_fields_and_cookies_part_responses() {
    let names = |name: &str| Names(vec![name.into()]);
    let mut rig = rig();
    rig.rules.key = CacheKey { query: None, headers: names("x-country"), cookies: names("theme") };
    let of = |country: &str, cookie: &str| Ask::get("/a", &[("X-Country", country), ("Cookie", cookie)]);
    ask(&mut rig, &of("de", "id=1; theme=dark"), 200, FRESH, "dark");
    assert_eq!(kept(&mut rig, &of("de", "theme=dark; id=2")), "dark");
    assert_eq!(kept(&mut rig, &of("at", "theme=dark")), "from the server");
    assert_eq!(kept(&mut rig, &of("de", "theme=light")), "from the server");
}

#[test]
fn parts_and_answers_without_a_body_are_not_kept_as_the_whole() {
    let get = Ask::get("/a", &[]);
    let head_request = Ask { method: "HEAD", ..get.clone() };
    let mut rig = rig();
    ask(&mut rig, &head_request, 200, FRESH, "");
    assert_eq!(kept(&mut rig, &get), "from the server");
    let range = Ask::get("/a", &[("range", "bytes=0-1")]);
    ask(&mut rig, &range, 206, &[("cache-control", "max-age=60"), ("content-range", "bytes 0-1/9")], "01");
    assert_eq!(kept(&mut rig, &get), "from the server");
    ask(&mut rig, &get, 304, FRESH, "");
    assert_eq!(kept(&mut rig, &get), "from the server");
    let large = &[("cache-control", "max-age=60"), ("content-length", "99999999999")][..];
    ask(&mut rig, &get, 200, large, "");
    assert_eq!(kept(&mut rig, &get), "from the server");
    // The whole answers for its parts, and for HEAD.
    ask(&mut rig, &range, 200, FRESH, "0123");
    let part = ask(&mut rig, &range, 500, &[], "");
    assert_eq!((part.status, &*part.body), (206, "01"));
    assert_eq!((kept(&mut rig, &head_request), kept(&mut rig, &get)), (String::new(), "0123".into()));
}

#[test]
fn a_reload_that_must_not_be_kept_leaves_what_is() {
    let mut rig = rig();
    ask(&mut rig, &Ask::get("/a", &[]), 200, FRESH, "one");
    let reload = Ask::get("/a", &[("cache-control", "no-cache")]);
    assert_eq!(ask(&mut rig, &reload, 200, &[("cache-control", "no-store")], "two").body, "two");
    assert_eq!(kept(&mut rig, &Ask::get("/a", &[])), "one");
}

#[test]
fn a_purge_meets_what_was_asked_for_before_it() {
    let mut rig = rig();
    let get = Ask::get("/a", &[]);
    ask(&mut rig, &get, 200, FRESH, "one");
    rig.purge(&Scope::url("SHOP.example.com:8080", "/a", None), Strength::Hard);
    assert_eq!(ask(&mut rig, &get, 200, FRESH, "two").body, "two");
    assert_eq!(kept(&mut rig, &get), "two");
    rig.purge(&Scope::All, Strength::Soft(rig.now));
    let answer = rig.ask(&get, &mut |asked| {
        assert!(asked.head.has("if-none-match"), "a soft purge keeps the validators");
        Reply::Answer { status: 304, head: head(FRESH), body: String::new() }
    });
    assert_eq!((answer.from, &*answer.body), (From::Revalidated, "two"));
    assert_eq!(kept(&mut rig, &get), "two");
}

#[test]
fn an_unsafe_request_invalidates_what_it_changed() {
    let mut rig = rig();
    for path in ["/a", "/b", "/c"] {
        ask(&mut rig, &Ask::get(path, &[]), 200, FRESH, path);
    }
    let post = Ask { method: "POST", body: true, ..Ask::get("/a", &[]) };
    ask(&mut rig, &post, 500, &[("location", "/b")], "");
    assert_eq!(kept(&mut rig, &Ask::get("/a", &[])), "/a", "a failure changes nothing");
    ask(&mut rig, &post, 201, &[("location", "/b"), ("content-location", "http://evil.example.com/c")], "");
    for (path, expected) in [("/a", "from the server"), ("/b", "from the server"), ("/c", "/c")] {
        assert_eq!(kept(&mut rig, &Ask::get(path, &[])), expected, "{path}");
    }
}

#[test]
fn variants_are_kept_side_by_side() {
    let mut rig = rig();
    let in_language = |language: &str| Ask::get("/a", &[("accept-language", language)]);
    let lines: Lines<'_> = &[("cache-control", "max-age=60"), ("vary", "Accept-Language")];
    ask(&mut rig, &in_language("en"), 200, lines, "hello");
    ask(&mut rig, &in_language("de"), 200, lines, "hallo");
    assert_eq!(
        (kept(&mut rig, &in_language("EN")), kept(&mut rig, &in_language("de"))),
        ("hello".into(), "hallo".into())
    );
    assert_eq!(kept(&mut rig, &in_language("fr")), "from the server");
    assert_eq!(kept(&mut rig, &Ask::get("/a", &[])), "from the server");
}

#[test]
fn a_client_that_wants_no_server_asked_gets_504() {
    let mut rig = rig();
    let request = Ask::get("/a", &[("cache-control", "only-if-cached")]);
    let answer = rig.ask(&request, &mut |_| panic!("the server was asked"));
    assert_eq!((answer.status, answer.from), (504, From::Own));
    ask(&mut rig, &Ask::get("/a", &[]), 200, FRESH, "one");
    assert_eq!(kept(&mut rig, &request), "one");
}
