//! S13, in depth: hosts that look like another one, or like none.

use crate::support::{Evenkeel, Origin, pool};

const REFUSED: [(&str, &str); 18] = [
    ("comma list without spaces", "host: a.test,b.test\r\n"),
    ("second Host with other letters", "host: a.test\r\nHOST: b.test\r\n"),
    ("folded", "host: a.test\r\n b.test\r\n"),
    ("tab within", "host: a\t.test\r\n"),
    ("NUL", "host: a.test\0.evil\r\n"),
    ("fragment", "host: a.test#b\r\n"),
    ("at sign behind", "host: a.test@b.test\r\n"),
    ("a sign in the port", "host: a.test:+80\r\n"),
    ("a space before the port", "host: a.test: 80\r\n"),
    ("IPv6 without brackets", "host: ::1\r\n"),
    ("IPv6 with a zone", "host: [fe80::1%25eth0]\r\n"),
    ("empty brackets", "host: []\r\n"),
    ("brackets around a name", "host: [a.test]\r\n"),
    ("quotes", "host: \"a.test\"\r\n"),
    ("bytes above ASCII", "host: caf\u{e9}.test\r\n"),
    ("a line of script", "host: a.test'><script>\r\n"),
    ("semicolon", "host: a.test;b\r\n"),
    ("braces", "host: ${jndi:x}\r\n"),
];

#[test]
fn s13_hosts_that_are_none_are_refused() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for (name, fields) in REFUSED {
        let mut client = evenkeel.client();
        client.send(format!("GET / HTTP/1.1\r\n{fields}\r\n"));
        assert_eq!(client.answer("GET").status, 400, "{name}");
        client.assert_closed();
    }
    assert_eq!(origin.count(), 0);
}

/// Ways to ask for `internal.test`, which the balancer keeps to itself.
const DISGUISES: [(&str, &str); 12] = [
    ("/", "internal.test"),
    ("/", "INTERNAL.test:8080"),
    ("/", "internal.test."),
    ("/", "internal.test:"),
    ("/", "internal.test.:80"),
    ("/", "internal%2etest"),
    ("/", "%69nternal.test"),
    ("/", "internal.test.."),
    ("http://internal.test/", "public.test"),
    ("http://INTERNAL.test:80/", "public.test"),
    ("http://internal.test./", "public.test"),
    ("http://public.test@internal.test/", "public.test"),
];

#[test]
fn s13_no_disguise_of_a_host_reaches_what_is_for_another() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&format!(
        "{}[[route]]\nhost = \"internal.test\"\nrespond = {{ status = 403 }}",
        pool(&[&origin], "")
    ));
    for (target, host) in DISGUISES {
        let status = evenkeel.ask(format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n")).status;
        assert!(matches!(status, 400 | 403), "{target} {host}: {status}");
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn s13_a_wildcard_takes_no_more_than_it_says() {
    let evenkeel = Evenkeel::start(
        "[[route]]\nhost = \"*.shop.test\"\nrespond = { body = \"wild\" }\n\
         [[route]]\nrespond = { body = \"any\" }",
    );
    for (host, expected) in [
        ("a.shop.test", "wild"),
        ("A.SHOP.TEST", "wild"),
        ("shop.test", "any"),
        ("ashop.test", "any"),
        ("a.shop.test.evil", "any"),
        ("shop.test.a", "any"),
        ("a.shop.tes", "any"),
    ] {
        let response = evenkeel.ask(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n"));
        assert_eq!(response.text(), expected, "{host}");
    }
}

#[test]
fn s13_a_host_without_an_end_is_refused() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for host in ["a".repeat(300), "a.".repeat(200), format!("{}.test", "a".repeat(3000))] {
        let response = evenkeel.ask(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n"));
        assert!(matches!(response.status, 200 | 400), "{}", response.status);
        if response.status == 200 {
            assert_eq!(origin.last().headers("host"), [host], "passed on as it came");
        }
    }
}

#[test]
fn s13_a_host_is_never_reflected_into_a_page() {
    let evenkeel = Evenkeel::start("[[route]]\nhost = \"a.test\"\nrespond = {}");
    for host in ["<script>alert(1)</script>", "x<b>", "evil.test"] {
        let response = evenkeel.ask(format!("GET /<script> HTTP/1.1\r\nhost: {host}\r\n\r\n"));
        assert!((400..500).contains(&response.status));
        assert!(
            !response.text().contains('<') || !response.header("content-type").unwrap_or("").contains("html")
        );
    }
}
