//! The forms of a request target (RFC 9112, section 3.2).

use crate::support::{Evenkeel, Origin, pool};

#[test]
fn absolute_form_wins_over_host_and_is_forwarded_in_origin_form() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let cases = [
        ("http://shop.test/x?y=1", "shop.test", "/x?y=1"),
        ("HTTP://shop.test:8080/x", "shop.test:8080", "/x"),
        ("http://shop.test", "shop.test", "/"),
        ("http://shop.test?y=1", "shop.test", "/?y=1"),
    ];
    for (target, host, path) in cases {
        let response = evenkeel.ask(format!("GET {target} HTTP/1.1\r\nhost: other.test\r\n\r\n"));
        assert_eq!(response.status, 200, "{target}");
        assert_eq!(origin.last().header("host"), Some(host), "{target}");
        assert_eq!(origin.last().target(), path, "{target}");
    }
}

#[test]
fn routes_see_the_host_of_the_absolute_form() {
    let evenkeel = Evenkeel::start(
        "[[route]]\nhost = \"shop.test\"\nrespond = { body = \"shop\" }\n[[route]]\nrespond = { body = \"any\" }",
    );
    let mut client = evenkeel.client();
    assert_eq!(client.ask("GET http://shop.test/ HTTP/1.1\r\nhost: other.test\r\n\r\n").text(), "shop");
    assert_eq!(client.ask("GET http://other.test/ HTTP/1.1\r\nhost: shop.test\r\n\r\n").text(), "any");
}

#[test]
fn asterisk_form_is_for_options_only() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    assert_eq!(evenkeel.ask("OPTIONS * HTTP/1.1\r\nhost: test\r\n\r\n").status, 200);
    assert_eq!(origin.last().target(), "*");
    assert_eq!(evenkeel.ask("GET * HTTP/1.1\r\nhost: test\r\n\r\n").status, 400);
    assert_eq!(origin.count(), 1);
}

#[test]
fn connect_opens_no_tunnel() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    client.send("CONNECT test:443 HTTP/1.1\r\nhost: test:443\r\n\r\n");
    let status = client.answer("CONNECT").status;
    assert!(matches!(status, 400 | 405 | 501), "{status}");
    assert_eq!(origin.count(), 0);
}
