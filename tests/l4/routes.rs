//! Routes of a tcp listener: by the client's address, by shares, and with a name together.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use super::server::{Server, connect, line};
use crate::support::{DEADLINE, Evenkeel, eventually};

/// A connection from 127.0.0.`host`.
fn connect_from(host: u8, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, host], 0)).into()).unwrap();
    socket.connect_timeout(&to.into(), DEADLINE).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

fn pools(servers: &[Server]) -> String {
    let pool = |it: &Server| {
        format!("[pool.{0}]\nbackends = [{{ address = \"{1}\", name = \"{0}\" }}]\n", it.name, it.address())
    };
    servers.iter().map(pool).collect()
}

#[test]
fn clients_are_told_apart_by_their_addresses() {
    let servers = ["office", "nearer", "rest"].map(Server::echo);
    let listener = "[listener.db]\nbind = \"127.0.0.1:0\"\nprotocol = \"tcp\"\n";
    let route = |pool: &str, client: &str| {
        format!("[[route]]\nname = \"{pool}\"\nlistener = \"db\"\nclient = {client}\npool = \"{pool}\"\n")
    };
    // Of routes that are equal otherwise, the first one in the file counts.
    let routes =
        route("nearer", "[\"127.0.0.4/32\"]") + &route("office", "[\"127.0.0.4/30\", \"127.0.0.9\"]");
    let closed = Evenkeel::start(&format!("{listener}{routes}{}", pools(&servers)));
    let open = Evenkeel::start(&format!("{listener}pool = \"rest\"\n{routes}{}", pools(&servers)));
    for (host, expected) in [(4, "nearer"), (5, "office"), (7, "office"), (9, "office"), (8, "rest")] {
        assert_eq!(line(&connect_from(host, open.listener("db"))), expected, "127.0.0.{host}");
        let record = open.record(|record| record["client"] == format!("127.0.0.{host}"));
        assert_eq!(record["pool"], expected);
        if expected != "rest" {
            assert_eq!(line(&connect_from(host, closed.listener("db"))), expected, "127.0.0.{host}");
        }
    }
    assert_eq!(line(&connect_from(8, closed.listener("db"))), "", "no route takes it");
    closed.record(|record| {
        record["client"] == "127.0.0.8" && record["reason"] == "no route for this connection"
    });
}

#[test]
fn a_split_shares_connections_by_weight() {
    let servers = ["blue", "green"].map(Server::echo);
    let evenkeel = Evenkeel::start(&format!(
        "[listener.db]\nbind = \"127.0.0.1:0\"\nprotocol = \"tcp\"\n[[route]]\nlistener = \"db\"\n\
         split = [{{ pool = \"blue\", weight = 3 }}, {{ pool = \"green\", weight = 1 }}]\n{}",
        pools(&servers)
    ));
    for _ in 0..200 {
        assert_ne!(line(&connect(&evenkeel)), "");
    }
    // Each is drawn, so the shares are about these.
    let [blue, green] = servers.each_ref().map(Server::count);
    assert_eq!(blue + green, 200);
    assert!((115..=180).contains(&blue), "blue {blue}, green {green}");
}

#[test]
fn an_open_circuit_breaker_refuses_connections_at_once() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let evenkeel = Evenkeel::start(&format!(
        "[listener.db]\nbind = \"127.0.0.1:0\"\nprotocol = \"tcp\"\npool = \"app\"\n[pool.app]\nbackends = [\"{gone}\"]\n\
         breaker = {{ failures = \"50%\", requests_min = 4, window = \"1h\", open_for = \"1h\" }}\n"
    ));
    let refused = || {
        if let Ok(mut stream) = TcpStream::connect(evenkeel.listener("db")) {
            let _ = stream.read(&mut [0]);
        }
    };
    eventually("the circuit breaker is open", || {
        refused();
        evenkeel.status()["pools"][0]["breaker"]["state"] == "open"
    });
    evenkeel.stderr.wait_for("the reason", |line| line.contains("4 of 4 connections failed within 3600s"));
    let tried = || evenkeel.metric("evenkeel_backend_connect_failures_total", &[]);
    let before = tried();
    refused();
    evenkeel.record(|record| {
        record["reason"].as_str().is_some_and(|reason| reason.contains("circuit breaker is open"))
    });
    assert_eq!(tried(), before, "the server was tried");
}
