//! S16: what a server says wrongly, or two ways at once, is not kept.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::cache::{fresh, is_hit, start};
use crate::support::{Evenkeel, Origin, answer, cache, eventually, ok};

/// Asks until `count` requests have reached the server, and asserts that each did.
#[track_caller]
fn assert_never_kept(name: &str, origin: &Origin, evenkeel: &Evenkeel) {
    for _ in 0..3 {
        let before = origin.count();
        let mut client = evenkeel.client();
        client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        let response = client.response("GET");
        assert!(!response.is_ok_and(|response| is_hit(&response)), "{name}");
        assert!(origin.count() > before, "{name}: the server was not asked again");
    }
}

#[test]
fn s16_malformed_answers_are_not_kept() {
    let fresh = "cache-control: max-age=600\r\n";
    for (name, text) in [
        (
            "two lengths",
            format!("HTTP/1.1 200 OK\r\n{fresh}content-length: 1\r\ncontent-length: 2\r\n\r\nab"),
        ),
        (
            "both framings",
            format!(
                "HTTP/1.1 200 OK\r\n{fresh}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
        ),
        (
            "a line break in a field",
            format!("HTTP/1.1 200 OK\r\n{fresh}x-a: b\rc\r\ncontent-length: 0\r\n\r\n"),
        ),
        ("a NUL in a field", format!("HTTP/1.1 200 OK\r\n{fresh}x-a: b\0c\r\ncontent-length: 0\r\n\r\n")),
        (
            "a space before the colon",
            format!("HTTP/1.1 200 OK\r\n{fresh}x-a : b\r\ncontent-length: 0\r\n\r\n"),
        ),
        ("a folded line", format!("HTTP/1.1 200 OK\r\n{fresh}x-a: b\r\n c\r\ncontent-length: 0\r\n\r\n")),
        ("no status", format!("HTTP/1.1 OK\r\n{fresh}content-length: 0\r\n\r\n")),
        ("too short", format!("HTTP/1.1 200 OK\r\n{fresh}content-length: 9\r\n\r\nshort")),
        (
            "too large a head",
            format!("HTTP/1.1 200 OK\r\n{fresh}x-a: {}\r\ncontent-length: 0\r\n\r\n", "a".repeat(1 << 20)),
        ),
    ] {
        let origin = Origin::bytes_then_close(&text);
        let evenkeel = start(&origin, "{ ttl = \"10m\", statuses = { 502 = \"10m\" } }");
        assert_never_kept(name, &origin, &evenkeel);
    }
}

#[test]
fn s16_what_comes_behind_an_answer_is_no_answer_to_the_next_request() {
    let origin = Origin::start(|request, wire| {
        let evil = fresh("x-evil: 1\r\n", "evil");
        let text = fresh("", request.target());
        wire.send(if request.target() == "/split" { format!("{text}{evil}") } else { text });
    });
    let evenkeel = start(&origin, "true");
    let mut client = evenkeel.client();
    assert_eq!(client.get("/split").text(), "/split");
    for target in ["/next", "/split", "/next"] {
        let response = client.get(target);
        assert_eq!(response.text(), target);
        assert!(response.headers("x-evil").is_empty());
    }
}

#[test]
fn s16_of_directives_that_contradict_each_other_the_strictest_holds() {
    for (name, fields) in [
        ("public and private", "cache-control: public, private, max-age=60\r\n"),
        ("in two lines", "cache-control: max-age=60\r\ncache-control: no-store\r\n"),
        ("no-store behind", "cache-control: max-age=60, no-store\r\n"),
        ("in upper case", "CACHE-CONTROL: MAX-AGE=60, NO-STORE\r\n"),
        ("two ages", "cache-control: max-age=60, max-age=0\r\n"),
        ("two shared ages", "cache-control: s-maxage=60\r\ncache-control: s-maxage=0\r\n"),
        ("a negative age", "cache-control: max-age=-60\r\n"),
        ("an age that is none", "cache-control: max-age=soon\r\n"),
        ("an age with a fraction", "cache-control: max-age=60.5\r\n"),
        ("a quote without an end", "cache-control: x=\"a, private, max-age=60\r\n"),
        ("spaces at the sign", "cache-control: max-age = 60\r\n"),
        ("no-store with an argument", "cache-control: max-age=60, no-store=0\r\n"),
        ("private with nothing", "cache-control: max-age=60, private=\"\"\r\n"),
    ] {
        let origin = Origin::answering(move |_| answer(200, fields, "hello"));
        let evenkeel = start(&origin, "true");
        assert_never_kept(name, &origin, &evenkeel);
    }
}

#[test]
fn s16_a_directive_in_quotes_is_no_directive() {
    let origin =
        Origin::answering(|_| answer(200, "cache-control: x=\"no-store, private\", max-age=60\r\n", "hello"));
    let evenkeel = start(&origin, "true");
    evenkeel.get("/");
    assert!(is_hit(&evenkeel.get("/")));
}

#[test]
fn s16_errors_of_our_own_are_never_kept() {
    // A server that is away, answers nonsense, or is too slow.
    let ways: [fn(&mut crate::support::Wire); 3] = [
        |wire| wire.close(),
        |wire| {
            wire.send("nonsense\r\n\r\n");
        },
        |wire| {
            wire.hold();
            wire.close();
        },
    ];
    for fail in ways {
        let asked = AtomicUsize::new(0);
        let origin = Origin::start(move |_, wire| {
            if asked.fetch_add(1, Ordering::SeqCst) < 3 {
                fail(wire);
            } else {
                wire.send(ok("well"));
            }
        });
        let rules =
            "{ ttl = \"10m\", statuses = { 502 = \"10m\", 503 = \"10m\", 504 = \"10m\", 200 = \"1m\" } }";
        let text =
            cache::config(&[&origin], rules).replace("cache =", "timeout = { request = \"300ms\" }\ncache =");
        let evenkeel = Evenkeel::start(&text);
        assert!(evenkeel.get("/").status >= 500);
        eventually("the server's own answer comes", || {
            let response = evenkeel.get("/");
            assert!(response.status == 200 || !is_hit(&response));
            response.text() == "well"
        });
    }
}

#[test]
fn s16_what_a_long_head_of_a_request_provokes_is_not_kept() {
    // The server refuses what the proxy lets pass (cache-poisoned denial of service).
    let origin = Origin::answering(|request| {
        if request.header("x-long").is_some() || request.header("x-meta").is_some() {
            answer(400, "", "bad request")
        } else {
            fresh("", "hello")
        }
    });
    let evenkeel = start(&origin, "{ ttl = \"10m\" }");
    for (target, evil) in
        [("/long", format!("x-long: {}\r\n", "a".repeat(8_000))), ("/meta", "x-meta: \u{e9}\r\n".to_owned())]
    {
        assert_eq!(evenkeel.client().get_with(target, &evil).status, 400);
        assert_eq!(evenkeel.get(target).text(), "hello", "{target}");
    }
}
