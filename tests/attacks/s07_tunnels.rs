//! S7: tunnels that open too early, and h2c.

use crate::support::h2::fields::{self, GET};
use crate::support::h2::frames::{flag, headers};
use crate::support::h2::{Expect, Peer, balancer};
use crate::support::{Evenkeel, Origin, answer, ok, pool};

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";

/// A pool that may be asked for anything but `/admin`.
fn guarded(origin: &Origin) -> String {
    format!("{}[[route]]\npath = \"/admin/*\"\nrespond = {{ status = 403 }}", pool(&[origin], ""))
}

#[test]
fn s7_bytes_behind_an_upgrade_request_reach_no_server_without_its_101() {
    let origin = Origin::bytes(ok("not a tunnel"));
    let evenkeel = Evenkeel::start(&guarded(&origin));
    let mut client = evenkeel.client();
    client.send(format!("{UPGRADE}GET /admin/delete HTTP/1.1\r\nhost: test\r\n\r\n"));
    assert_eq!(client.answer("GET").text(), "not a tunnel");
    match client.response("GET") {
        Ok(second) => assert_eq!(second.status, 403, "routed like any other request"),
        Err(fault) => assert!(fault.is_end(), "{fault:?}"),
    }
    assert!(origin.requests().iter().all(|r| r.target() == "/chat"), "{:?}", origin.requests());
}

#[test]
fn s7_a_refused_upgrade_leaves_the_server_connection_in_step() {
    let origin = Origin::answering(|request| ok(request.target()));
    let evenkeel = Evenkeel::start(&guarded(&origin));
    for _ in 0..3 {
        assert_eq!(evenkeel.ask(UPGRADE).text(), "/chat");
        assert_eq!(evenkeel.get("/next").text(), "/next");
    }
}

#[test]
fn s7_h2c_is_not_passed_on() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for upgrade in ["h2c", "H2C", "h2c, websocket"] {
        let response = evenkeel.client().get_with(
            "/",
            &format!(
                "connection: upgrade, http2-settings\r\nupgrade: {upgrade}\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n"
            ),
        );
        if upgrade == "h2c, websocket" && response.status == 400 {
            continue;
        }
        assert_eq!(response.status, 200, "{upgrade}");
        let request = origin.last();
        assert!(!request.lists("upgrade", "h2c"), "{:?}", request.head);
        assert!(request.headers("http2-settings").is_empty(), "{:?}", request.head);
    }
}

#[test]
fn s7_the_preface_of_http2_is_refused_where_only_http1_is_spoken() {
    let origin = Origin::named("a");
    let listener = "[listener.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\nhttp = \"1.1\"\n";
    let evenkeel = Evenkeel::start(&format!("{listener}{}", pool(&[&origin], "")));
    let mut client = evenkeel.client();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let status = client.answer("PRI").status;
    assert!(matches!(status, 400 | 505), "{status}");
    client.assert_closed();
    assert_eq!(origin.count(), 0);
}

#[test]
fn s7_an_upgrade_with_a_body_opens_no_tunnel_without_a_101() {
    let origin =
        Origin::answering(|request| ok(&format!("{:?} {}", request.header("upgrade"), request.body.text())));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let smuggled = "GET /admin HTTP/1.1\r\nhost: test\r\n\r\n";
    let response = evenkeel.ask(format!(
        "POST /chat HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         content-length: {}\r\n\r\n{smuggled}",
        smuggled.len()
    ));
    assert_eq!((response.status, response.text()), (200, format!("Some(\"websocket\") {smuggled}")));
    assert_eq!(evenkeel.get("/next").status, 200);
    assert!(origin.requests().iter().all(|request| request.target() != "/admin"));
}

#[test]
fn s7_a_stream_becomes_no_tunnel_without_the_servers_101() {
    // To a client of HTTP/2 any success would be its tunnel (RFC 8441, 5).
    for (status, expected) in [(200, "502"), (204, "502"), (403, "403"), (426, "426")] {
        let origin = Origin::start(move |_, wire| {
            wire.send(answer(status, "", if status == 204 { "" } else { "no" }));
        });
        let evenkeel = balancer(&origin, "");
        let mut peer = Peer::greeted(evenkeel.client());
        let head = [(":method", "CONNECT"), GET[1], GET[2], GET[3], (":protocol", "websocket")];
        peer.send(headers(1, flag::END_HEADERS, fields::block(&head))).unwrap();
        assert_eq!(Expect::RefusedWith(expected).follows(&mut peer).err(), None, "{status}");
    }
    // Nor by a route that answers by itself.
    let origin = Origin::bytes(ok("not a tunnel"));
    let evenkeel = balancer(&origin, "[[route]]\npath = \"/\"\nrespond = { status = 200, body = \"ok\" }\n");
    let mut peer = Peer::greeted(evenkeel.client());
    let head = [(":method", "CONNECT"), GET[1], GET[2], GET[3], (":protocol", "websocket")];
    peer.send(headers(1, flag::END_HEADERS, fields::block(&head))).unwrap();
    assert_eq!(Expect::RefusedWith("501").follows(&mut peer).err(), None);
}
