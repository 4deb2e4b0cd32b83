//! Requests that go in a circle among cache nodes are found by `CDN-Loop` (RFC 8586), whatever a client sends in it.

use crate::support::cache::{config, fresh, is_hit};
use crate::support::{Evenkeel, Origin};

/// Two nodes, each the other's parent; `method` GET goes around through the parents, others through the pools.
fn circle() -> (Evenkeel, Evenkeel) {
    let text = |other: &str| {
        format!(
            "[[route]]\nname = \"main\"\npath = \"/*\"\npool = \"app\"\ncache = {{ parent = \"parents\" }}\n\
             [pool.app]\nbackends = [\"{other}\"]\n[pool.parents]\nbackends = [\"{other}\"]\n"
        )
    };
    let one = Evenkeel::start(&text("127.0.0.1:9"));
    let two = Evenkeel::start(&text(&one.address().to_string()));
    assert_eq!(one.reload(&text(&two.address().to_string())).status, 200);
    (one, two)
}

fn handled(node: &Evenkeel) -> f64 {
    node.metric("evenkeel_requests_total", &["route=\"main\""])
}

#[test]
fn a_circle_is_found_after_one_round() {
    for request in [
        "GET /loop HTTP/1.1\r\nhost: test\r\n\r\n",
        "POST /loop HTTP/1.1\r\nhost: test\r\ncontent-length: 1\r\n\r\na",
        "GET /loop HTTP/1.1\r\nhost: test\r\nconnection: cdn-loop\r\n\r\n",
        "GET /loop HTTP/1.1\r\nhost: test\r\ncdn-loop: \"open\r\n\r\n",
        "GET /loop HTTP/1.1\r\nhost: test\r\ncdn-loop: a;b=\"c\\\r\ncdn-loop: x,,\r\nconnection: close, CDN-Loop\r\n\r\n",
    ] {
        let (one, two) = circle();
        let response = one.ask(request);
        assert_eq!(response.status, 508, "{request}: {}", response.text());
        assert!(response.text().contains("loop"), "{}", response.text());
        let record = one.record(|record| record["cache_reason"] == "loop");
        assert!(record["reason"].as_str().unwrap().contains("passed through this node before"), "{record}");
        assert!(handled(&one) <= 2.0 && handled(&two) <= 1.0, "{} {}", handled(&one), handled(&two));
        assert_eq!(one.metric("evenkeel_requests_refused_total", &["reason=\"loop\""]), 1.0);
    }
}

#[test]
fn each_node_adds_itself_and_takes_nothing_off() {
    let origin = Origin::answering(|_| fresh("", "page"));
    let inner = Evenkeel::start(&config(&[&origin], "true"));
    let parents = format!("[pool.parents]\nbackends = [\"{}\"]\n", inner.address());
    let outer = Evenkeel::start(&(config(&[&origin], "{ parent = \"parents\" }") + &parents));
    let sent = "cdn-loop: foo.cdn.example; trace=\"a, b\"\r\ncdn-loop: \"broken\r\nconnection: cdn-loop\r\n";
    assert_eq!(outer.client().get_with("/", sent).status, 200);
    let request = origin.last();
    let seen: Vec<String> =
        request.head.headers("cdn-loop").iter().map(|value| (*value).to_owned()).collect();
    assert_eq!(seen.len(), 4, "{seen:?}");
    assert_eq!(seen[..2], ["foo.cdn.example; trace=\"a, b\"", "\"broken"]);
    let is_id = |id: &str| id.strip_prefix("evenkeel-").is_some_and(|rest| rest.len() == 16);
    assert!(is_id(&seen[2]) && is_id(&seen[3]) && seen[2] != seen[3], "{seen:?}");
    outer.client().ask("POST /post HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(origin.last().head.headers("cdn-loop"), [&seen[2]], "a POST goes past the parents");
}

#[test]
fn the_own_name_is_found_wherever_it_stands_and_only_there() {
    let origin = Origin::answering(|_| fresh("", "page"));
    let node = Evenkeel::start(&config(&[&origin], "true"));
    node.get("/");
    let id = origin.last().head.header("cdn-loop").unwrap().to_owned();
    for looped in [
        id.clone(),
        format!("{}; hop=\"1, 2\"", id.to_uppercase()),
        format!("a, b;c=\"d,e\" ,{id}"),
        format!("a\r\ncdn-loop: {id}"),
        format!("\"a, {id}"),
        format!("{}, {id}", vec!["x"; 100].join(",")),
    ] {
        let response = node.client().get_with("/", &format!("cdn-loop: {looped}\r\n"));
        assert_eq!(response.status, 508, "{looped}");
    }
    for other in [format!("{id}0"), format!("a;by=\"{id}\""), "\"".into(), String::new(), ", ,;=\"\\".into()]
    {
        let response = node.client().get_with("/", &format!("cdn-loop: {other}\r\n"));
        assert_eq!((response.status, is_hit(&response)), (200, true), "{other}");
    }
}

#[test]
fn a_request_through_too_many_nodes_is_refused() {
    let origin = Origin::answering(|_| fresh("", "page"));
    let node = Evenkeel::start(&config(&[&origin], "true"));
    let through =
        |count: usize| node.client().get_with("/", &format!("cdn-loop: {}\r\n", vec!["x"; count].join(", ")));
    assert_eq!(through(16).status, 200);
    let refused = through(17);
    assert_eq!(refused.status, 508);
    assert!(refused.text().contains("more than 16 nodes"), "{}", refused.text());
    let lines = "cdn-loop: x\r\n".repeat(17);
    assert_eq!(node.client().get_with("/", &lines).status, 508);
    assert_eq!(node.client().get_with("/", &format!("cdn-loop: \"{}\r\n", ",".repeat(1_000))).status, 508);
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_route_without_a_cache_leaves_the_field_alone() {
    let origin = Origin::named("app");
    let node = Evenkeel::start(&crate::support::pool(&[&origin], ""));
    let many = format!("cdn-loop: {}\r\n", vec!["x"; 30].join(", "));
    assert_eq!(node.client().get_with("/", &many).status, 200);
    assert_eq!(origin.last().head.headers("cdn-loop").len(), 1);
}
