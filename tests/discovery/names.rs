//! The addresses of a name are servers: they come and go with the answers of the DNS.

use crate::support::{Dns, Evenkeel, Gate, Neighbours, Origin, eventually, ok};

const NAME: &str = "api.test";

/// A pool that discovers servers by [`NAME`], with more keys.
fn config(dns: &Dns, at: &Neighbours, keys: &str) -> String {
    format!("{}[pool.app]\ndiscover = {{ dns = \"{NAME}:{}\" }}\n{keys}\n", dns.resolver(""), at.port())
}

fn names(evenkeel: &Evenkeel, count: usize) -> Vec<String> {
    let mut names: Vec<String> = (0..count).map(|_| evenkeel.get("/").text()).collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn each_address_of_either_family_is_a_server() {
    let (dns, at) = (Dns::start(), Neighbours::new());
    let (_a, _b) = (at.origin("a", 2), at.origin("b", 3));
    let ipv6 = ([0, 0, 0, 0, 0, 0, 0, 1], at.port()).into();
    let _c = Origin::named_at("c", ipv6);
    dns.addresses(NAME, &[Neighbours::ip(3), Neighbours::ip(2), ipv6.ip()]);
    let evenkeel = Evenkeel::start(&config(&dns, &at, ""));
    eventually("three servers are found", || {
        evenkeel.metric("evenkeel_discovery_servers", &["pool=\"app\""]) == 3.0
    });
    assert_eq!(names(&evenkeel, 6), ["a", "b", "c"]);
    for id in [at.id(2), at.id(3), ipv6.to_string()] {
        let server = evenkeel.server("app", &id);
        assert_eq!((&server["origin"], &server["address"]), (&"dns".into(), &id.clone().into()));
    }
    assert_eq!(evenkeel.stderr.count(|line| line.contains("server discovered")), 3);
}

#[test]
fn a_server_that_appears_is_probed_before_it_gets_requests() {
    let (dns, at) = (Dns::start(), Neighbours::new());
    let (_a, b) = (at.origin("a", 2), at.origin("b", 3));
    b.stop();
    dns.addresses(NAME, &[Neighbours::ip(2)]);
    let checked = "health = { path = \"/health\", interval = \"50ms\" }";
    let evenkeel = Evenkeel::start(&config(&dns, &at, checked));
    eventually("a is found", || evenkeel.get("/").text() == "a");
    dns.addresses(NAME, &[Neighbours::ip(2), Neighbours::ip(3)]);
    eventually("b is found, and down", || {
        let status = evenkeel.status();
        let servers = status["pools"][0]["servers"].as_array().unwrap();
        servers.iter().any(|server| server["id"] == at.id(3) && server["state"] == "down")
    });
    for _ in 0..10 {
        assert_eq!(evenkeel.get("/").text(), "a");
    }
    assert_eq!(b.count(), 0);
    b.resume();
    eventually("b gets requests", || evenkeel.get("/").text() == "b");
    assert_eq!(b.requests()[0].target(), "/health");
}

#[test]
fn a_server_that_vanishes_finishes_what_it_has() {
    let (dns, at, gate) = (Dns::start(), Neighbours::new(), Gate::default());
    let a = at.holding("a", 2, &gate);
    dns.addresses(NAME, &[Neighbours::ip(2)]);
    let evenkeel = Evenkeel::start(&config(&dns, &at, ""));
    eventually("a is found", || evenkeel.get("/").text() == "a");
    let mut slow = evenkeel.client();
    slow.send("GET /held HTTP/1.1\r\nhost: test\r\n\r\n");
    eventually("the request is at a", || a.requests().iter().any(|request| request.target() == "/held"));

    let _b = at.origin("b", 3);
    dns.addresses(NAME, &[Neighbours::ip(3)]);
    evenkeel
        .stderr
        .wait_for("a is gone", |line| line.contains("no longer discovered") && line.contains(&at.id(2)));
    for _ in 0..10 {
        assert_eq!(evenkeel.get("/").text(), "b");
    }
    gate.open();
    assert_eq!(slow.answer("GET").text(), "a");
}

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nhost: test\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                         sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

#[test]
fn websockets_go_on_whatever_comes_and_goes() {
    let (dns, at) = (Dns::start(), Neighbours::new());
    let echo = |request: &crate::support::message::Request, wire: &mut crate::support::Wire| {
        if request.target() != "/chat" {
            wire.send(ok("a"));
            return;
        }
        wire.send(SWITCHING);
        while let Ok(bytes) = wire.some() {
            wire.send(bytes);
        }
        wire.close();
    };
    let _a = Origin::start_at(at.at(2), echo);
    dns.addresses(NAME, &[Neighbours::ip(2)]);
    let evenkeel = Evenkeel::start(&config(&dns, &at, ""));
    eventually("a is found", || evenkeel.get("/").text() == "a");
    let mut socket = evenkeel.client();
    assert_eq!(socket.ask(UPGRADE).status, 101);
    let mut say = |text: &str| {
        socket.send(text);
        assert_eq!(socket.exactly(text.len()).unwrap(), text.as_bytes());
    };
    say("before");
    let _b = at.origin("b", 3);
    dns.addresses(NAME, &[Neighbours::ip(2), Neighbours::ip(3)]);
    eventually("b is found", || evenkeel.get("/").text() == "b");
    say("beside another server");
    dns.addresses(NAME, &[Neighbours::ip(3)]);
    evenkeel.stderr.wait_for("a is gone", |line| line.contains("no longer discovered"));
    say("after its own server is gone from the DNS");
}

#[test]
fn a_server_that_the_configuration_names_as_well_is_one() {
    let (dns, at) = (Dns::start(), Neighbours::new());
    let (_a, _b) = (at.origin("a", 2), at.origin("b", 3));
    dns.addresses(NAME, &[Neighbours::ip(2), Neighbours::ip(3)]);
    let named = format!("backends = [{{ address = \"{}\", name = \"big\", weight = 3 }}]", at.id(2));
    let evenkeel = Evenkeel::start(&config(&dns, &at, &named));
    eventually("b is found", || evenkeel.get("/").text() == "b");
    let status = evenkeel.status();
    let servers = status["pools"][0]["servers"].as_array().unwrap();
    let seen: Vec<_> = servers.iter().map(|it| (&it["id"], &it["origin"], &it["weight"])).collect();
    let (big, found) = ("big".into(), at.id(3).into());
    assert_eq!(seen, [(&big, &"configuration".into(), &3.into()), (&found, &"dns".into(), &1.into())]);
}
