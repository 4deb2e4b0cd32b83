//! Servers of a tcp listener come and go by discovery: open connections stay where they are, new ones go where they should.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::l4::server::{Server, connect, end, exchange, line, rest};
use crate::support::dns::Mood;
use crate::support::{Dns, Evenkeel, Folder, Neighbours, eventually};

const NAME: &str = "db.test";
const LISTENER: &str = "[listener.db]\nbind = \"127.0.0.1:0\"\nprotocol = \"tcp\"\npool = \"app\"\n";
const HEALTH: &str = "health = { kind = \"tcp\", interval = \"50ms\", fall = 1 }\n";

fn server(at: SocketAddr, name: &str) -> Server {
    Server::echo_on(TcpListener::bind(at).unwrap(), name)
}

/// A connection, and the name of the server that it reaches.
fn reach(evenkeel: &Evenkeel) -> (TcpStream, String) {
    let client = connect(evenkeel);
    let name = line(&client);
    (client, name)
}

/// Waits for the first server. Until it is there, connections are refused.
fn wait_for_one(evenkeel: &Evenkeel) {
    eventually("a server is up", || evenkeel.status()["pools"][0]["servers"][0]["state"] == "up");
}

/// The connection is with the server that it was with, which still answers.
fn goes_on(client: &TcpStream) {
    assert_eq!(exchange(client, b"still here"), b"still here");
}

/// Servers `a` and `b` of which `found` first names `a`, then both, then `b` alone, under connections that are open.
fn come_and_go(
    (evenkeel, a, b): (&Evenkeel, &Server, &Server),
    found: impl Fn(&[&Server]),
    id: impl Fn(&Server) -> String,
) {
    wait_for_one(evenkeel);
    let (on_a, name) = reach(evenkeel);
    assert_eq!(name, "a");
    goes_on(&on_a);

    found(&[a, b]);
    let mut on_b = None;
    eventually("b is found", || {
        let (client, name) = reach(evenkeel);
        on_b = Some(client);
        name == "b"
    });
    let on_b = on_b.unwrap();
    goes_on(&on_a);

    found(&[b]);
    evenkeel.stderr.wait_for("a is gone", |line| {
        line.contains("no longer discovered") && line.contains(&format!("server={}", id(a)))
    });
    for _ in 0..6 {
        assert_eq!(reach(evenkeel).1, "b");
    }
    goes_on(&on_a);
    goes_on(&on_b);

    // It ends when its client ends it, and not before.
    end(&on_a);
    assert_eq!(rest(&on_a), b"");
    evenkeel.record(|record| {
        record["backend"] == id(a) && record["bytes_in"] == 30 && record["ended"] == "client_closed"
    });
    eventually("a has no connection left", || a.open() == 0);
    goes_on(&on_b);
}

#[test]
fn a_change_of_the_dns_touches_no_open_connection() {
    let (dns, at) = (Dns::start(), Neighbours::new());
    let (a, b) = (server(at.at(2), "a"), server(at.at(3), "b"));
    let found = |servers: &[&Server]| {
        let ips: Vec<_> = servers.iter().map(|server| server.address().ip()).collect();
        dns.addresses(NAME, &ips);
    };
    found(&[&a]);
    let pool = format!("[pool.app]\ndiscover = {{ dns = \"{NAME}:{}\" }}\n{HEALTH}", at.port());
    let evenkeel = Evenkeel::start(&format!("{}{LISTENER}{pool}", dns.resolver("")));
    come_and_go((&evenkeel, &a, &b), found, |server| server.address().to_string());
}

#[test]
fn a_change_of_the_file_touches_no_open_connection() {
    let folder = Folder::new();
    let (a, b) = (Server::echo("a"), Server::echo("b"));
    let path = folder.path("servers.toml");
    let found = |servers: &[&Server]| {
        let entry = |it: &&Server| format!("{{ address = \"{}\", name = \"{}\" }}, ", it.address(), it.name);
        let entries: String = servers.iter().map(entry).collect();
        fs::write(format!("{path}.new"), format!("backends = [{entries}]\n")).unwrap();
        fs::rename(format!("{path}.new"), &path).unwrap();
    };
    found(&[&a]);
    let pool = format!("[pool.app]\ndiscover = {{ file = \"servers.toml\" }}\n{HEALTH}");
    let evenkeel = Evenkeel::start_in(folder, &format!("{LISTENER}{pool}"));
    come_and_go((&evenkeel, &a, &b), found, |server| server.name.clone());
}

#[test]
fn a_server_that_appears_is_probed_before_it_gets_connections() {
    let (dns, at) = (Dns::start(), Neighbours::new());
    let _a = server(at.at(2), "a");
    dns.addresses(NAME, &[Neighbours::ip(2)]);
    let pool = format!("[pool.app]\ndiscover = {{ dns = \"{NAME}:{}\" }}\n{HEALTH}", at.port());
    let evenkeel = Evenkeel::start(&format!("{}{LISTENER}{pool}", dns.resolver("")));
    wait_for_one(&evenkeel);
    // No process listens at the second address.
    dns.addresses(NAME, &[Neighbours::ip(2), Neighbours::ip(3)]);
    eventually("b is found, and down", || {
        let status = evenkeel.status();
        let servers = status["pools"][0]["servers"].as_array().unwrap();
        servers.iter().any(|server| server["id"] == at.id(3) && server["state"] == "down")
    });
    for _ in 0..10 {
        assert_eq!(reach(&evenkeel).1, "a");
    }
    let of_b = format!("backend=\"{}\"", at.id(3));
    assert_eq!(evenkeel.metric("evenkeel_backend_connect_failures_total", &[&of_b]), 0.0, "b was tried");
    let _b = server(at.at(3), "b");
    eventually("b gets connections", || reach(&evenkeel).1 == "b");
}

#[test]
fn connections_go_on_while_the_name_server_is_silent() {
    let (dns, at) = (Dns::start(), Neighbours::new());
    let _a = server(at.at(2), "a");
    dns.addresses(NAME, &[Neighbours::ip(2)]);
    let pool = format!("[pool.app]\ndiscover = {{ dns = \"{NAME}:{}\" }}\n{HEALTH}", at.port());
    let evenkeel = Evenkeel::start(&format!("{}{LISTENER}{pool}", dns.resolver("")));
    wait_for_one(&evenkeel);
    let (open, _) = reach(&evenkeel);
    dns.is(Mood::Silent);
    eventually("it has failed for some time", || {
        evenkeel.metric("evenkeel_discovery_failures_total", &["pool=\"app\""]) >= 3.0
    });
    goes_on(&open);
    assert_eq!(reach(&evenkeel).1, "a");
}
