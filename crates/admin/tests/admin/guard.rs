//! S21: who is let in, by token, by host and by origin.

use std::sync::atomic::Ordering;
use std::{env, process};

use crate::fixture::Api;

const ROUTES: [(&str, &str); 6] = [
    ("GET", "/"),
    ("GET", "/metrics"),
    ("GET", "/status"),
    ("GET", "/nothing"),
    ("POST", "/reload"),
    ("PUT", "/pools/app/servers/a"),
];

#[test]
fn every_route_but_those_of_probes_demands_the_token() {
    let api = Api::with_token("correct horse");
    for (method, path) in ROUTES {
        for wrong in [
            "",
            "\nauthorization:",
            "\nauthorization: Bearer",
            "\nauthorization: Bearer wrong",
            "\nauthorization: Bearer correct hors",
            "\nauthorization: Bearer correct horse2",
            "\nauthorization: Bearer Correct horse",
            "\nauthorization: Basic correct horse",
            "\nauthorization: correct horse",
        ] {
            let answer = api.ask(&format!("{method} {path} HTTP/1.1\nhost: localhost{wrong}"), "");
            assert_eq!(answer.status, 401, "{method} {path} {wrong}");
            assert!(answer.field("www-authenticate").unwrap().starts_with("bearer"), "{}", answer.head);
            assert!(!answer.error().contains("correct"), "{}", answer.error());
        }
        let right = format!("{method} {path} HTTP/1.1\nhost: localhost\nauthorization: bearer correct horse");
        assert_ne!(api.ask(&right, "").status, 401, "{method} {path}");
    }
    assert_eq!(api.get("/healthz").status, 200);
    assert_eq!((api.get("/healthz/").status, api.get("/readyz/").status), (401, 401));
    assert_eq!(api.commands.lock().unwrap().len(), 1, "the one reload that had the token");
}

#[test]
fn a_probe_without_the_token_hears_whether_the_process_is_ready_but_not_why() {
    let api = Api::with_token("correct horse");
    assert_eq!(api.get("/readyz").status, 200);
    api.leaving.store(true, Ordering::Relaxed);
    let ask = |token: &str| {
        api.ask(&format!("GET /readyz HTTP/1.1\nhost: localhost\nauthorization: bearer {token}"), "")
    };
    for (answer, why) in [
        (api.get("/readyz"), "not ready"),
        (ask("wrong"), "not ready"),
        (ask("correct horse"), "the process is leaving"),
    ] {
        assert_eq!((answer.status, answer.error().as_str()), (503, why));
    }
}

#[test]
fn an_empty_token_admits_no_request() {
    let api = Api::with_token("");
    for field in ["authorization: Bearer ", "authorization: Bearer", "authorization:"] {
        let head = format!("GET /status HTTP/1.1\nhost: localhost\n{field}");
        assert_eq!(api.ask(&head, "").status, 401, "{field}");
    }
}

#[test]
fn names_that_others_own_are_refused() {
    let api = Api::start();
    let port = api.address().port();
    for (method, path) in ROUTES.into_iter().chain([("GET", "/healthz"), ("GET", "/readyz")]) {
        for host in [
            "evil.test".to_owned(),
            format!("evil.test:{port}"),
            format!("127.0.0.1.evil.test:{port}"),
            "localhost.evil.test".into(),
            "notlocalhost".into(),
        ] {
            let answer = api.ask(&format!("{method} {path} HTTP/1.1\nhost: {host}"), "");
            assert_eq!(answer.status, 421, "{method} {path} {host}");
            assert!(answer.error().contains("localhost"), "{}", answer.error());
        }
    }
    assert!(api.commands.lock().unwrap().is_empty());
}

#[test]
fn addresses_and_localhost_are_welcome() {
    let api = Api::start();
    let own = api.bound.to_string();
    for host in [
        &own,
        "127.0.0.1",
        "10.1.2.3:9900",
        "[::1]:9900",
        "[fe80::1]",
        "localhost",
        "LocalHost:1",
        "localhost.",
    ] {
        let answer = api.ask(&format!("GET /status HTTP/1.1\nhost: {host}"), "");
        assert_eq!(answer.status, 200, "{host}");
    }
}

#[test]
fn the_host_must_be_said_once_and_well() {
    let api = Api::start();
    for head in [
        "GET /status HTTP/1.1",
        "GET /status HTTP/1.0",
        "POST /reload HTTP/1.0",
        "GET /healthz HTTP/1.0",
        "GET /status HTTP/1.1\nhost: localhost\nhost: localhost",
        "GET /status HTTP/1.1\nhost: localhost\nhost: evil.test",
        "GET /status HTTP/1.1\nhost: user@localhost",
        "GET /status HTTP/1.1\nhost: localhost:port",
        "GET /status HTTP/1.1\nhost: [::1",
    ] {
        assert_eq!(api.ask(head, "").status, 400, "{head}");
    }
    assert_eq!(api.ask("GET /status HTTP/1.0\nhost: localhost", "").status, 200);
    assert_eq!(api.ask("GET /status HTTP/1.0\nhost: evil.test", "").status, 421);
    let absolute = "GET http://evil.test/status HTTP/1.1\nhost: localhost";
    assert_eq!(api.ask(absolute, "").status, 421, "the target's host counts");
}

#[test]
fn pages_of_other_sites_change_nothing() {
    let api = Api::start();
    let host = api.bound.to_string();
    let reload = |origin: &str| api.ask(&format!("POST /reload HTTP/1.1\nhost: {host}\n{origin}"), "").status;
    let drain = |origin: &str| {
        let body = r#"{"state":"drain"}"#;
        let fields = format!("content-type: application/json\ncontent-length: {}", body.len());
        api.ask(&format!("PUT /pools/app/servers/a HTTP/1.1\nhost: {host}\n{fields}\n{origin}"), body).status
    };
    for origin in [
        "origin: http://evil.test",
        "origin: null",
        "origin:",
        "origin: http://127.0.0.1",
        "origin: http://127.0.0.1:1",
        &format!("origin: http://localhost:{}", api.address().port()),
        &format!("origin: file://{host}"),
        &format!("origin: http://{host}\norigin: http://evil.test"),
    ] {
        assert_eq!((reload(origin), drain(origin)), (403, 403), "{origin}");
    }
    assert!(api.commands.lock().unwrap().is_empty());
    let own = format!("origin: http://{host}");
    assert_eq!((reload(&own), drain(&own)), (200, 200));
    let get = format!("GET /status HTTP/1.1\nhost: {host}\norigin: http://evil.test");
    assert_eq!(api.ask(&get, "").status, 200, "reading changes nothing, and the page may not see it");
}

#[test]
fn what_a_browser_says_of_the_page_counts_as_well() {
    let api = Api::start();
    let host = api.bound.to_string();
    let reload = |fields: &str| api.ask(&format!("POST /reload HTTP/1.1\nhost: {host}\n{fields}"), "").status;
    for fields in [
        "sec-fetch-site: cross-site",
        "sec-fetch-site: same-site",
        "sec-fetch-site: something-new",
        "sec-fetch-site:",
        &format!("sec-fetch-site: cross-site\norigin: http://{host}"),
        "sec-fetch-site: same-origin\nsec-fetch-site: cross-site",
        "sec-fetch-site: same-origin\norigin: http://evil.test",
    ] {
        assert_eq!(reload(fields), 403, "{fields}");
    }
    assert!(api.commands.lock().unwrap().is_empty());
    for fields in [&format!("sec-fetch-site: same-origin\norigin: http://{host}"), "sec-fetch-site: none"] {
        assert_eq!(reload(fields), 200, "{fields}");
    }
}

#[test]
fn a_unix_socket_goes_by_any_name() {
    let path = std::env::temp_dir().join(format!("evenkeel-admin-{}.sock", process::id()));
    let api = Api::on_unix(path.clone());
    for host in ["localhost", "evenkeel", "any.test:80"] {
        assert_eq!(api.ask(&format!("GET /status HTTP/1.1\nhost: {host}"), "").status, 200, "{host}");
    }
    assert_eq!(api.send("POST", "/reload").status, 200);
    drop(api);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn the_control_socket_goes_by_the_user_and_not_by_a_token() {
    let path = env::temp_dir().join(format!("evenkeel-control-{}.sock", process::id()));
    let owner = uid();
    let answer = Api::on_control(path.clone(), owner).ask("GET /status HTTP/1.1\nhost: any.thing", "");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    // Root may use every control socket.
    if owner != 0 {
        let api = Api::on_control(path.clone(), owner + 1);
        let answer = api.send("GET", "/status");
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(answer.error().contains(&format!("uid {owner}")), "{}", answer.error());
        std::fs::remove_file(&path).unwrap();
    }
}

/// The user that runs the tests.
fn uid() -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").unwrap().uid()
}
