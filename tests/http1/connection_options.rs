//! Fields that concern one connection only end there (RFC 9110, section 7.6.1).

use crate::support::{Evenkeel, Origin, answer, pool};

const HOP_BY_HOP: [&str; 6] =
    ["connection", "keep-alive", "proxy-connection", "te", "upgrade", "x-nominated"];

#[test]
fn hop_by_hop_fields_of_a_request_go() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    let response = client.get_with(
        "/",
        "connection: keep-alive, X-Nominated\r\nkeep-alive: timeout=5\r\nproxy-connection: keep-alive\r\n\
         te: gzip\r\nupgrade: whatever\r\nx-nominated: 1\r\nx-kept: 2\r\n",
    );
    assert_eq!(response.status, 200);
    let request = origin.last();
    for name in HOP_BY_HOP {
        let left: Vec<&str> = request.headers(name).into_iter().filter(|v| *v != "keep-alive").collect();
        assert!(left.is_empty(), "{name}: {left:?}");
    }
    assert_eq!(request.header("x-kept"), Some("2"));
}

#[test]
fn hop_by_hop_fields_of_an_answer_go() {
    let origin = Origin::bytes(answer(
        200,
        "connection: x-nominated\r\nx-nominated: 1\r\nkeep-alive: timeout=5\r\nproxy-connection: x\r\n\
         upgrade: h2c\r\nx-kept: 2\r\n",
        "a",
    ));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let response = evenkeel.get("/");
    for name in HOP_BY_HOP {
        let left: Vec<&str> = response.headers(name).into_iter().filter(|v| *v != "keep-alive").collect();
        assert!(left.is_empty(), "{name}: {left:?}");
    }
    assert_eq!(response.header("x-kept"), Some("2"));
}

#[test]
fn end_to_end_fields_are_passed_on_as_they_are() {
    let fields = "set-cookie: a=1\r\nset-cookie: b=2\r\nx-empty:\r\nX-Odd!Name: \"quoted, text\"\r\n\
                  x-latin: caf\u{e9}\r\nserver: origin/1\r\ndate: Tue, 15 Nov 1994 08:12:31 GMT\r\n";
    let origin = Origin::bytes(answer(200, fields, "a"));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let response = evenkeel.get("/");
    assert_eq!(response.headers("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(response.header("x-empty"), Some(""));
    assert_eq!(response.header("x-odd!name"), Some("\"quoted, text\""));
    assert_eq!(response.header("server"), Some("origin/1"));
    assert_eq!(response.header("date"), Some("Tue, 15 Nov 1994 08:12:31 GMT"));
    assert_eq!(response.header("x-latin"), Some("caf\u{c3}\u{a9}"), "bytes above ASCII stay as they are");
}
