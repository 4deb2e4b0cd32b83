//! What is stale is asked about before it is used again, and what the server says of it holds (RFC 9111, 4.3).

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::cache::{assert_said, fresh, is_hit, stale, start};
use crate::support::{Origin, answer, eventually};

/// Answers the first request with `first`, and those behind it with `then`.
fn changing(first: String, then: String) -> Origin {
    let asked = AtomicUsize::new(0);
    Origin::answering(
        move |_| {
            if asked.fetch_add(1, Ordering::SeqCst) == 0 { first.clone() } else { then.clone() }
        },
    )
}

fn not_modified(fields: &str) -> String {
    format!("HTTP/1.1 304 Not Modified\r\n{fields}\r\n")
}

#[test]
fn a_304_keeps_the_body_and_brings_the_head_up_to_date() {
    let origin = changing(
        stale("", "one", "hello").replace("age: 15", "age: 15\r\nx-old: 1\r\nx-both: old"),
        not_modified("etag: \"one\"\r\ncache-control: max-age=600\r\nx-both: new\r\nx-new: 1\r\n"),
    );
    let evenkeel = start(&origin, "true");
    assert_eq!(evenkeel.get("/").text(), "hello");
    let again = evenkeel.get("/");
    assert_eq!((again.status, again.text().as_str()), (200, "hello"));
    assert_said(&again, "fwd=stale; fwd-status=304");
    assert_eq!(origin.last().header("if-none-match"), Some("\"one\""));
    let hit = evenkeel.get("/");
    assert!(is_hit(&hit));
    assert_eq!(hit.text(), "hello");
    for (name, value) in [("x-old", "1"), ("x-both", "new"), ("x-new", "1"), ("content-length", "5")] {
        assert_eq!(hit.header(name), Some(value), "{name}");
    }
    assert_eq!(origin.count(), 2);
    assert_eq!(origin.connections(), 1, "the connection outlives a 304");
}

#[test]
fn the_date_of_the_last_change_is_asked_with_where_there_is_no_tag() {
    let modified = "Sun, 06 Nov 1994 08:49:37 GMT";
    let first = answer(200, &format!("cache-control: max-age=0\r\nlast-modified: {modified}\r\n"), "hello");
    let origin = changing(first, not_modified("cache-control: max-age=600\r\n"));
    let evenkeel = start(&origin, "true");
    evenkeel.get("/");
    assert_eq!(evenkeel.get("/").text(), "hello");
    assert_eq!(origin.last().header("if-modified-since"), Some(modified));
    assert!(is_hit(&evenkeel.get("/")));
}

#[test]
fn a_client_that_asks_conditionally_gets_its_304_after_a_revalidation() {
    let origin = changing(stale("", "one", "hello"), not_modified("cache-control: max-age=600\r\n"));
    let evenkeel = start(&origin, "true");
    evenkeel.get("/");
    let mine = evenkeel.client().get_with("/", "if-none-match: \"one\"\r\n");
    assert_eq!(mine.status, 304);
    assert_eq!(evenkeel.get("/").text(), "hello");
    assert_eq!(origin.count(), 2);
}

#[test]
fn a_client_that_has_something_else_gets_the_whole_after_a_304() {
    let origin = changing(stale("", "one", "hello"), not_modified("cache-control: max-age=600\r\n"));
    let evenkeel = start(&origin, "true");
    evenkeel.get("/");
    let mine = evenkeel.client().get_with("/", "if-none-match: \"mine\"\r\n");
    assert_eq!((mine.status, mine.text().as_str()), (200, "hello"));
    assert_eq!(origin.last().header("if-none-match"), Some("\"one\""), "the client's own tag stays here");
}

#[test]
fn a_200_takes_the_place_of_what_was_stale() {
    let origin = changing(stale("", "one", "old"), fresh("etag: \"two\"\r\n", "new"));
    let evenkeel = start(&origin, "true");
    assert_eq!(evenkeel.get("/").text(), "old");
    let second = evenkeel.get("/");
    assert_eq!(second.text(), "new");
    assert_said(&second, "fwd=stale");
    let third = evenkeel.get("/");
    assert_eq!((third.text().as_str(), is_hit(&third)), ("new", true));
    assert_eq!(evenkeel.metric("evenkeel_cache_objects", &[]), 1.0);
}

#[test]
fn what_may_not_be_kept_takes_the_stale_response_away() {
    for (status, fields) in
        [(200, "cache-control: private\r\n"), (404, ""), (410, "cache-control: no-store\r\n")]
    {
        let origin = changing(stale(", stale-if-error=600", "one", "old"), answer(status, fields, "new"));
        let evenkeel = start(&origin, "true");
        assert_eq!(evenkeel.get("/").text(), "old");
        let second = evenkeel.get("/");
        assert_eq!((second.status, second.text().as_str()), (status, "new"));
        origin.stop();
        let third = evenkeel.get("/");
        assert_ne!(third.text(), "old", "{status} {fields}: the server has said that it is gone");
    }
}

#[test]
fn a_304_that_forbids_keeping_is_obeyed() {
    let origin = changing(
        stale(", stale-if-error=600", "one", "hello"),
        not_modified("etag: \"one\"\r\ncache-control: no-store\r\n"),
    );
    let evenkeel = start(&origin, "true");
    evenkeel.get("/");
    // The body is asked for anew, without the condition; this server says 304 all the same.
    let second = evenkeel.get("/");
    assert!(second.status == 304 || second.status == 200, "{}", second.status);
    origin.stop();
    assert_ne!(evenkeel.get("/").text(), "hello");
}

#[test]
fn a_head_that_finds_something_stale_keeps_no_empty_body() {
    let origin = Origin::start(|request, wire| {
        let text = stale("", "one", "hello");
        let end = if request.method() == "HEAD" { text.len() - 5 } else { text.len() };
        wire.send(&text[..end]);
    });
    let evenkeel = start(&origin, "true");
    assert_eq!(evenkeel.get("/").text(), "hello");
    for _ in 0..3 {
        let head = evenkeel.ask("HEAD / HTTP/1.1\r\nhost: test\r\n\r\n");
        assert_eq!((head.status, head.header("content-length")), (200, Some("5")));
        assert_eq!(evenkeel.get("/").text(), "hello");
    }
}

#[test]
fn a_head_in_the_background_keeps_no_empty_body() {
    let origin = Origin::start(|request, wire| {
        let head = request.method() == "HEAD";
        let text = if request.header("if-none-match").is_some() {
            fresh("etag: \"two\"\r\n", "hello")
        } else {
            stale(", stale-while-revalidate=600", "one", "hello")
        };
        let end = if head { text.len() - 5 } else { text.len() };
        wire.send(&text[..end]);
    });
    let evenkeel = start(&origin, "true");
    evenkeel.get("/");
    let head = evenkeel.ask("HEAD / HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(head.header("content-length"), Some("5"));
    eventually("the background fetch was made", || origin.count() == 2);
    eventually("a whole response is fresh", || {
        let get = evenkeel.get("/");
        assert_eq!(get.text(), "hello");
        get.header("etag") == Some("\"two\"")
    });
}

#[test]
fn no_cache_is_asked_about_each_time() {
    let origin = Origin::answering(|request| {
        if request.header("if-none-match") == Some("\"one\"") {
            return not_modified("etag: \"one\"\r\ncache-control: no-cache, max-age=600\r\n");
        }
        answer(200, "cache-control: no-cache, max-age=600\r\netag: \"one\"\r\n", "hello")
    });
    let evenkeel = start(&origin, "true");
    for count in 1..=4 {
        let response = evenkeel.get("/");
        assert_eq!(response.text(), "hello");
        assert!(!is_hit(&response));
        assert_eq!(origin.count(), count);
    }
}

#[test]
fn a_client_that_reloads_reaches_the_server() {
    let origin = Origin::answering(|_| fresh("etag: \"one\"\r\n", "hello"));
    let evenkeel = start(&origin, "true");
    evenkeel.get("/");
    for (count, fields) in [
        "cache-control: no-cache\r\n",
        "cache-control: max-age=0\r\n",
        "pragma: no-cache\r\n",
        "cache-control: min-fresh=1000\r\n",
    ]
    .iter()
    .enumerate()
    {
        let response = evenkeel.client().get_with("/", fields);
        assert_said(&response, "fwd=request");
        assert_eq!(origin.count(), count + 2, "{fields}");
    }
    let both = evenkeel.client().get_with("/", "pragma: no-cache\r\ncache-control: max-age=500\r\n");
    assert!(is_hit(&both), "Pragma means nothing beside Cache-Control");
}

#[test]
fn a_response_without_validators_is_fetched_whole_when_it_is_stale() {
    let first = answer(200, "cache-control: max-age=10, stale-if-error=60\r\nage: 15\r\n", "old");
    let origin = changing(first, fresh("", "new"));
    let evenkeel = start(&origin, "true");
    evenkeel.get("/");
    assert_eq!(evenkeel.get("/").text(), "new");
    let request = origin.last();
    assert_eq!((request.header("if-none-match"), request.header("if-modified-since")), (None, None));
}

#[test]
fn only_what_is_kept_can_be_had_without_the_server() {
    let origin = Origin::answering(|_| fresh("", "hello"));
    let evenkeel = start(&origin, "true");
    let fields = "cache-control: only-if-cached\r\n";
    let mut client = evenkeel.client();
    assert_eq!(client.get_with("/", fields).status, 504);
    assert_eq!(origin.count(), 0);
    client.get("/");
    let hit = client.get_with("/", fields);
    assert_eq!((hit.status, is_hit(&hit)), (200, true));
    let neither = client.get_with("/", "cache-control: only-if-cached, no-cache\r\n");
    assert_eq!(neither.status, 504);
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_client_that_reloads_takes_nothing_away_from_the_others() {
    // The server begins a session with those that have no cookie and want to have it asked.
    let origin = Origin::answering(|request| {
        let begins = request.header("cache-control").is_some();
        fresh(if begins { "set-cookie: s=1\r\netag: \"one\"\r\n" } else { "etag: \"one\"\r\n" }, "hello")
    });
    let evenkeel = start(&origin, "true");
    evenkeel.get("/");
    for fields in ["cache-control: no-cache\r\n", "cache-control: no-cache\r\nauthorization: Basic eDp5\r\n"]
    {
        assert!(!is_hit(&evenkeel.client().get_with("/", fields)));
        assert!(is_hit(&evenkeel.get("/")), "{fields}");
    }
}
