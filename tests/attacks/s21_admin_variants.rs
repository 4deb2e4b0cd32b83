//! S21, in depth: the admin API asked by web pages, in odd forms, slowly, and by many.

use crate::support::{Client, Evenkeel, Folder, Origin, pool};

const CHANGES: [(&str, &str); 8] = [
    ("POST", "/reload"),
    ("POST", "/confirm"),
    ("POST", "/cache/purge"),
    ("PUT", "/log-level"),
    ("PUT", "/routes/r/split"),
    ("POST", "/pools/app/servers"),
    ("PUT", "/pools/app/servers/a"),
    ("DELETE", "/pools/app/servers/a"),
];

fn ask(evenkeel: &Evenkeel, method: &str, target: &str, fields: &str) -> u16 {
    let mut client = Client::connect(evenkeel.admin_address());
    let body = "{\"state\":\"drain\"}";
    client.send(format!(
        "{method} {target} HTTP/1.1\r\n{fields}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    ));
    client.answer(method).status
}

#[test]
fn s21_a_web_page_of_another_site_changes_nothing() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let address = evenkeel.admin_address();
    let before = evenkeel.metric("evenkeel_config_generation", &[]);
    for (method, path) in CHANGES {
        for page in [
            "http://evil.test".to_owned(),
            "https://evil.test".to_owned(),
            "null".to_owned(),
            format!("http://{address}.evil.test"),
            "http://127.0.0.1:1".to_owned(),
            format!("ftp://{address}"),
            format!("http://evil.test, http://{address}"),
            String::new(),
        ] {
            for kind in ["text/plain", "application/x-www-form-urlencoded", "application/json"] {
                let fields = format!("host: {address}\r\norigin: {page}\r\ncontent-type: {kind}\r\n");
                assert_eq!(ask(&evenkeel, method, path, &fields), 403, "{method} {path} {page:?} {kind}");
            }
        }
        let two = format!("host: {address}\r\norigin: http://{address}\r\norigin: http://evil.test\r\n");
        assert_eq!(ask(&evenkeel, method, path, &two), 403, "two origins");
    }
    assert_eq!(evenkeel.metric("evenkeel_config_generation", &[]), before);
    assert_eq!(evenkeel.server("app", "a")["state"], "up");
}

#[test]
fn s21_names_that_others_may_point_at_us_are_refused() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let address = evenkeel.admin_address();
    for (target, host) in [
        ("/status", "evil.test"),
        ("/status", "localhost.evil.test"),
        ("/status", "localhost.evil"),
        ("/status", "127.0.0.1.nip.io"),
        ("/status", "127.1"),
        ("/status", "2130706433"),
        ("/status", "0x7f000001"),
        ("http://evil.test/status", "127.0.0.1"),
        ("http://evil.test/status", "localhost"),
    ] {
        let status = ask(&evenkeel, "GET", target, &format!("host: {host}\r\n"));
        assert!(matches!(status, 400 | 421), "{target} {host}: {status}");
    }
    for fields in [
        String::new(),
        format!("host: {address}\r\nhost: evil.test\r\n"),
        format!("host: {address}@evil.test\r\n"),
        "host:\r\n".to_owned(),
    ] {
        let status = ask(&evenkeel, "GET", "/status", &fields);
        assert!(matches!(status, 400 | 421), "{fields:?}: {status}");
    }
}

#[test]
fn s21_the_token_counts_in_one_place_and_whole() {
    let folder = Folder::new();
    let token = folder.write("token", "correct horse battery\n");
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start_in(
        folder,
        &format!("[admin]\nbind = \"127.0.0.1:0\"\ntoken_file = \"{token}\"\n{}", pool(&[&origin], "")),
    );
    let host = format!("host: {}\r\n", evenkeel.admin_address());
    for (target, fields) in [
        ("/status?token=correct%20horse", ""),
        ("/status?access_token=correct%20horse", ""),
        ("/status", "cookie: token=correct horse battery\r\n"),
        ("/status", "proxy-authorization: Bearer correct horse battery\r\n"),
        ("/status", "x-authorization: Bearer correct horse battery\r\n"),
        ("/status", "authorization: Bearer  correct horse battery\r\n"),
        ("/status", "authorization: Bearer CORRECT HORSE\r\n"),
        ("/status", "authorization: correct horse battery\r\n"),
        ("/status", "authorization: Bearer wrong\r\nauthorization: Bearer correct horse battery\r\n"),
        ("//status", ""),
        ("/./status", ""),
        ("/healthz/../status", ""),
        ("/healthz/", ""),
        ("/%73tatus", ""),
        ("/STATUS", ""),
    ] {
        let status = ask(&evenkeel, "GET", target, &format!("{host}{fields}"));
        assert!((400..500).contains(&status), "{target} {fields:?}: {status}");
    }
    for (method, path) in CHANGES {
        assert_eq!(ask(&evenkeel, method, path, &format!("{host}x-http-method-override: GET\r\n")), 401);
    }
    assert_eq!(ask(&evenkeel, "GET", "/healthz", &host), 200);
}

#[test]
fn s21_no_method_or_path_does_more_than_is_listed() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let host = format!("host: {}\r\n", evenkeel.admin_address());
    for (method, target) in [
        ("GET", "/reload"),
        ("HEAD", "/reload"),
        ("POST", "/pools/app/servers/a"),
        ("DELETE", "/pools/app"),
        ("DELETE", "/pools/app/servers/..%2f..%2fx"),
        ("POST", "/status"),
        ("TRACE", "/"),
        ("OPTIONS", "/reload"),
        ("GET", "/../../etc/passwd"),
        ("GET", "/..%2f..%2fetc%2fpasswd"),
        ("PUT", "/pools/app/servers/..%2f..%2fx"),
        ("PUT", "/pools/none/servers/a"),
        ("PUT", "/pools/app/servers/none"),
    ] {
        let mut client = Client::connect(evenkeel.admin_address());
        client.send(format!("{method} {target} HTTP/1.1\r\n{host}connection: close\r\n\r\n"));
        let status = client.answer(method).status;
        assert!((400..500).contains(&status), "{method} {target}: {status}");
    }
    assert_eq!(evenkeel.server("app", "a")["state"], "up");
    assert_eq!(evenkeel.metric("evenkeel_config_reloads_total", &[]), 0.0);
}

#[test]
fn s21_what_a_browser_says_of_its_page_counts() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let address = evenkeel.admin_address();
    for (method, path) in CHANGES {
        for site in ["cross-site", "same-site", "", "none, cross-site"] {
            let fields =
                format!("host: {address}\r\nsec-fetch-site: {site}\r\ncontent-type: application/json\r\n");
            assert_eq!(ask(&evenkeel, method, path, &fields), 403, "{method} {path} {site:?}");
        }
    }
    assert_eq!(evenkeel.metric("evenkeel_config_reloads_total", &[]), 0.0);
    assert_eq!(evenkeel.server("app", "a")["state"], "up");
    let own = format!(
        "host: {address}\r\nsec-fetch-site: same-origin\r\norigin: http://{address}\r\n\
         content-type: application/json\r\n"
    );
    assert_eq!(ask(&evenkeel, "PUT", "/pools/app/servers/a", &own), 200);
}

#[test]
fn s21_a_host_is_demanded_of_http_1_0_too() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let status = |head: &str| {
        let mut client = Client::connect(evenkeel.admin_address());
        client.send(format!("{head}\r\n\r\n"));
        let answer = String::from_utf8(client.until_end().unwrap()).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    for target in ["/status", "/metrics", "/healthz"] {
        assert_eq!(status(&format!("GET {target} HTTP/1.0")), "400", "{target}");
        assert_eq!(status(&format!("GET {target} HTTP/1.0\r\nhost: localhost")), "200", "{target}");
    }
}

#[test]
fn s21_many_connections_to_it_keep_no_client_out_and_take_bounded_memory() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let before = evenkeel.allocated();
    let host = evenkeel.admin_address();
    let held: Vec<Client> = (0..400)
        .map(|n| {
            let mut client = Client::connect(host);
            match n % 3 {
                // It sends nothing at all.
                0 => {}
                1 => drop(client.send(format!("GET /status HTTP/1.1\r\nx: {}", "y".repeat(20_000)))),
                _ => drop(client.send(format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\n\r\n"))),
            }
            client
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(evenkeel.get("/").text(), "a");
        assert_eq!(evenkeel.admin("GET", "/healthz", "").status, 200);
        assert_eq!(evenkeel.admin("GET", "/status", "").status, 200);
    }
    let grown = evenkeel.allocated().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more");
    drop(held);
}

#[test]
fn s21_heads_without_an_end_are_refused() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = Client::connect(evenkeel.admin_address());
    client.send("GET /status HTTP/1.1\r\nx: ");
    let block = "y".repeat(16 * 1024);
    for _ in 0..64 {
        if !client.send(&block) {
            break;
        }
    }
    match client.response("GET") {
        Ok(response) => assert!(matches!(response.status, 400 | 431), "{}", response.status),
        Err(fault) => assert!(fault.is_end(), "{fault:?}"),
    }
    assert_eq!(evenkeel.admin("GET", "/healthz", "").status, 200);
}
