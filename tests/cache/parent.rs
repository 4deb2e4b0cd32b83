//! Several cache nodes: what an edge does not have comes from the parent that owns its key, and without parents from the origin.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;

use crate::support::cache::{answers, assert_said, config, crowd, fresh, is_hit, stale};
use crate::support::{Evenkeel, Folder, Origin, answer, cli, eventually};

/// A parent: a cache before the origin.
fn parent(origin: &Origin) -> Evenkeel {
    Evenkeel::start(&config(&[origin], "true"))
}

/// The pool of the parents, named `p0`, `p1` and so on in their order.
fn pool_of(parents: &[&Evenkeel]) -> String {
    let server = |(at, parent): (usize, &&Evenkeel)| {
        format!("{{ address = \"{}\", name = \"p{at}\" }}, ", parent.address())
    };
    let servers: String = parents.iter().enumerate().map(server).collect();
    // Any algorithm: the key decides.
    format!("[pool.parents]\nalgorithm = \"round-robin\"\nbackends = [{servers}]\n")
}

/// An edge: what it does not have it gets from the parents, and without them from the origin.
fn edge(parents: &[&Evenkeel], origin: &Origin, more: &str) -> Evenkeel {
    let rules = format!("{{ parent = \"parents\"{more} }}");
    Evenkeel::start(&(config(&[origin], &rules) + &pool_of(parents)))
}

/// Which server an edge asked for this target, as its log says: pool and server.
fn asked(edge: &Evenkeel, target: &str) -> (String, String) {
    let record = edge.record(|record| record["target"] == target && !record["backend"].is_null());
    let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
    (text("pool"), text("backend"))
}

#[test]
fn edges_agree_on_the_parent_of_each_key_and_the_origin_is_asked_once() {
    let origin = Origin::answering(|request| fresh("", request.target()));
    let (one, two) = (parent(&origin), parent(&origin));
    let edges = [edge(&[&one, &two], &origin, ""), edge(&[&one, &two], &origin, "")];
    let mut owners: HashMap<String, usize> = HashMap::new();
    for at in 0..40 {
        let target = format!("/page/{at}");
        for edge in &edges {
            let response = edge.get(&target);
            assert_eq!((response.status, response.text()), (200, target.clone()));
            assert!(is_hit(&edge.get(&target)));
        }
        let [first, second] = edges.each_ref().map(|edge| asked(edge, &target));
        assert_eq!(first, second, "{target}");
        assert_eq!(first.0, "parents");
        *owners.entry(first.1).or_default() += 1;
    }
    assert_eq!(origin.count(), 40);
    assert_eq!(owners.len(), 2, "both parents have keys: {owners:?}");
    assert!(edges.iter().all(|edge| edge.metric("evenkeel_cache_past_parents_total", &[]) == 0.0));
}

#[test]
fn many_clients_of_many_edges_ask_the_origin_once() {
    let origin = Origin::answering(|_| fresh("", "page"));
    let (one, two) = (parent(&origin), parent(&origin));
    let edges = [edge(&[&one, &two], &origin, ""), edge(&[&one, &two], &origin, "")];
    let clients = edges.iter().flat_map(|edge| crowd(edge, 20, "GET /new HTTP/1.1\r\nhost: test\r\n\r\n"));
    let clients: Vec<_> = clients.collect();
    for response in answers(clients) {
        assert_eq!((response.status, response.text().as_str()), (200, "page"));
    }
    assert_eq!(origin.count(), 1);
}

#[test]
fn no_request_fails_when_parents_die() {
    let origin = Origin::answering(|request| fresh("", request.target()));
    let (one, two) = (parent(&origin), parent(&origin));
    let edge = edge(&[&one, &two], &origin, "");
    let ends = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let (edge, ends) = (&edge, &ends);
                scope.spawn(move || {
                    let mut count = 0;
                    while !ends.load(Ordering::SeqCst) || count < 20 {
                        let target = format!("/{client}/{count}");
                        let response = edge.get(&target);
                        assert_eq!((response.status, response.text()), (200, target));
                        count += 1;
                    }
                })
            })
            .collect();
        let past = || edge.metric("evenkeel_cache_past_parents_total", &["route=\"main\""]);
        eventually("requests flow", || origin.count() > 20);
        drop(one);
        let before = origin.count();
        eventually("requests flow by the other one", || origin.count() > before + 20);
        assert_eq!(past(), 0.0, "the other parent takes over");
        drop(two);
        eventually("requests flow without parents", || past() > 20.0);
        ends.store(true, Ordering::SeqCst);
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    edge.get("/last");
    let record = edge.record(|record| record["target"] == "/last");
    assert_eq!((record["pool"].as_str(), record["status"].as_u64()), (Some("app"), Some(200)));
    let reason = record["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("no parent in pool parents has answered"), "{record}");
    assert!(reason.contains("so pool app was asked"), "{record}");
}

#[test]
fn what_no_cache_may_answer_goes_to_the_pool_itself() {
    let origin = Origin::answering(|request| fresh("", request.method()));
    let one = parent(&origin);
    let edge = edge(&[&one], &origin, "");
    for (request, pool) in [
        ("GET /get HTTP/1.1\r\nhost: test\r\n\r\n", "parents"),
        ("HEAD /head HTTP/1.1\r\nhost: test\r\n\r\n", "parents"),
        ("GET /range HTTP/1.1\r\nhost: test\r\nrange: bytes=0-1\r\n\r\n", "parents"),
        ("POST /post HTTP/1.1\r\nhost: test\r\ncontent-length: 1\r\n\r\na", "app"),
        ("GET /no-store HTTP/1.1\r\nhost: test\r\ncache-control: no-store\r\n\r\n", "app"),
        ("DELETE /delete HTTP/1.1\r\nhost: test\r\n\r\n", "app"),
    ] {
        let mut client = edge.client();
        assert!(client.send(request));
        let method = request.split(' ').next().unwrap();
        assert!(matches!(client.answer(method).status, 200 | 206), "{request}");
        let target = request.split(' ').nth(1).unwrap();
        assert_eq!(asked(&edge, target).0, pool, "{request}");
    }
}

#[test]
fn a_parent_confirms_what_an_edge_has() {
    let origin = Origin::answering(|request| {
        if request.head.header("if-none-match") == Some("\"one\"") {
            return answer(304, "cache-control: max-age=600\r\netag: \"one\"\r\n", "")
                .replace("content-length: 0\r\n", "");
        }
        stale("", "one", "page")
    });
    let one = parent(&origin);
    let edge = edge(&[&one], &origin, "");
    assert_eq!(edge.get("/").text(), "page");
    let confirmed = edge.get("/");
    assert_eq!(confirmed.text(), "page");
    assert_said(&confirmed, "fwd=stale");
    let record = edge.record(|record| record["cache"] == "revalidated");
    assert_eq!(record["pool"], "parents");
    assert_eq!(origin.count(), 2);
}

#[test]
fn parents_that_are_known_to_be_down_are_not_waited_for() {
    let origin = Origin::answering(|_| fresh("", "page"));
    let one = parent(&origin);
    let checked = "health = { path = \"/\", interval = \"50ms\", fall = 1 }\n";
    let text = config(&[&origin], "{ parent = \"parents\" }") + &pool_of(&[&one]) + checked;
    let edge = Evenkeel::start(&text);
    let is = |state: &str| edge.server("parents", "p0")["state"] == state;
    eventually("the parent is up", || is("up"));
    drop(one);
    eventually("the parent is down", || is("down"));
    let response = edge.get("/direct");
    assert_eq!((response.status, response.text().as_str()), (200, "page"));
    assert_eq!(asked(&edge, "/direct").0, "app");
    let record = edge.record(|record| record["target"] == "/direct");
    assert_eq!(record["tries"], 1, "the parent was not tried: {record}");
    let ready = edge.admin("GET", "/readyz", "");
    assert_eq!(ready.status, 200, "a node without parents still answers: {}", ready.text());
}

#[test]
fn a_parent_that_hangs_is_given_up_for_the_pool() {
    let origin = Origin::answering(|_| fresh("", "page"));
    let hung = Origin::start(|_, wire| {
        wire.hold();
    });
    let text = format!(
        "{}[pool.parents]\nbackends = [\"{}\"]\ntimeout = {{ response = \"300ms\" }}\n",
        config(&[&origin], "{ parent = \"parents\" }"),
        hung.address()
    );
    let edge = Evenkeel::start(&text);
    for response in answers(crowd(&edge, 10, "GET / HTTP/1.1\r\nhost: test\r\n\r\n")) {
        assert_eq!((response.status, response.text().as_str()), (200, "page"));
    }
    assert_eq!(
        (hung.count(), origin.count()),
        (1, 1),
        "one fetch for all, at the parent and then at the origin"
    );
    assert!(is_hit(&edge.get("/")));
}

#[test]
fn an_open_circuit_breaker_of_the_parents_leaves_the_pool() {
    let origin = Origin::answering(|_| fresh("", "page"));
    let sick = Origin::answering(|_| answer(503, "", "sick"));
    let breaker = "breaker = { failures = \"50%\", requests_min = 4, window = \"1h\", open_for = \"1h\" }\n";
    let text = format!(
        "{}[pool.parents]\nbackends = [\"{}\"]\n{breaker}",
        config(&[&origin], "{ parent = \"parents\" }"),
        sick.address()
    );
    let edge = Evenkeel::start(&text);
    for at in 0..8 {
        edge.get(&format!("/sick{at}"));
    }
    let pools = || edge.status()["pools"].as_array().unwrap().clone();
    let parents = || pools().into_iter().find(|pool| pool["name"] == "parents").unwrap();
    eventually("the circuit breaker is open", || parents()["breaker"]["state"] == "open");
    let before = sick.count();
    let response = edge.get("/well");
    assert_eq!((response.status, response.text().as_str()), (200, "page"));
    assert_eq!(sick.count(), before);
}

#[test]
fn stale_content_stands_in_when_parents_and_pool_are_down() {
    let origin = Origin::answering(|_| stale(", stale-if-error=600", "one", "old"));
    let one = parent(&origin);
    let edge = edge(&[&one], &origin, "");
    edge.get("/");
    drop(one);
    let direct = edge.get("/");
    assert_said(&direct, "fwd=stale");
    origin.stop();
    let response = edge.get("/");
    assert_eq!((response.status, response.text().as_str()), (200, "old"));
    assert_said(&response, "detail=stale-if-error");
}

#[test]
fn a_parent_is_asked_while_the_edge_takes_the_origin_for_dead() {
    let origin = Origin::answering(|request| {
        if request.target() == "/health" {
            answer(500, "", "")
        } else {
            stale(", stale-if-error=600", "one", "old")
        }
    });
    let one = parent(&origin);
    let servers =
        crate::support::pool(&[&origin], "health = { path = \"/health\", interval = \"50ms\", fall = 1 }");
    let route =
        "[[route]]\nname = \"main\"\npath = \"/*\"\npool = \"app\"\ncache = { parent = \"parents\" }\n";
    // The health of the origin is bad from the start, which keeps the process from being ready.
    let edge =
        Evenkeel::start(&format!("{route}{}{}", servers.replace("health =", "# health ="), pool_of(&[&one])));
    edge.get("/");
    assert_eq!(edge.reload(&format!("{route}{servers}{}", pool_of(&[&one]))).status, 200);
    edge.wait_for_state(&origin.name, "down");
    let response = edge.get("/");
    assert_eq!(response.text(), "old");
    assert_said(&response, "fwd=stale");
    assert_eq!(asked(&edge, "/").0, "parents");
}

#[test]
fn explain_says_which_parent_is_asked_and_what_follows_without_one() {
    let folder = Folder::new();
    let servers = "[pool.app]\nbackends = [\"10.0.0.1:80\"]\n[pool.parents]\nalgorithm = \"random\"\nbackends = [\n\
                   { address = \"10.0.1.1:80\", name = \"one\" },\n{ address = \"10.0.1.2:80\", name = \"two\" } ]\n";
    let route =
        "[listener.web]\nbind = \":80\"\n[[route]]\npool = \"app\"\ncache = { parent = \"parents\" }\n";
    let file = folder.write("evenkeel.toml", &format!("{route}{servers}"));
    let parent = |method: &str, target: &str| {
        let outcome = cli(&["explain", "-c", &file, "--json", method, &format!("http://shop.test{target}")]);
        let answer: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(answer["pool"], "app");
        answer["parent"].as_str().unwrap().to_owned()
    };
    let said: Vec<String> = (0..20).map(|at| parent("GET", &format!("/{at}"))).collect();
    for (name, address) in [("one", "10.0.1.1:80"), ("two", "10.0.1.2:80")] {
        let wanted =
            format!("{name} ({address}) of pool parents, because key owns it; pool app if no parent answers");
        assert!(said.contains(&wanted), "{said:?}");
    }
    assert_eq!(said[7], parent("GET", "/7"), "the key decides, and not the pool's algorithm");
    assert_eq!(parent("POST", "/7"), "not asked: the cache is not, so the request goes to pool app");
    let text = cli(&["explain", "-c", &file, "GET", "http://shop.test/7"]).stdout;
    assert!(text.contains(&format!("parent    {}", said[7])), "{text}");
}
