//! S21: the admin API reached by others than its owner.

use crate::support::{Client, Evenkeel, Folder, Origin, cli, pool};

fn ask(evenkeel: &Evenkeel, method: &str, path: &str, fields: &str) -> crate::support::Response {
    Client::connect(evenkeel.admin_address())
        .ask(format!("{method} {path} HTTP/1.1\r\n{fields}content-length: 0\r\nconnection: close\r\n\r\n"))
}

#[test]
fn s21_a_foreign_host_is_refused_against_dns_rebinding() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let port = evenkeel.admin_address().port();
    for (method, path) in [
        ("GET", "/status"),
        ("GET", "/metrics"),
        ("POST", "/reload"),
        ("POST", "/cache/purge"),
        ("PUT", "/pools/app/servers/a"),
    ] {
        for host in
            ["evil.test".to_owned(), format!("evil.test:{port}"), format!("127.0.0.1.evil.test:{port}")]
        {
            let response = ask(&evenkeel, method, path, &format!("host: {host}\r\n"));
            assert!(matches!(response.status, 403 | 421), "{method} {path} {host}: {}", response.status);
        }
    }
    for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}"), "localhost".to_owned()] {
        assert_eq!(ask(&evenkeel, "GET", "/status", &format!("host: {host}\r\n")).status, 200, "{host}");
    }
}

#[test]
fn s21_a_token_is_demanded_where_one_is_configured() {
    let folder = Folder::new();
    let token = folder.write("token", "correct horse battery\n");
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start_in(
        folder,
        &format!("[admin]\nbind = \"127.0.0.1:0\"\ntoken_file = \"{token}\"\n{}", pool(&[&origin], "")),
    );
    let host = format!("host: {}\r\n", evenkeel.admin_address());
    for (method, path) in [
        ("GET", "/status"),
        ("GET", "/metrics"),
        ("POST", "/reload"),
        ("POST", "/cache/purge"),
        ("PUT", "/pools/app/servers/a"),
    ] {
        for wrong in [
            "",
            "Bearer wrong",
            "Bearer ",
            "Basic correct horse battery",
            "Bearer correct hors",
            "Bearer correct horse battery2",
        ] {
            let field = if wrong.is_empty() { String::new() } else { format!("authorization: {wrong}\r\n") };
            let response = ask(&evenkeel, method, path, &format!("{host}{field}"));
            assert_eq!(response.status, 401, "{method} {path} {wrong}");
            assert!(!response.text().contains("correct"), "{}", response.text());
        }
    }
    let right = format!("{host}authorization: Bearer correct horse battery\r\n");
    assert_eq!(ask(&evenkeel, "GET", "/status", &right).status, 200);
    assert_eq!(ask(&evenkeel, "GET", "/metrics", &right).status, 200);
}

#[test]
fn s21_no_other_site_may_read_it() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let host = format!("host: {}\r\norigin: http://evil.test\r\n", evenkeel.admin_address());
    for method in ["GET", "OPTIONS"] {
        let response = ask(&evenkeel, method, "/status", &host);
        assert!(response.headers("access-control-allow-origin").is_empty(), "{:?}", response.head);
    }
}

#[test]
fn s21_other_addresses_than_loopback_demand_a_token() {
    let folder = Folder::new();
    let file = folder.write(
        "evenkeel.toml",
        "[admin]\nbind = \"0.0.0.0:9900\"\n[listener.web]\nbind = [\"127.0.0.1:0\"]\n[[route]]\nrespond = {}\n",
    );
    let outcome = cli(&["check", "-c", &file]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert!(format!("{}{}", outcome.stdout, outcome.stderr).contains("token_file"), "{}", outcome.stderr);
}

#[test]
fn s21_it_is_not_reachable_through_a_listener() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for path in ["/metrics", "/status", "/healthz", "/readyz"] {
        assert_eq!(evenkeel.get(path).text(), "a", "{path} belongs to the servers");
    }
}

#[test]
fn s21_a_body_without_end_is_not_taken() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let before = evenkeel.allocated();
    let mut client = Client::connect(evenkeel.admin_address());
    let host = evenkeel.admin_address();
    client.send(format!(
        "PUT /pools/app/servers/a HTTP/1.1\r\nhost: {host}\r\ncontent-length: 100000000\r\n\r\n"
    ));
    let block = vec![b' '; 1 << 20];
    for _ in 0..100 {
        if !client.send(&block) {
            break;
        }
    }
    match client.response("PUT") {
        Ok(response) => assert!((400..500).contains(&response.status), "{}", response.status),
        Err(fault) => assert!(fault.is_end(), "{fault:?}"),
    }
    let grown = evenkeel.allocated().saturating_sub(before);
    assert!(grown < 20 << 20, "{grown} bytes more");
}
