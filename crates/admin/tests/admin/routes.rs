//! What exists, what does not, and what every answer says about itself.

use std::sync::atomic::Ordering;

use crate::fixture::Api;

#[test]
fn the_index_names_every_route() {
    let index = Api::start().get("/");
    assert_eq!(index.status, 200);
    for route in ["/healthz", "/readyz", "/metrics", "/status", "/reload", "/pools/{pool}/servers/{id}"] {
        assert!(index.body.contains(route), "{route} is not in\n{}", index.body);
    }
}

#[test]
fn alive_and_ready_are_two_things() {
    let api = Api::start();
    assert_eq!((api.get("/healthz").status, api.get("/readyz").status), (200, 200));
    assert_eq!(api.get("/healthz").body, "ok\n");

    api.put("/pools/app/servers/a", r#"{"state":"drain"}"#);
    assert_eq!(api.get("/readyz").status, 200, "the backup is left");
    api.put("/pools/app/servers/b", r#"{"weight":0}"#);
    let answer = api.get("/readyz");
    assert_eq!(answer.status, 503);
    assert!(answer.error().contains("app") && !answer.error().contains("local"), "{}", answer.error());

    api.put("/pools/app/servers/a", r#"{"state":"ready"}"#);
    assert_eq!(api.get("/readyz").status, 200);
    api.leaving.store(true, Ordering::Relaxed);
    let answer = api.get("/readyz");
    assert_eq!((answer.status, answer.error().as_str()), (503, "the process is leaving"));
    assert_eq!(api.get("/healthz").status, 200);
}

#[test]
fn an_unknown_path_is_answered_in_json() {
    let api = Api::start();
    for path in ["/nothing", "/status/", "/pools", "/pools/app/servers/", "/metrics/x"] {
        let answer = api.get(path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.error().contains(path), "{}", answer.error());
    }
}

#[test]
fn wrong_methods_are_refused_in_json_with_the_right_ones() {
    let api = Api::start();
    for (method, path, allowed) in [
        ("POST", "/status", "get,head"),
        ("DELETE", "/metrics", "get,head"),
        ("OPTIONS", "/status", "get,head"),
        ("GET", "/reload", "post"),
        ("POST", "/pools/app/servers/a", "get,head,put,delete"),
        ("GET", "/pools/app/servers", "post"),
    ] {
        let answer = api.send(method, path);
        assert_eq!((answer.status, answer.field("allow")), (405, Some(allowed)), "{method} {path}");
        assert!(answer.error().contains(method), "{}", answer.error());
    }
    assert!(api.commands.lock().unwrap().is_empty());
}

#[test]
fn head_is_get_without_the_body() {
    let answer = Api::start().send("HEAD", "/status");
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
}

#[test]
fn no_answer_is_kept_guessed_at_or_shared_with_other_sites() {
    let api = Api::with_token("secret");
    let heads = [
        "GET /healthz HTTP/1.1\nhost: localhost",
        "GET /status HTTP/1.1\nhost: localhost\nauthorization: Bearer secret\norigin: http://evil.test",
        "OPTIONS /status HTTP/1.1\nhost: localhost\nauthorization: Bearer secret\norigin: http://evil.test",
        "GET /status HTTP/1.1\nhost: localhost",
        "GET /status HTTP/1.1\nhost: evil.test",
        "GET /nothing HTTP/1.1\nhost: localhost\nauthorization: Bearer secret",
    ];
    for head in heads {
        let answer = api.ask(head, "");
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{head}");
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"), "{head}");
        assert!(!answer.head.contains("access-control"), "{head}: {}", answer.head);
    }
}
