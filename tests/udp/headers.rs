//! PROXY headers of version 2 at the start of each datagram, to servers and from peers.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use super::server::{Client, Server, config, dropped};
use crate::support::{DEADLINE, Evenkeel, eventually};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The header of a datagram over IPv4.
fn header(source: &str, destination: SocketAddr) -> Vec<u8> {
    let (source, SocketAddr::V4(to)) = (source.parse::<std::net::SocketAddrV4>().unwrap(), destination)
    else {
        panic!("of IPv4")
    };
    let mut bytes = [SIGNATURE, &[0x21, 0x12, 0, 12]].concat();
    bytes.extend([source.ip().octets(), to.ip().octets()].concat());
    bytes.extend([source.port().to_be_bytes(), to.port().to_be_bytes()].concat());
    bytes
}

#[test]
fn each_datagram_to_a_server_begins_with_a_header_and_answers_do_not() {
    let (told, heard) = channel();
    let told = Mutex::new(told);
    let server = Server::start("a", move |socket, bytes, peer| {
        told.lock().unwrap().send(bytes.to_vec()).unwrap();
        socket.send_to(b"answer", peer).unwrap();
    });
    let evenkeel = Evenkeel::start(&config("", &[&server], "proxy_protocol = \"v2\""));
    let client = Client::new(&evenkeel);
    let expected = header(&client.0.local_addr().unwrap().to_string(), evenkeel.listener("dns"));
    for text in ["one", "", "three"] {
        assert_eq!(client.ask(text), b"answer");
        assert_eq!(heard.recv_timeout(DEADLINE).unwrap(), [&expected[..], text.as_bytes()].concat());
    }
    // In a row, they go as one to the kernel, and come apart.
    (0..20).for_each(|_| client.send("equal"));
    for _ in 0..20 {
        assert_eq!(heard.recv_timeout(DEADLINE).unwrap(), [&expected[..], b"equal"].concat());
    }
    // With its header it would be longer than a datagram can be.
    client.send(vec![0; 65_507]);
    eventually("it is dropped", || dropped(&evenkeel, "too_large") == 1.0);
    (0..20).for_each(|_| drop(client.receive()));
    assert_eq!(client.ask("still here"), b"answer");
}

#[test]
fn peers_name_their_clients_in_each_datagram() {
    let server = Server::echo("a");
    let evenkeel = Evenkeel::start(&config(
        "accept_proxy_protocol = \"127.0.0.0/8\"\ntimeout = { idle = \"500ms\" }",
        &[&server],
        "",
    ));
    let peer = Client::new(&evenkeel);
    let to = "198.51.100.2:53".parse().unwrap();
    for (client, text) in [("192.0.2.1:7", "one"), ("192.0.2.2:7", "two"), ("192.0.2.1:7", "three")] {
        assert_eq!(peer.ask([&header(client, to)[..], text.as_bytes()].concat()), text.as_bytes());
    }
    assert_eq!(server.sessions(), 2);
    for (bytes, name) in [(&b"no header"[..], "missing"), (&header("192.0.2.1:7", to)[..20], "malformed")] {
        peer.send(bytes);
        let result = format!("result=\"{name}\"");
        eventually(name, || evenkeel.metric("evenkeel_proxy_headers_total", &[&result]) == 1.0);
    }
    assert_eq!((dropped(&evenkeel, "proxy_header"), server.count()), (2.0, 3));
    let record = evenkeel.record(|record| record["client"] == "192.0.2.1");
    assert_eq!((&record["client_port"], &record["bytes_in"]), (&7.into(), &8.into()));
    evenkeel.record(|record| record["client"] == "192.0.2.2");
}

#[test]
fn clients_in_headers_are_what_routes_go_by() {
    let (inside, outside) = (Server::named("inside"), Server::named("outside"));
    let toml = config("accept_proxy_protocol = \"127.0.0.1\"", &[&outside], "");
    let toml = format!(
        "{toml}[[route]]\nlistener = \"dns\"\nclient = \"10.0.0.0/8\"\npool = \"inside\"\n\
         [pool.inside]\nbackends = [\"{}\"]\n",
        inside.address()
    );
    let evenkeel = Evenkeel::start(&toml);
    let peer = Client::new(&evenkeel);
    for (client, name) in [("10.1.2.3:9", "inside"), ("192.0.2.1:9", "outside")] {
        assert_eq!(peer.ask(header(client, evenkeel.listener("dns"))), name.as_bytes());
    }
}

#[test]
fn one_balancer_behind_another_sees_the_client() {
    let server = Server::echo("a");
    let behind = Evenkeel::start(&config(
        "accept_proxy_protocol = \"127.0.0.1\"\ntimeout = { idle = \"300ms\" }",
        &[&server],
        "",
    ));
    let front = Evenkeel::start(&format!(
        "[listener.dns]\nbind = \"127.0.0.1:0\"\nprotocol = \"udp\"\npool = \"app\"\n\
         [pool.app]\nproxy_protocol = \"v2\"\nbackends = [\"{}\"]\n",
        behind.listener("dns")
    ));
    let client = Client::from(&front, "127.0.0.7");
    for text in ["one", "two"] {
        assert_eq!(client.ask(text), text.as_bytes());
    }
    let record = behind.record(|record| record["protocol"] == "udp");
    assert_eq!(record["client"], "127.0.0.7");
    assert_eq!(record["client_port"], client.0.local_addr().unwrap().port());
}
