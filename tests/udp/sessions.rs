//! Datagrams pass whole both ways, in sessions that end when nothing moves.

use std::time::Instant;

use super::server::{Client, Server, config, open};
use crate::support::{Evenkeel, eventually, ms};

#[test]
fn datagrams_reach_a_server_and_answers_come_back_in_one_session() {
    let server = Server::echo("a");
    let evenkeel = Evenkeel::start(&config("timeout = { idle = \"700ms\" }", &[&server], ""));
    let client = Client::new(&evenkeel);
    for text in ["one", "two", "three"] {
        assert_eq!(client.ask(text), text.as_bytes());
    }
    assert_eq!(server.sessions(), 1);
    assert_eq!((open(&evenkeel), evenkeel.metric("evenkeel_connections", &[])), (1.0, 1.0));
    let status = evenkeel.status();
    let listener = &status["listeners"][0];
    assert_eq!(listener["datagrams"], serde_json::json!({ "received": 3, "sent": 3, "dropped": 0 }));
    let streams = serde_json::json!({ "open": 1, "ended": 0, "received_bytes": 11, "sent_bytes": 11 });
    assert_eq!(listener["streams"], streams);
    assert_eq!(evenkeel.server("app", "a")["streams"], streams);
    let record = evenkeel.record(|record| record["listener"] == "dns");
    for (key, value) in [
        ("client", "127.0.0.1"),
        ("protocol", "udp"),
        ("route", "listener:dns"),
        ("pool", "app"),
        ("backend", "a"),
        ("ended", "idle_timeout"),
        ("reason", "nothing moved for 700ms"),
    ] {
        assert_eq!(record[key], value, "{key} in {record}");
    }
    assert_eq!(record["client_port"], client.0.local_addr().unwrap().port());
    assert_eq!(
        (&record["bytes_in"], &record["bytes_out"], &record["tries"]),
        (&11.into(), &11.into(), &1.into())
    );
    assert_eq!(evenkeel.metric("evenkeel_connections_begun_total", &["protocol=\"udp\""]), 1.0);
    eventually("nothing is open", || {
        open(&evenkeel) == 0.0 && evenkeel.metric("evenkeel_connections", &[]) == 0.0
    });
}

#[test]
fn a_session_lasts_as_long_as_something_moves_and_then_another_server_is_chosen() {
    let (a, b) = (Server::named("a"), Server::named("b"));
    let evenkeel = Evenkeel::start(&config("timeout = { idle = \"1s\" }", &[&a, &b], ""));
    let client = Client::new(&evenkeel);
    let first = client.name();
    let begun = Instant::now();
    while begun.elapsed() < ms(2_000) {
        assert_eq!(client.name(), first);
    }
    let record = evenkeel.record(|record| record["ended"] == "idle_timeout");
    // A worker's clock may be as old as its last look at it.
    assert!(record["duration_ms"].as_f64().unwrap() >= 2_990.0, "{record}");
    assert_ne!(client.name(), first, "round robin");
}

#[test]
fn clients_are_spread_as_the_pool_says_and_stay_apart() {
    let servers = ["a", "b", "c"].map(Server::named);
    let all: Vec<&Server> = servers.iter().collect();
    let evenkeel = Evenkeel::start(&config("", &all, ""));
    let clients: Vec<Client> = (0..30).map(|_| Client::new(&evenkeel)).collect();
    let first: Vec<String> = clients.iter().map(Client::name).collect();
    for server in &servers {
        assert_eq!(first.iter().filter(|name| **name == server.name).count(), 10, "{first:?}");
        assert_eq!(server.sessions(), 10);
    }
    // Whoever comes when: each keeps its server.
    let again: Vec<String> = clients.iter().map(Client::name).collect();
    assert_eq!(first, again);
}

#[test]
fn datagrams_of_any_size_pass_whole_both_ways() {
    let server = Server::echo("a");
    let evenkeel = Evenkeel::start(&config("", &[&server], ""));
    let client = Client::new(&evenkeel);
    for length in [0, 1, 512, 1_472, 1_473, 9_000, 65_506, 65_507, 0] {
        let sent: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        assert!(client.ask(&sent) == sent, "{length} bytes");
    }
    // A PROXY header, of which there is none here, would make it too long: see `headers`.
    assert_eq!(server.sessions(), 1);
}

#[test]
fn a_server_is_found_by_its_name() {
    // The name may stand for an address of either family.
    let server = Server::on("a", "[::]:0");
    let evenkeel = Evenkeel::start(&format!(
        "[listener.dns]\nbind = \"127.0.0.1:0\"\nprotocol = \"udp\"\npool = \"app\"\n\
         [pool.app]\nbackends = [\"localhost:{}\"]\n",
        server.address().port()
    ));
    let client = Client::new(&evenkeel);
    // What comes while the name is looked up is kept.
    ["one", "two"].iter().for_each(|text| client.send(text));
    assert_eq!((client.receive(), client.receive()), (b"one".to_vec(), b"two".to_vec()));
    assert_eq!(client.ask("three"), b"three");
    assert_eq!(server.sessions(), 1);
}

#[test]
fn a_burst_of_different_sizes_arrives_whole_and_in_order() {
    let server = Server::echo("a");
    let evenkeel = Evenkeel::start(&config("max_answers = \"off\"", &[&server], ""));
    let client = Client::new(&evenkeel);
    let _ = socket2::SockRef::from(&client.0).set_recv_buffer_size(8 << 20);
    let sizes = [1200, 1200, 1200, 40, 1200, 0, 0, 7, 7, 7, 7, 3, 1200, 1200, 1, 64];
    for round in 0..50_u8 {
        let burst: Vec<Vec<u8>> =
            sizes.iter().enumerate().map(|(at, size)| vec![round ^ at as u8; *size]).collect();
        burst.iter().for_each(|datagram| client.send(datagram));
        let back: Vec<Vec<u8>> = burst.iter().map(|_| client.receive()).collect();
        assert!(back == burst, "round {round}");
    }
    assert_eq!(server.sessions(), 1);
}

#[test]
fn a_server_may_send_on_its_own_once_the_client_has_spoken() {
    let server = Server::start("a", |socket, _, peer| {
        (0..5_u8).for_each(|number| drop(socket.send_to(&[number], peer)));
    });
    let evenkeel = Evenkeel::start(&config("", &[&server], ""));
    let client = Client::new(&evenkeel);
    client.send("begin");
    assert_eq!((0..5).map(|_| client.receive()[0]).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

#[test]
fn the_kernel_keeps_a_client_at_one_of_several_workers() {
    let servers = ["a", "b"].map(Server::named);
    let toml = config("", &[&servers[0], &servers[1]], "algorithm = \"random\"");
    let evenkeel = Evenkeel::start(&format!("[server]\nworkers = 4\n{toml}"));
    let clients: Vec<Client> = (0..60).map(|_| Client::new(&evenkeel)).collect();
    let first: Vec<String> = clients.iter().map(Client::name).collect();
    for _ in 0..3 {
        assert_eq!(clients.iter().map(Client::name).collect::<Vec<_>>(), first);
    }
    assert_eq!(servers[0].sessions() + servers[1].sessions(), clients.len());
    assert_eq!(open(&evenkeel), 60.0);
}
