//! Answers leave from the address that the client has sent to, on all addresses and in both families.

use super::server::{Client, Server, config, fixed_port};
use crate::support::Evenkeel;

/// A client takes answers from the address alone that it has sent to.
fn answers_come_from(bind: &str, port: u16, addresses: &[(&str, &str)]) {
    let server = Server::echo("a");
    let evenkeel = Evenkeel::start(&config(&format!("bind = \"{bind}:{port}\""), &[&server], ""));
    for (to, from) in addresses {
        let client = Client::to(format!("{to}:{port}").parse().unwrap(), from);
        for text in ["one", "two"] {
            assert_eq!(client.ask(text), text.as_bytes(), "{to}");
        }
    }
    assert_eq!(server.sessions(), addresses.len());
    let record = |ip: &str| evenkeel.stdout.lines().iter().any(|line| line.contains(ip));
    assert!(!record("ffff"), "addresses of IPv4 are written as such");
}

#[test]
fn on_all_addresses_of_ipv4() {
    answers_come_from(
        "0.0.0.0",
        fixed_port(),
        &[("127.0.0.1", "127.0.0.1"), ("127.0.0.2", "127.0.0.1"), ("127.1.2.3", "127.0.0.9")],
    );
}

#[test]
fn on_all_addresses_of_both_families() {
    let port = fixed_port();
    answers_come_from(
        "[::]",
        port,
        &[("[::1]", "::1"), ("127.0.0.2", "127.0.0.1"), ("127.0.0.1", "127.0.0.1")],
    );
}

#[test]
fn on_one_address_of_ipv6() {
    answers_come_from("[::1]", fixed_port(), &[("[::1]", "::1")]);
}

#[test]
fn one_socket_of_a_client_has_a_session_for_each_address_of_ours() {
    let server = Server::echo("a");
    let port = fixed_port();
    let evenkeel = Evenkeel::start(&config(&format!("bind = \"0.0.0.0:{port}\""), &[&server], ""));
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(crate::support::DEADLINE)).unwrap();
    for to in ["127.0.0.1", "127.0.0.2"] {
        socket.send_to(to.as_bytes(), (to, port)).unwrap();
        let mut buf = [0; 100];
        let (length, from) = socket.recv_from(&mut buf).unwrap();
        assert_eq!((&buf[..length], from.ip().to_string()), (to.as_bytes(), to.to_owned()));
    }
    assert_eq!(server.sessions(), 2);
    drop(evenkeel);
}

#[test]
fn sessions_come_from_the_addresses_of_the_pool_in_turn() {
    let server = Server::start("a", |socket, _, peer| {
        socket.send_to(peer.ip().to_string().as_bytes(), peer).unwrap();
    });
    let pool = "bind_from = [\"127.0.0.5\", \"127.0.0.6\"]";
    let evenkeel = Evenkeel::start(&config("", &[&server], pool));
    let from: Vec<String> = (0..4).map(|_| Client::new(&evenkeel).name()).collect();
    assert_eq!(from, ["127.0.0.5", "127.0.0.6", "127.0.0.5", "127.0.0.6"]);
}

#[test]
fn tcp_and_udp_share_a_port() {
    let (server, origin) = (Server::echo("a"), crate::support::Origin::named("o"));
    let port = fixed_port();
    let toml = config(&format!("bind = \"127.0.0.1:{port}\""), &[&server], "");
    let toml = format!(
        "{toml}[listener.web]\nbind = \"127.0.0.1:{port}\"\npool = \"web\"\n[pool.web]\nbackends = [\"{}\"]\n",
        origin.address()
    );
    let evenkeel = Evenkeel::start(&toml);
    assert_eq!(Client::new(&evenkeel).ask("x"), b"x");
    assert_eq!(evenkeel.get("/").status, 200);
    // One goes, and the other stays.
    let without = toml.replace("protocol = \"udp\"", "protocol = \"tcp\"").replace(
        &format!("[listener.dns]\nprotocol = \"tcp\"\npool = \"app\"\nbind = \"127.0.0.1:{port}\""),
        "",
    );
    let response = evenkeel.reload(&without);
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(evenkeel.get("/").status, 200);
}

#[test]
fn an_address_that_another_process_has_is_refused() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let folder = crate::support::Folder::new();
    let text = format!(
        "[admin]\nbind = \"off\"\n[listener.dns]\nbind = \"{}\"\nprotocol = \"udp\"\npool = \"a\"\n[pool.a]\nbackends = [1]\n",
        taken.local_addr().unwrap()
    );
    let outcome = crate::support::cli(&["run", "-c", &folder.write("evenkeel.toml", &text)]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("another process already does"), "{}", outcome.stderr);
}
