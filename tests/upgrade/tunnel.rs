//! After the server's 101 a connection is a tunnel for bytes.

use std::time::Instant;

use crate::support::{Client, Evenkeel, Fault, Gate, Origin, eventually, ms, ok, pool};

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nhost: test\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                         sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Switches and then sends everything back until the other side has finished.
fn echo() -> Origin {
    Origin::start(|request, wire| {
        if !request.lists("connection", "upgrade") {
            wire.send(ok("plain"));
            return;
        }
        wire.send(SWITCHING);
        while let Ok(bytes) = wire.some() {
            wire.send(bytes);
        }
        wire.close();
    })
}

fn open(evenkeel: &Evenkeel) -> Client {
    let mut client = evenkeel.client();
    let response = client.ask(UPGRADE);
    assert_eq!(response.status, 101);
    assert!(response.lists("connection", "upgrade"), "{:?}", response.head);
    assert_eq!(response.header("upgrade"), Some("websocket"));
    assert_eq!(response.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    client
}

#[test]
fn bytes_pass_in_both_directions_unchanged() {
    let origin = echo();
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = open(&evenkeel);
    let every: Vec<u8> = (0..=255).collect();
    for bytes in [b"\x81\x05hello".to_vec(), every, b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![7; 100_000]] {
        client.send(&bytes);
        assert_eq!(client.exactly(bytes.len()).unwrap(), bytes);
    }
    assert_eq!(origin.last().header("upgrade"), Some("websocket"));
    assert_eq!(origin.count(), 1, "nothing in the tunnel is a request");
}

#[test]
fn bytes_that_come_with_the_101_are_not_lost() {
    let origin = Origin::start(|_, wire| {
        wire.send(format!("{SWITCHING}server speaks first"));
        wire.hold();
        wire.close();
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = open(&evenkeel);
    assert_eq!(client.exactly(19).unwrap(), b"server speaks first");
}

#[test]
fn the_end_of_either_side_reaches_the_other() {
    let origin = echo();
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = open(&evenkeel);
    client.send("last words");
    client.finish();
    assert_eq!(
        client.until_end().unwrap(),
        b"last words",
        "a half-closed tunnel still carries the other half"
    );

    let closing = Origin::start(|_, wire| {
        wire.send(SWITCHING);
        wire.send("bye");
        wire.close();
    });
    let evenkeel = Evenkeel::start(&pool(&[&closing], ""));
    assert_eq!(open(&evenkeel).until_end().unwrap(), b"bye");
}

#[test]
fn a_client_that_vanishes_frees_the_server() {
    let freed = Gate::default();
    let theirs = freed.clone();
    let origin = Origin::start(move |_, wire| {
        wire.send(SWITCHING);
        if wire.hold() {
            theirs.open();
        }
        wire.close();
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = open(&evenkeel);
    eventually("the tunnel is counted", || evenkeel.metric("evenkeel_tunnels", &[]) == 1.0);
    client.reset();
    drop(client);
    assert!(freed.opens());
    eventually("the tunnel is gone", || evenkeel.metric("evenkeel_tunnels", &[]) == 0.0);
}

#[test]
fn a_tunnel_in_which_nothing_moves_is_closed() {
    let origin = echo();
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\n[[route]]\npool = \"app\"\ntimeout = {{ idle = \"400ms\" }}\n{}",
        pool(&[&origin], "")
    ));
    let mut client = open(&evenkeel);
    let begun = Instant::now();
    client.patience(ms(200));
    // Each byte starts the time anew, so that the tunnel outlives its limit while it is used.
    for _ in 0..4 {
        client.send("ping");
        assert_eq!(client.exactly(4).unwrap(), b"ping");
        assert_eq!(client.some(), Err(Fault::Silent));
    }
    assert!(begun.elapsed() >= ms(800));
    client.patience(crate::support::DEADLINE);
    let quiet = Instant::now();
    assert!(client.some().unwrap_err().is_end());
    assert!(quiet.elapsed() < crate::support::DEADLINE);
}

#[test]
fn a_tunnel_outlives_the_timeouts_of_requests_and_a_reload() {
    let origin = echo();
    let toml = format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\n\
         timeout = {{ head = \"200ms\", body = \"200ms\", idle = \"200ms\", write = \"200ms\" }}\n\
         [[route]]\npool = \"app\"\ntimeout = {{ request = \"200ms\" }}\n{}",
        pool(&[&origin], "timeout = { response = \"200ms\", idle = \"200ms\" }")
    );
    let evenkeel = Evenkeel::start(&toml);
    let mut client = open(&evenkeel);
    client.patience(ms(700));
    assert_eq!(client.some(), Err(Fault::Silent), "silence is allowed in a tunnel");
    let other = Origin::named("other");
    assert_eq!(evenkeel.reload(&pool(&[&other], "")).status / 100, 2);
    client.patience(crate::support::DEADLINE);
    client.send("still here");
    assert_eq!(client.exactly(10).unwrap(), b"still here");
}

#[test]
fn the_life_of_a_tunnel_is_logged_but_is_no_response_time() {
    let origin = echo().called("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = open(&evenkeel);
    client.patience(ms(1000));
    assert_eq!(client.some(), Err(Fault::Silent));
    client.close();
    let record = evenkeel.record(|record| record["status"] == 101);
    assert!(record["duration_ms"].as_f64().unwrap() >= 1000.0, "{record}");
    let ours = "backend=\"a\"";
    let count = || evenkeel.metric("evenkeel_request_duration_seconds_count", &[ours]);
    eventually("the request is counted", || count() == 1.0);
    let quick = evenkeel.metric("evenkeel_request_duration_seconds_bucket", &[ours, "le=\"0.5\""]);
    assert_eq!(quick, 1.0, "the switch took no half second");
    assert!(evenkeel.metric("evenkeel_request_duration_seconds_sum", &[ours]) < 0.5);
}
