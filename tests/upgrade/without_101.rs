//! Without a 101 there is no tunnel: an upgrade that is declined is an ordinary answer.

use crate::support::{Evenkeel, Origin, answer, pool};

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

#[test]
fn a_declined_upgrade_is_an_ordinary_answer() {
    for (status, body) in [(200, "ignored"), (400, "no"), (426, "other version"), (503, "later")] {
        let origin = Origin::bytes(answer(status, "", body));
        let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
        let mut client = evenkeel.client();
        for _ in 0..2 {
            let response = client.ask(UPGRADE);
            assert_eq!((response.status, response.text().as_str()), (status, body));
        }
        assert_eq!(origin.count(), 2);
    }
}

#[test]
fn an_upgrade_field_alone_is_not_an_upgrade() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let response = evenkeel.client().get_with("/", "upgrade: websocket\r\n");
    assert_eq!(response.status, 200);
    assert!(origin.last().headers("upgrade").is_empty(), "it was not nominated by Connection");
}

#[test]
fn a_101_to_another_protocol_than_asked_for_is_a_bad_answer() {
    let origin =
        Origin::bytes("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    assert_eq!(evenkeel.ask(UPGRADE).status, 502);
}

#[test]
fn a_pool_without_servers_answers_an_upgrade_with_an_error() {
    let origin = Origin::refusing("gone");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    assert_eq!(evenkeel.ask(UPGRADE).status, 502);
}

#[test]
fn a_426_says_what_to_upgrade_to() {
    // It must (RFC 9110, section 15.5.22).
    let fields = "connection: upgrade\r\nupgrade: websocket, other/2\r\n";
    let origin = Origin::bytes(answer(426, fields, "upgrade"));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    for _ in 0..2 {
        let response = client.get("/");
        assert_eq!((response.status, response.text().as_str()), (426, "upgrade"));
        assert_eq!(response.headers("upgrade").join(", "), "websocket, other/2");
        assert!(response.lists("connection", "upgrade"), "{:?}", response.head);
    }
}
