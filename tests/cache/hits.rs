//! What a client sees of a response that comes out of the cache.

use crate::support::cache::{assert_said, fresh, is_hit, said, start};
use crate::support::{Framing, Origin, answer, chunked, eventually};

#[test]
fn the_second_request_is_answered_without_the_server() {
    let origin = Origin::answering(|_| fresh("etag: \"one\"\r\nx-own: kept\r\n", "hello"));
    let evenkeel = start(&origin, "true");
    let miss = evenkeel.get("/page");
    assert_eq!((miss.status, miss.text().as_str()), (200, "hello"));
    assert!(said(&miss).starts_with("Evenkeel; fwd=uri-miss; stored; ttl="), "{}", said(&miss));
    let hit = evenkeel.get("/page");
    assert_eq!((hit.status, hit.text().as_str()), (200, "hello"));
    assert!(said(&hit).starts_with("Evenkeel; hit; ttl="), "{}", said(&hit));
    assert_eq!(hit.header("x-own"), Some("kept"));
    assert_eq!(hit.header("etag"), Some("\"one\""));
    assert!(hit.header("age").unwrap().parse::<u64>().unwrap() < 15);
    assert!(hit.header("date").is_some());
    assert_eq!(hit.body.framing, Framing::Length);
    assert_eq!(origin.count(), 1);
}

#[test]
fn the_age_that_a_response_came_with_counts() {
    let origin = Origin::answering(|_| fresh("age: 100\r\n", "hello"));
    let evenkeel = start(&origin, "true");
    let first: u64 = evenkeel.get("/").header("age").unwrap().parse().unwrap();
    let second = evenkeel.get("/");
    let age: u64 = second.header("age").unwrap().parse().unwrap();
    assert!((100..120).contains(&first) && (100..120).contains(&age), "{first} {age}");
    assert!(is_hit(&second));
}

#[test]
fn fields_that_concern_one_connection_are_not_kept() {
    let origin = Origin::answering(|_| {
        fresh("connection: x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=9\r\nproxy-authenticate: Basic\r\n", "a")
    });
    let evenkeel = start(&origin, "true");
    evenkeel.get("/");
    let hit = evenkeel.get("/");
    assert!(is_hit(&hit));
    for name in ["x-hop", "keep-alive", "proxy-authenticate"] {
        assert_eq!(hit.header(name), None, "{name}");
    }
}

#[test]
fn what_caches_nearer_to_the_server_say_stays_in_front() {
    let origin = Origin::answering(|_| fresh("cache-status: Inner; hit\r\n", "a"));
    let evenkeel = start(&origin, "true");
    for wanted in ["fwd=uri-miss", "hit"] {
        let response = evenkeel.get("/");
        let lines = response.headers("cache-status").join(", ");
        assert!(lines.starts_with(&format!("Inner; hit, Evenkeel; {wanted}")), "{lines}");
    }
}

#[test]
fn edits_of_the_response_and_its_id_are_made_for_each_request() {
    let origin = Origin::answering(|_| fresh("x-request-id: theirs\r\nx-gone: 1\r\n", "a"));
    let evenkeel = crate::support::Evenkeel::start(&format!(
        "[[route]]\nname = \"main\"\npath = \"/*\"\npool = \"app\"\ncache = true\n\
         response_headers = {{ set = {{ x-set = \"1\" }}, remove = [\"x-gone\"] }}\n{}",
        crate::support::pool(&[&origin], "")
    ));
    let mut ids = Vec::new();
    for at in 0..3 {
        let response = evenkeel.get("/");
        assert_eq!(response.header("x-set"), Some("1"));
        assert_eq!(response.header("x-gone"), None);
        ids.push(response.header("x-request-id").unwrap().to_owned());
        assert_eq!(is_hit(&response), at > 0);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3, "each response has an id of its own");
    assert_ne!(ids[0], "theirs");
}

#[test]
fn the_location_of_a_kept_redirect_is_what_clients_can_reach() {
    let origin = Origin::answering(|_| answer(301, "cache-control: max-age=60\r\nlocation: /there\r\n", ""));
    let evenkeel = crate::support::Evenkeel::start(&format!(
        "[[route]]\nname = \"main\"\npath = \"/app/*\"\npool = \"app\"\ncache = true\nrewrite = {{ strip_prefix = \"/app\" }}\n{}",
        crate::support::pool(&[&origin], "")
    ));
    let miss = evenkeel.get("/app/here");
    let hit = evenkeel.get("/app/here");
    assert!(is_hit(&hit));
    assert_eq!(miss.header("location"), Some("/app/there"));
    assert_eq!(hit.header("location"), Some("/app/there"));
}

#[test]
fn a_kept_get_answers_a_head_and_the_other_way_round_not() {
    let origin = Origin::start(|request, wire| {
        let text = fresh("etag: \"a\"\r\n", "hello");
        let end = if request.method() == "HEAD" { text.len() - 5 } else { text.len() };
        wire.send(&text[..end]);
    });
    let evenkeel = start(&origin, "true");
    let head = "HEAD / HTTP/1.1\r\nhost: test\r\n\r\n";
    let first = evenkeel.ask(head);
    assert!(!is_hit(&first));
    let get = evenkeel.get("/");
    assert_eq!(get.text(), "hello", "a HEAD keeps nothing");
    assert!(!is_hit(&get));
    let hit = evenkeel.ask(head);
    assert!(is_hit(&hit));
    assert_eq!(hit.header("content-length"), Some("5"));
    assert_eq!(origin.count(), 2);
}

#[test]
fn bodies_of_every_framing_are_kept_whole() {
    let origin = Origin::start(|request, wire| match request.target() {
        "/chunked" => {
            let text = chunked(&["hel", "lo"], "");
            wire.send(text.replace("200 OK\r\n", "200 OK\r\ncache-control: max-age=60\r\n"));
        }
        "/close" => {
            wire.send("HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\n\r\nhello");
            wire.close();
        }
        "/empty" => {
            wire.send(fresh("", ""));
        }
        "/204" => {
            wire.send("HTTP/1.1 204 No Content\r\ncache-control: max-age=60\r\n\r\n");
        }
        _ => {
            wire.send(fresh("", &"x".repeat(300_000)));
        }
    });
    let evenkeel = start(&origin, "true");
    for (target, status, body) in [
        ("/chunked", 200, "hello".to_owned()),
        ("/close", 200, "hello".to_owned()),
        ("/empty", 200, String::new()),
        ("/204", 204, String::new()),
        ("/large", 200, "x".repeat(300_000)),
    ] {
        let miss = evenkeel.get(target);
        assert_eq!((miss.status, miss.text() == body), (status, true), "{target}");
        let hit = crate::support::cache::wait_until_kept(&evenkeel, target);
        assert_eq!((hit.status, hit.text() == body), (status, true), "{target}");
        if status == 200 {
            assert_eq!(hit.body.framing, Framing::Length, "{target}: its length is known now");
        }
    }
    assert_eq!(origin.count(), 5);
}

#[test]
fn trailers_reach_the_client_of_the_fetch() {
    let origin = Origin::answering(|_| {
        chunked(&["hello"], "x-sum: 5\r\n")
            .replace("200 OK\r\n", "200 OK\r\ncache-control: max-age=60\r\ntrailer: x-sum\r\n")
    });
    let evenkeel = start(&origin, "true");
    let miss = evenkeel.client().get_with("/", "te: trailers\r\n");
    assert_eq!(miss.text(), "hello");
    assert_eq!(miss.body.trailers, [("x-sum".to_owned(), "5".to_owned())]);
    let hit = crate::support::cache::wait_until_kept(&evenkeel, "/");
    assert_eq!(hit.text(), "hello");
}

#[test]
fn a_connection_goes_on_after_hits_and_takes_several_requests_at_once() {
    let origin = Origin::answering(|request| fresh("", request.target()));
    let evenkeel = start(&origin, "true");
    let mut client = evenkeel.client();
    for _ in 0..3 {
        assert_eq!(client.get("/a").text(), "/a");
        assert_eq!(client.get("/b").text(), "/b");
    }
    let mut many = String::new();
    for at in 0..20 {
        let target = ["/a", "/b", "/c"][at % 3];
        many += &format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n");
    }
    client.send(many);
    for at in 0..20 {
        assert_eq!(client.answer("GET").text(), ["/a", "/b", "/c"][at % 3]);
    }
    assert_eq!(origin.count(), 3);
}

#[test]
fn clients_of_http_1_0_are_served_too() {
    let origin = Origin::answering(|_| {
        chunked(&["hel", "lo"], "").replace("200 OK\r\n", "200 OK\r\ncache-control: max-age=60\r\n")
    });
    let evenkeel = start(&origin, "true");
    for wanted in ["fwd=uri-miss", "hit", "hit"] {
        let mut client = evenkeel.client();
        client.send("GET / HTTP/1.0\r\nhost: test\r\n\r\n");
        let response = client.answer("GET");
        assert_eq!(response.text(), "hello");
        assert_said(&response, wanted);
        assert!(response.headers("transfer-encoding").is_empty());
    }
    assert_eq!(origin.count(), 1);
}

#[test]
fn the_log_and_the_metrics_say_what_the_cache_did() {
    let origin = Origin::answering(|_| fresh("", "hello"));
    let evenkeel = start(&origin, "true");
    evenkeel.get("/?a=miss");
    evenkeel.get("/?a=miss");
    evenkeel.ask("POST /?a=post HTTP/1.1\r\nhost: test\r\ncontent-length: 1\r\n\r\nx");
    let record = |target: &str, result: &str| {
        evenkeel.record(|r| r["target"] == target && r["cache"] == result);
    };
    record("/?a=miss", "miss");
    record("/?a=miss", "hit");
    record("/?a=post", "bypass");
    let post = evenkeel.record(|r| r["target"] == "/?a=post");
    assert_eq!(post["cache_reason"], "method");
    eventually("they are counted", || {
        evenkeel.metric("evenkeel_cache_requests_total", &["result=\"hit\""]) == 1.0
            && evenkeel.metric("evenkeel_cache_requests_total", &["result=\"miss\""]) == 1.0
    });
    assert_eq!(evenkeel.metric("evenkeel_cache_served_bytes_total", &[]), 5.0);
}

#[test]
fn a_request_id_that_the_server_gave_is_not_given_to_others() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let origin = Origin::answering(move |_| {
        let id = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        fresh(&format!("x-request-id: server-{id}\r\n"), "a")
    });
    let text = crate::support::cache::config(&[&origin], "true")
        .replace("cache =", "request_id = \"server\"\ncache =");
    let evenkeel = crate::support::Evenkeel::start(&text);
    assert_eq!(evenkeel.get("/").header("x-request-id"), Some("server-0"));
    let ids: Vec<String> =
        (0..2).map(|_| evenkeel.get("/").header("x-request-id").unwrap().to_owned()).collect();
    assert!(ids[0] != ids[1] && !ids.contains(&"server-0".to_owned()), "{ids:?}");
}
