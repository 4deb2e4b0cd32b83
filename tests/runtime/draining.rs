//! `drain` waits until a server is empty; `disable` takes it out for maintenance; `enable` takes it back.

use std::thread;
use std::time::Instant;

use crate::support::{Client, Evenkeel, Fault, Gate, Origin, eventually, ok, pool};

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nhost: test\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                         sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

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
    .called("echo")
}

fn tunnel(evenkeel: &Evenkeel) -> Client {
    let mut client = evenkeel.client();
    assert_eq!(client.ask(UPGRADE).status, 101);
    client
}

#[test]
fn a_drain_ends_when_the_last_request_does() {
    let gate = Gate::default();
    let slow = Origin::held("slow", &gate);
    let evenkeel = Evenkeel::start(&pool(&[&slow], ""));
    let address = evenkeel.address();
    let asked = thread::spawn(move || Client::connect(address).get("/").text());
    eventually("the server is asked", || slow.count() == 1);
    let at_once = evenkeel.cli(&["drain", "app", "slow", "--no-wait"]);
    assert_eq!(at_once.code, Some(0));
    assert!(
        at_once.stdout.contains("draining") && at_once.stdout.contains("1 requests"),
        "{}",
        at_once.stdout
    );
    let too_late = evenkeel.cli(&["drain", "app", "slow", "--timeout", "1s"]);
    assert_eq!(too_late.code, Some(1));
    assert!(
        too_late.stderr.contains("1 requests in flight after 1 s; it goes on draining"),
        "{}",
        too_late.stderr
    );
    thread::scope(|scope| {
        let drain = scope.spawn(|| evenkeel.cli(&["drain", "app", "slow"]));
        gate.open();
        let outcome = drain.join().unwrap();
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        assert!(outcome.stdout.trim_end().ends_with("empty"), "{}", outcome.stdout);
    });
    assert_eq!(asked.join().unwrap(), "slow");
    assert_eq!(evenkeel.get("/").status, 503);
    assert_eq!(evenkeel.cli(&["enable", "app", "slow"]).code, Some(0));
    assert_eq!(evenkeel.get("/").text(), "slow");
}

#[test]
fn a_drain_leaves_tunnels_alone_and_disable_ends_them() {
    let origin = echo();
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = tunnel(&evenkeel);
    assert_eq!(evenkeel.cli(&["drain", "app", "echo", "--no-wait"]).code, Some(0));
    client.send("one");
    assert_eq!(client.exactly(3).unwrap(), b"one");
    let outcome = evenkeel.cli(&["disable", "app", "echo"]);
    assert!(outcome.stdout.contains("disabled by the operator"), "{}", outcome.stdout);
    assert!(matches!(client.some(), Err(Fault::Closed | Fault::Reset)), "the tunnel goes on");
    let record = evenkeel.record(|record| record["status"] == 101);
    assert_eq!(record["reason"], "the server has lost its role, or was disabled", "{record}");
    assert_eq!(evenkeel.get("/").status, 503);
    assert_eq!(evenkeel.cli(&["enable", "app", "echo"]).code, Some(0));
    let mut client = tunnel(&evenkeel);
    client.send("two");
    assert_eq!(client.exactly(3).unwrap(), b"two");
}

#[test]
fn a_request_in_flight_ends_on_a_server_that_is_disabled() {
    let gate = Gate::default();
    let slow = Origin::held("slow", &gate);
    let evenkeel = Evenkeel::start(&pool(&[&slow], ""));
    let address = evenkeel.address();
    let asked = thread::spawn(move || Client::connect(address).get("/").text());
    eventually("the server is asked", || slow.count() == 1);
    assert_eq!(evenkeel.cli(&["disable", "app", "slow"]).code, Some(0));
    gate.open();
    assert_eq!(asked.join().unwrap(), "slow");
}

#[test]
fn a_disabled_server_is_not_checked_and_must_pass_a_check_to_come_back() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(
        &[&origin],
        "health = { path = \"/health\", interval = \"100ms\", timeout = \"1s\" }",
    ));
    evenkeel.wait_for_state("a", "up");
    assert_eq!(evenkeel.cli(&["disable", "app", "a"]).code, Some(0));
    assert_eq!(evenkeel.server("app", "a")["state"], "disabled");
    // One may be under way.
    let (mut count, mut since) = (origin.count(), Instant::now());
    eventually("the checks stop", || {
        let now = origin.count();
        if now != count {
            (count, since) = (now, Instant::now());
        }
        since.elapsed().as_secs() >= 1
    });
    origin.stop();
    assert_eq!(evenkeel.cli(&["enable", "app", "a"]).code, Some(0));
    evenkeel.wait_for_state("a", "down");
    origin.resume();
    evenkeel.wait_for_state("a", "up");
    assert_eq!(evenkeel.get("/").text(), "a");
}
