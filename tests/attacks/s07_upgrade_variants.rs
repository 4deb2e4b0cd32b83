//! S7, in depth: upgrades that are not what they seem, from either side.

use crate::support::{Evenkeel, Origin, answer, ok, pool};

/// Requests that must not open a tunnel, for the server would have to misread them to agree.
const NO_UPGRADES: [(&str, &str); 7] = [
    ("HTTP/1.0", "GET / HTTP/1.0\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"),
    ("not nominated", "GET / HTTP/1.1\r\nhost: test\r\nupgrade: websocket\r\n\r\n"),
    ("nothing named", "GET / HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\n\r\n"),
    ("empty", "GET / HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade:\r\n\r\n"),
    (
        "two fields",
        "GET / HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\nupgrade: h2c\r\n\r\n",
    ),
    (
        "h2c in a list",
        "GET / HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket,\th2c\r\n\r\n",
    ),
    (
        "h2c with settings",
        "GET / HTTP/1.1\r\nhost: test\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n",
    ),
];

const SWITCHING: &str =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

#[test]
fn s7_what_is_no_upgrade_reaches_the_server_without_one_and_opens_no_tunnel() {
    // A server that would switch for anybody.
    let origin = Origin::start(|_, wire| {
        wire.send(SWITCHING);
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for (name, request) in NO_UPGRADES {
        let mut client = evenkeel.client();
        client.send(request);
        let answer = client.answer("GET");
        assert!(matches!(answer.status, 400 | 502), "{name}: {}", answer.status);
        assert_eq!(evenkeel.metric("evenkeel_tunnels", &[]), 0.0, "{name}");
    }
    for request in origin.requests() {
        assert!(
            request.headers("upgrade").is_empty() && !request.lists("connection", "upgrade"),
            "{request:?}"
        );
    }
}

#[test]
fn s7_an_unrequested_101_is_a_502() {
    let origin = Origin::bytes(SWITCHING);
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for request in [
        "GET / HTTP/1.1\r\nhost: test\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\nhi",
        "HEAD / HTTP/1.1\r\nhost: test\r\n\r\n",
    ] {
        assert_eq!(evenkeel.ask(request).status, 502, "{request:?}");
    }
}

#[test]
fn s7_a_server_cannot_switch_to_what_was_not_offered() {
    for upgrade in ["h2c", "chat", "", "websocket, h2c", "websocketx"] {
        let origin = Origin::bytes(format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: {upgrade}\r\n\r\n"
        ));
        let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
        let response =
            evenkeel.ask("GET / HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
        assert_eq!(response.status, 502, "{upgrade:?}");
    }
}

#[test]
fn s7_what_follows_an_upgrade_waits_for_the_servers_answer() {
    let origin = Origin::start(|_, wire| {
        // Whatever is here before we agreed would have been sent too early.
        wire.patience(crate::support::ms(300));
        let early = wire.some();
        wire.patience(crate::support::DEADLINE);
        wire.send(SWITCHING);
        wire.send(format!("early: {}\n", early.is_ok()));
        wire.hold();
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    client.send(
        "GET / HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n\
         GET /admin HTTP/1.1\r\nhost: test\r\n\r\n",
    );
    assert_eq!(client.answer("GET").status, 101);
    assert_eq!(client.exactly(13).unwrap(), b"early: false\n");
}

#[test]
fn s7_a_refusal_in_the_clothes_of_a_switch_opens_nothing() {
    for (status, fields) in [
        (200, "connection: upgrade\r\nupgrade: websocket\r\n"),
        (426, "connection: upgrade\r\nupgrade: websocket\r\n"),
        (500, "connection: upgrade\r\nupgrade: h2c\r\n"),
    ] {
        let origin = Origin::answering(move |request| match request.target() {
            "/chat" => answer(status, fields, "no"),
            _ => ok("next"),
        });
        let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
        let mut client = evenkeel.client();
        let upgrade = "GET /chat HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        assert_eq!(client.ask(upgrade).status, status);
        if client.send("GET /next HTTP/1.1\r\nhost: test\r\n\r\n")
            && let Ok(next) = client.response("GET")
        {
            assert_eq!(next.text(), "next", "it is a request like any other");
        }
        assert_eq!(evenkeel.metric("evenkeel_tunnels", &[]), 0.0);
    }
}
