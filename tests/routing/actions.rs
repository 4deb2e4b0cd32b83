//! What is done without a server: redirect, respond, and 404.

use crate::support::{Evenkeel, Origin, pool};

#[test]
fn no_route_is_a_404() {
    let evenkeel = Evenkeel::start("[[route]]\npath = \"/only\"\nrespond = {}");
    let mut client = evenkeel.client();
    let response = client.get("/other");
    assert_eq!(response.status, 404);
    assert!(response.header("content-type").unwrap().starts_with("text/plain"));
    let id = response.header("x-request-id").unwrap().to_owned();
    assert!(response.text().contains(&id), "{}", response.text());
    assert_eq!(client.get("/only").status, 200, "the connection goes on");
}

#[test]
fn respond_gives_what_was_written() {
    let evenkeel = Evenkeel::start(
        "[[route]]\npath = \"/health\"\nrespond = { status = 200, body = \"ok\\n\" }\n\
         [[route]]\npath = \"/down\"\nrespond = { status = 503, body = \"<h1>Back soon</h1>\", content_type = \"text/html\" }\n\
         [[route]]\npath = \"/none\"\nrespond = { status = 204 }\n",
    );
    let mut client = evenkeel.client();
    let health = client.get("/health");
    assert_eq!((health.status, health.text().as_str()), (200, "ok\n"));
    assert_eq!(health.header("content-type"), Some("text/plain; charset=utf-8"));
    let down = client.get("/down");
    assert_eq!((down.status, down.text().as_str()), (503, "<h1>Back soon</h1>"));
    assert_eq!(down.header("content-type"), Some("text/html"));
    let none = client.get("/none");
    assert_eq!(none.status, 204);
    assert!(none.headers("content-length").is_empty(), "{:?}", none.head);
}

#[test]
fn redirects_fill_in_the_request() {
    let evenkeel = Evenkeel::start(
        "[[route]]\npath = \"/tls/*\"\nredirect = { to = \"https://{host}{path}{query}\", status = 308 }\n\
         [[route]]\npath = \"/moved\"\nredirect = \"https://new.test/\"\n\
         [[route]]\npath = \"/local\"\nredirect = { to = \"/elsewhere{query}\", status = 301 }\n",
    );
    let cases = [
        ("/tls/a/b?c=d&e", 308, "https://test/tls/a/b?c=d&e"),
        ("/tls", 308, "https://test/tls"),
        ("/moved?x", 302, "https://new.test/"),
        ("/local?x=1", 301, "/elsewhere?x=1"),
        ("/local", 301, "/elsewhere"),
    ];
    let mut client = evenkeel.client();
    for (target, status, location) in cases {
        let response = client.get(target);
        assert_eq!((response.status, response.header("location")), (status, Some(location)), "{target}");
    }
}

#[test]
fn a_redirect_cannot_be_split_by_what_was_asked_for() {
    let evenkeel = Evenkeel::start("[[route]]\nredirect = \"https://x.test{path}{query}\"");
    let response = evenkeel.get("/a%0d%0aset-cookie:%20x=1?b%0d%0ac");
    assert!(response.headers("set-cookie").is_empty());
    if response.status == 302 {
        assert_eq!(response.header("location"), Some("https://x.test/a%0D%0Aset-cookie:%20x=1?b%0d%0ac"));
    } else {
        assert_eq!(response.status, 400);
    }
}

#[test]
fn the_listeners_pool_takes_what_no_route_takes() {
    let origin = Origin::named("pool");
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\npath = \"/own\"\nrespond = {{ body = \"own\" }}\n\
         [[route]]\npath_regex = \"/r[0-9]\"\nrespond = {{ body = \"regex\" }}\n{}",
        pool(&[&origin], "")
    ));
    assert_eq!(evenkeel.get("/r1").text(), "regex");
    assert_eq!(evenkeel.get("/own").text(), "own");
    assert_eq!(evenkeel.get("/other").text(), "pool");
}

#[test]
fn a_redirect_knows_the_scheme_that_a_trusted_peer_tells() {
    let evenkeel = Evenkeel::start(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\ntrusted_proxies = [\"127.0.0.1\"]\n\
         [[route]]\nredirect = \"{scheme}://new.test{path}\"\n",
    );
    let https = evenkeel.client().get_with("/x", "x-forwarded-proto: https\r\n");
    assert_eq!(https.header("location"), Some("https://new.test/x"));
    assert_eq!(evenkeel.get("/x").header("location"), Some("http://new.test/x"));
}
