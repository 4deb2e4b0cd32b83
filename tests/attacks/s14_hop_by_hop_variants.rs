//! S14, in depth: `Connection` against framing, credentials and the server's own fields.

use std::time::Instant;

use crate::support::{Evenkeel, Origin, answer, ok, pool};

#[test]
fn s14_framing_cannot_be_nominated_away() {
    let origin = Origin::answering(|request| ok(&request.body.text()));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for framing in [
        "connection: content-length\r\ncontent-length: 5\r\n\r\nhello",
        "connection: keep-alive, content-length\r\ncontent-length: 5\r\n\r\nhello",
        "connection: transfer-encoding\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "connection: Transfer-Encoding, close\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "connection: trailer, te, host\r\ncontent-length: 5\r\n\r\nhello",
    ] {
        let response = evenkeel.ask(format!("POST / HTTP/1.1\r\nhost: test\r\n{framing}"));
        let right = response.status == 400 || response.status == 200 && response.text() == "hello";
        assert!(right, "{framing:?}: {} {:?}", response.status, response.text());
        assert_eq!(evenkeel.get("/").status, 200, "{framing:?}: the server's connection is in step");
    }
    assert!(origin.requests().iter().all(|request| request.headers("host") == ["test"]));
}

#[test]
fn s14_connection_fields_of_all_kinds_stay_on_their_connection() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    evenkeel.client().get_with(
        "/",
        "connection: keep-alive\r\nkeep-alive: timeout=5\r\nproxy-connection: keep-alive\r\nte: gzip\r\n\
         trailer: x\r\nupgrade: x\r\n",
    );
    let request = origin.last();
    for name in ["keep-alive", "proxy-connection", "upgrade"] {
        assert!(request.headers(name).is_empty(), "{name}: {:?}", request.head);
    }
    assert!(!request.lists("te", "gzip"), "{:?}", request.head);
}

#[test]
fn s14_a_server_can_nominate_no_more_than_its_own() {
    let fields = "connection: x-request-id, x-own, content-length, set-cookie\r\nx-own: 1\r\n\
                  keep-alive: timeout=5\r\nproxy-connection: close\r\nx-kept: 1\r\n";
    let origin = Origin::answering(move |_| answer(200, fields, "hello"));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let response = evenkeel.get("/");
    assert_eq!((response.status, response.text().as_str()), (200, "hello"));
    assert!(response.header("x-request-id").is_some());
    assert_eq!(response.header("x-kept"), Some("1"));
    for name in ["x-own", "keep-alive", "proxy-connection"] {
        assert!(response.headers(name).is_empty(), "{name}");
    }
}

#[test]
fn s14_odd_lists_hide_nothing() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for list in [",,x-one,,", "x-one ,\tclose", "X-ONE", "close,x-one", "\tx-one\t", "x-one;q=1, x-one"] {
        let response =
            evenkeel.client().get_with("/", &format!("connection: {list}\r\nx-one: 1\r\nx-two: 2\r\n"));
        assert!(matches!(response.status, 200 | 400), "{list:?}");
        if response.status == 200 {
            assert!(origin.last().headers("x-one").is_empty(), "{list:?}");
            assert_eq!(origin.last().header("x-two"), Some("2"), "{list:?}");
        }
    }
}

#[test]
fn s14_many_nominations_cost_little() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let names: String = (0..5_000).map(|i| format!("x{i},")).collect();
    let fields: String = (0..90).map(|i| format!("y{i}: z\r\n")).collect();
    let begun = Instant::now();
    for _ in 0..20 {
        let response = evenkeel.client().get_with("/", &format!("connection: {names}close\r\n{fields}"));
        assert!(matches!(response.status, 200 | 400 | 431), "{}", response.status);
    }
    assert!(begun.elapsed() < crate::support::DEADLINE, "{:?}", begun.elapsed());
}
