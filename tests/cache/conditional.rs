//! Conditions of clients are judged by what is kept (RFC 9111, 4.3.2).

use crate::support::cache::{assert_said, fresh, is_hit, start};
use crate::support::{Gate, Origin};

const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn dated() -> Origin {
    Origin::answering(|_| {
        fresh(
            &format!(
                "etag: \"one\"\r\nlast-modified: {MODIFIED}\r\ncontent-type: text/plain\r\nx-own: 1\r\n"
            ),
            "hello",
        )
    })
}

#[test]
fn what_the_client_has_already_is_not_sent_again() {
    let origin = dated();
    let evenkeel = start(&origin, "true");
    evenkeel.get("/");
    let modified = format!("if-modified-since: {MODIFIED}\r\n");
    for (fields, status) in [
        ("if-none-match: \"one\"\r\n", 304),
        ("if-none-match: W/\"one\"\r\n", 304),
        ("if-none-match: \"zero\", \"one\"\r\n", 304),
        ("if-none-match: *\r\n", 304),
        ("if-none-match: \"two\"\r\n", 200),
        (modified.as_str(), 304),
        ("if-modified-since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 200),
        ("if-modified-since: Sun, 06 Nov 2094 08:49:36 GMT\r\n", 304),
        ("if-modified-since: nonsense\r\n", 200),
        // The tag counts more than the date.
        ("if-none-match: \"two\"\r\nif-modified-since: Sun, 06 Nov 2094 08:49:36 GMT\r\n", 200),
        ("if-none-match: \"one\"\r\nif-modified-since: Sun, 06 Nov 1990 08:49:36 GMT\r\n", 304),
    ] {
        let response = evenkeel.client().get_with("/", fields);
        assert_eq!(response.status, status, "{fields}");
        assert!(is_hit(&response), "{fields}");
        if status == 304 {
            assert_eq!(response.header("etag"), Some("\"one\""), "{fields}");
            assert_eq!(response.header("content-type"), None, "{fields}");
            assert!(response.header("cache-control").is_some() && response.header("date").is_some());
        } else {
            assert_eq!(response.text(), "hello", "{fields}");
        }
    }
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_connection_goes_on_after_a_304() {
    let origin = dated();
    let evenkeel = start(&origin, "true");
    let mut client = evenkeel.client();
    client.get("/");
    assert_eq!(client.get_with("/", "if-none-match: \"one\"\r\n").status, 304);
    assert_eq!(client.get("/").text(), "hello");
    let head = client.ask("HEAD / HTTP/1.1\r\nhost: test\r\nif-none-match: \"one\"\r\n\r\n");
    assert_eq!(head.status, 304);
    assert_eq!(client.get("/").text(), "hello");
}

#[test]
fn a_condition_does_not_reach_the_server_of_a_miss() {
    let origin = dated();
    let evenkeel = start(&origin, "true");
    let response = evenkeel.client().get_with("/", "if-none-match: \"one\"\r\nif-modified-since: x\r\n");
    assert_eq!(response.status, 304, "the client has it already");
    assert_said(&response, "stored");
    let request = origin.last();
    assert_eq!((request.header("if-none-match"), request.header("if-modified-since")), (None, None));
    assert_eq!(evenkeel.get("/").text(), "hello");
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_condition_is_judged_before_the_body_has_come() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\netag: \"one\"\r\ncontent-length: 10\r\n\r\nhello");
        theirs.wait();
        wire.send("world");
    });
    let evenkeel = start(&origin, "true");
    let mut first = evenkeel.client();
    first.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    first.head().unwrap();
    let second = evenkeel.client().get_with("/", "if-none-match: \"one\"\r\n");
    assert_eq!(second.status, 304);
    gate.open();
    assert_eq!(first.exactly(10).unwrap(), b"helloworld");
    assert_eq!(origin.count(), 1);
}

#[test]
fn conditions_that_only_a_server_can_judge_go_there() {
    let origin = dated();
    let evenkeel = start(&origin, "true");
    evenkeel.get("/");
    for (fields, word) in [
        ("if-match: \"one\"\r\n", "precondition"),
        ("if-unmodified-since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "precondition"),
        ("range: lines=1-2\r\n", "range-unit"),
        ("cache-control: no-store\r\n", "request-no-store"),
    ] {
        let response = evenkeel.client().get_with("/", fields);
        assert_said(&response, &format!("fwd=bypass; detail={word}"));
    }
    assert_eq!(origin.count(), 5);
}
