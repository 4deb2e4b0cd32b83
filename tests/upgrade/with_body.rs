//! A request with a body may ask for an upgrade: its server switches once it has read all of it (RFC 9110, section 7.8).

use crate::support::{DEADLINE, Evenkeel, Fault, Origin, eventually, ms, ok, pool};

const HEAD: &str = "POST /exec HTTP/1.1\r\nhost: test\r\nconnection: Upgrade\r\nupgrade: tcp\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: tcp\r\n\r\n";

/// Switches when it has the body, says what it was, and sends everything back.
fn exec() -> Origin {
    Origin::start(|request, wire| {
        if request.header("upgrade") != Some("tcp") {
            wire.send(ok("no upgrade was asked for"));
            return;
        }
        wire.send(format!("{SWITCHING}got {}", request.body.text()));
        while let Ok(bytes) = wire.some() {
            wire.send(bytes);
        }
        wire.close();
    })
}

#[test]
fn an_upgrade_passes_with_a_body_of_either_framing() {
    let origin = exec();
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for body in [
        "content-length: 5\r\n\r\nhello",
        "transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    ] {
        let mut client = evenkeel.client();
        let response = client.ask(format!("{HEAD}{body}"));
        assert_eq!(response.status, 101, "{}", response.text());
        assert_eq!(response.header("upgrade"), Some("tcp"));
        assert_eq!(client.exactly(9).unwrap(), b"got hello");
        client.send("typed");
        assert_eq!(client.exactly(5).unwrap(), b"typed");
        client.finish();
        assert_eq!(client.until_end().unwrap(), b"");
    }
}

#[test]
fn bytes_behind_the_body_are_the_tunnels() {
    let origin = exec();
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    let response =
        client.ask(format!("{HEAD}content-length: 5\r\n\r\nhelloGET /not/a/request HTTP/1.1\r\n\r\n"));
    assert_eq!(response.status, 101, "{}", response.text());
    assert_eq!(client.exactly(9 + 31).unwrap(), b"got helloGET /not/a/request HTTP/1.1\r\n\r\n");
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_server_that_switches_before_it_has_the_body_opens_no_tunnel_before_the_end_of_the_body() {
    let origin = Origin::on_head(|_, wire| {
        wire.send(SWITCHING);
        wire.hold();
        wire.close();
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    client.send(format!("{HEAD}content-length: 10\r\n\r\nhello"));
    eventually("the server has the head", || origin.count() == 1);
    assert_eq!(origin.last().header("upgrade"), Some("tcp"));
    client.patience(ms(300));
    match client.head() {
        Ok(head) => assert!(head.start.starts_with("HTTP/1.1 502 "), "{head:?}"),
        Err(fault) => {
            assert_eq!(fault, Fault::Silent);
            client.patience(DEADLINE);
            client.send("world");
            assert!(client.head().unwrap().start.starts_with("HTTP/1.1 101 "));
        }
    }
}

#[test]
fn the_log_says_why_an_upgrade_was_not_passed_on() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let cases = [
        ("/unnominated", "1.1", "upgrade: websocket\r\n"),
        (
            "/h2c",
            "1.1",
            "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n",
        ),
        ("/old", "1.0", "connection: upgrade\r\nupgrade: websocket\r\n"),
    ];
    for (target, version, fields) in cases {
        let response = evenkeel.ask(format!("GET {target} HTTP/{version}\r\nhost: test\r\n{fields}\r\n"));
        assert_eq!(response.status, 200, "{target}");
        assert!(origin.last().headers("upgrade").is_empty(), "{target}");
        let record = evenkeel.record(|record| record["target"] == target);
        let reason = record["reason"].as_str().unwrap_or_default().to_lowercase();
        assert!(reason.contains("upgrade"), "{target}: {record}");
    }
}
