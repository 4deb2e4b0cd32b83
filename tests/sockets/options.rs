//! Options of sockets: where connections to servers come from, keepalive, the backlog, and both families on one port.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::{Evenkeel, Folder, Origin, cli, eventually, pool};

/// A server that answers 200 and closes; it records where its clients come from.
fn recording() -> (SocketAddr, Arc<Mutex<Vec<IpAddr>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, seen) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<_>>>::default());
    let record = seen.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            record.lock().unwrap().push(stream.peer_addr().unwrap().ip());
            let mut bytes = [0; 4096];
            let _ = stream.read(&mut bytes);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    (address, seen)
}

/// Whether the kernel's timer of an open connection between these ports is that of keepalive.
pub fn is_kept_alive(local: Option<u16>, remote: Option<u16>) -> bool {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let port = |address: &str| u16::from_str_radix(address.rsplit(':').next().unwrap(), 16).unwrap();
    let timers: Vec<_> = table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|line| line[3] == "01")
        .filter(|line| local.is_none_or(|local| port(line[1]) == local))
        .filter(|line| remote.is_none_or(|remote| port(line[2]) == remote))
        .map(|line| line[5].starts_with("02:"))
        .collect();
    timers == [true]
}

#[test]
fn connections_to_servers_come_from_the_addresses_in_turn() {
    let (address, seen) = recording();
    let evenkeel = Evenkeel::start(&format!(
        "[pool.app]\nbackends = [\"{address}\"]\nbind_from = [\"127.0.0.2\", \"127.0.0.3\", \"::1\"]\n"
    ));
    (0..4).for_each(|_| assert_eq!(evenkeel.get("/").status, 200));
    let expected =
        ["127.0.0.2", "127.0.0.3", "127.0.0.2", "127.0.0.3"].map(|ip| ip.parse::<IpAddr>().unwrap());
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn checks_come_from_there_too() {
    let (address, seen) = recording();
    let _evenkeel = Evenkeel::start(&format!(
        "[pool.app]\nbackends = [\"{address}\"]\nbind_from = \"127.0.0.2\"\nhealth = {{ path = \"/\", interval = \"50ms\" }}\n"
    ));
    eventually("two checks have come", || seen.lock().unwrap().len() >= 2);
    assert!(seen.lock().unwrap().iter().all(|ip| ip.to_string() == "127.0.0.2"));
}

#[test]
fn an_address_that_the_machine_lacks_is_no_fault_of_the_server() {
    let origin = Origin::named("a");
    let keys = "bind_from = \"192.0.2.1\"\noutlier = { failures = 1 }";
    let evenkeel = Evenkeel::start(&pool(&[&origin], keys));
    assert!(matches!(evenkeel.get("/").status, 502 | 503));
    assert_eq!(evenkeel.server("app", "a")["state"], "up");
    assert_eq!(origin.connections(), 0);
}

#[test]
fn addresses_of_another_family_than_the_servers_are_refused_by_check() {
    let folder = Folder::new();
    let file = folder.write(
        "evenkeel.toml",
        "[listener.web]\nbind = 80\npool = \"app\"\n[pool.app]\nbackends = [\"[::1]:1\"]\nbind_from = \"127.0.0.2\"\n",
    );
    let outcome = cli(&["check", "-c", &file]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("no address of `bind_from` is IPv6"), "{}", outcome.stderr);
}

#[test]
fn the_kernel_asks_whether_silent_peers_are_there() {
    let origin = Origin::named("a");
    let listener = |keys: &str| format!("[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\n{keys}\n");
    for (listener, client_is_asked) in [(listener(""), true), (listener("tcp_keepalive = \"off\""), false)] {
        for (keys, server_is_asked) in [("tcp_keepalive = \"60s\"", true), ("", false)] {
            let evenkeel = Evenkeel::start(&format!("{listener}{}", pool(&[&origin], keys)));
            let mut client = evenkeel.client();
            assert_eq!(client.get("/").status, 200);
            let ports = (evenkeel.address().port(), client.stream().local_addr().unwrap().port());
            eventually("the connections rest", || {
                is_kept_alive(Some(ports.0), Some(ports.1)) == client_is_asked
                    && is_kept_alive(None, Some(origin.address().port())) == server_is_asked
            });
            drop((client, evenkeel));
            origin.cut();
            origin.stop();
            origin.resume();
        }
    }
}

#[test]
fn a_backlog_beyond_the_kernels_limit_is_said() {
    let limit: u32 = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap().trim().parse().unwrap();
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\nbacklog = 65535\nfast_open = 16\n{}",
        pool(&[&origin], "")
    ));
    let said = evenkeel.stderr.count(|line| line.contains("net.core.somaxconn"));
    assert_eq!(said, usize::from(limit < 65_535));
    assert_eq!(evenkeel.get("/").status, 200);
}

#[test]
fn a_bare_port_takes_both_families() {
    let origin = Origin::named("a");
    let evenkeel =
        Evenkeel::start(&format!("[listener.web]\nbind = 0\npool = \"app\"\n{}", pool(&[&origin], "")));
    let port = evenkeel.address().port();
    for (address, client) in [("127.0.0.1", "127.0.0.1"), ("::1", "::1")] {
        let mut stream = TcpStream::connect((address, port)).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        assert_eq!(origin.last().header("x-forwarded-for"), Some(client));
    }
}
