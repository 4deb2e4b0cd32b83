//! Conditional requests for files (RFC 9110, 13).

use super::site::{Site, pattern};

const LONG_AGO: &str = "Thu, 01 Jan 1970 00:00:01 GMT";
const FAR_AHEAD: &str = "Fri, 31 Dec 9999 23:59:59 GMT";

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let site = Site::new(
        &[("a.txt", b"hello"), ("b.bin", &pattern(100_000))],
        ", cache_control = { \"*\" = \"no-cache\" }",
    );
    let mut client = site.evenkeel.client();
    for name in ["/a.txt", "/b.bin"] {
        let first = client.get(name);
        let (etag, modified) = (first.header("etag").unwrap(), first.header("last-modified").unwrap());
        for same in [
            format!("if-none-match: {etag}\r\n"),
            format!("if-none-match: \"other\", W/{etag}\r\n"),
            format!("if-none-match: \"other\"\r\nif-none-match: {etag}\r\n"),
            "if-none-match: *\r\n".to_owned(),
            format!("if-modified-since: {modified}\r\n"),
            format!("if-modified-since: {FAR_AHEAD}\r\n"),
            // The tag counts, whatever the date says.
            format!("if-none-match: {etag}\r\nif-modified-since: {LONG_AGO}\r\n"),
        ] {
            let answer = client.get_with(name, &same);
            assert_eq!(answer.status, 304, "{name} with {same}");
            assert_eq!(answer.header("etag"), Some(etag));
            assert_eq!(answer.header("cache-control"), Some("no-cache"));
            assert_eq!(answer.header("content-type"), None);
            assert_eq!(answer.header("content-length"), None);
        }
        for other in [
            "if-none-match: \"other\"\r\n".to_owned(),
            format!("if-modified-since: {LONG_AGO}\r\n"),
            "if-modified-since: yesterday\r\n".to_owned(),
            format!("if-none-match: \"other\"\r\nif-modified-since: {FAR_AHEAD}\r\n"),
            format!("if-match: {etag}\r\n"),
            "if-match: *\r\n".to_owned(),
            format!("if-unmodified-since: {modified}\r\n"),
        ] {
            let answer = client.get_with(name, &other);
            assert_eq!(answer.status, 200, "{name} with {other}");
            assert_eq!(answer.body.bytes, first.body.bytes);
        }
    }
}

#[test]
fn what_is_not_the_file_that_is_meant_is_a_412() {
    let site = Site::new(&[("a.txt", b"hello")], "");
    let mut client = site.evenkeel.client();
    let etag = client.get("/a.txt").header("etag").unwrap().to_owned();
    for other in [
        "if-match: \"other\"\r\n".to_owned(),
        format!("if-match: W/{etag}\r\n"),
        format!("if-unmodified-since: {LONG_AGO}\r\n"),
    ] {
        assert_eq!(client.get_with("/a.txt", &other).status, 412, "{other}");
    }
    assert_eq!(client.get("/a.txt").text(), "hello", "the connection goes on");
}

#[test]
fn head_is_asked_with_conditions_as_well() {
    let site = Site::new(&[("b.bin", &pattern(100_000))], "");
    let mut client = site.evenkeel.client();
    let etag = client.get("/b.bin").header("etag").unwrap().to_owned();
    let head = client.ask(format!("HEAD /b.bin HTTP/1.1\r\nhost: test\r\nif-none-match: {etag}\r\n\r\n"));
    assert_eq!(head.status, 304);
}

#[test]
fn the_tag_is_another_when_the_file_is() {
    let site = Site::new(&[("a.txt", b"one"), ("b.txt", b"one")], "");
    let tag = |name: &str| site.get(name).header("etag").unwrap().to_owned();
    let (a, b) = (tag("/a.txt"), tag("/b.txt"));
    assert_ne!(a, b, "written at another time");
    assert_eq!(a, tag("/a.txt"));
}
