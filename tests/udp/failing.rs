//! Servers that die, are taken out, drained or removed, and come back.

use std::net::TcpListener;

use super::server::{Client, Server, config, dropped, open};
use crate::support::{Evenkeel, eventually};

#[test]
fn a_server_that_refuses_loses_its_sessions_and_their_next_datagrams_choose_again() {
    let (mut a, b) = (Server::named("a"), Server::named("b"));
    let evenkeel = Evenkeel::start(&config("", &[&a, &b], ""));
    let clients = [(); 2].map(|()| Client::new(&evenkeel));
    assert_eq!((clients[0].name(), clients[1].name()), ("a".into(), "b".into()));
    a.stop();
    // Refused by ICMP; nothing is sent twice.
    clients[0].send("lost");
    let record = evenkeel.record(|record| record["backend"] == "a");
    assert_eq!((&record["ended"], &record["reason"]), (&"server_reset".into(), &"connection refused".into()));
    assert_eq!(
        evenkeel.metric("evenkeel_backend_failures_total", &["backend=\"a\"", "kind=\"refused\""]),
        1.0
    );
    eventually("another one is chosen", || {
        // The dead one may come first by round robin, and refuse once more.
        clients[0].send("name");
        evenkeel.metric("evenkeel_datagrams_sent_total", &[]) > 2.0
    });
    assert_eq!((clients[0].receive(), clients[1].name()), (b"b".to_vec(), "b".to_owned()));
}

#[test]
fn refusals_count_for_passive_checks_which_take_the_server_out() {
    let (mut a, b) = (Server::named("a"), Server::named("b"));
    let outlier = "outlier = { failures = 3, window = \"30s\", eject = \"60s\" }\npanic = \"0%\"";
    let evenkeel = Evenkeel::start(&config("", &[&a, &b], outlier));
    a.stop();
    eventually("it is ejected", || {
        Client::new(&evenkeel).send("x");
        evenkeel.server("app", "a")["state"] == "ejected"
    });
    let reason = evenkeel.server("app", "a")["reason"].to_string();
    assert!(reason.contains("3 sessions failed within 30s"), "{reason}");
    let failed = evenkeel.record(|record| record["backend"] == "a");
    assert_eq!(failed["ended"], "connect_failed");
    let refused = evenkeel.metric("evenkeel_backend_failures_total", &["backend=\"a\""]);
    (0..10).for_each(|_| assert_eq!(Client::new(&evenkeel).name(), "b"));
    assert_eq!(evenkeel.metric("evenkeel_backend_failures_total", &["backend=\"a\""]), refused);
}

#[test]
fn a_check_takes_a_server_out_and_sessions_move_at_their_next_datagram() {
    let (a, b) = (Server::named("a"), Server::named("b"));
    // They accept connections at the same port, as servers of DNS do.
    let accepting = [&a, &b].map(|server| TcpListener::bind(server.address()));
    let [Ok(of_a), Ok(_of_b)] = accepting else { return eprintln!("a port of TCP is taken") };
    let health = "health = { kind = \"tcp\", interval = \"50ms\", fall = 1 }";
    let evenkeel = Evenkeel::start(&config("", &[&a, &b], health));
    evenkeel.wait_for_state("a", "up");
    let clients = [(); 2].map(|()| Client::new(&evenkeel));
    let on_a = clients.iter().find(|client| client.name() == "a").expect("round robin");
    assert_eq!(on_a.name(), "a");
    drop(of_a);
    evenkeel.wait_for_state("a", "down");
    assert_eq!(on_a.name(), "b");
    let record = evenkeel.record(|record| record["backend"] == "a");
    assert_eq!(record["ended"], "server_down");
}

#[test]
fn without_a_check_a_server_of_udp_alone_is_taken_for_up() {
    let server = Server::named("a");
    let evenkeel = Evenkeel::start(&config("", &[&server], ""));
    assert_eq!(evenkeel.server("app", "a")["state"], "up");
    assert_eq!(Client::new(&evenkeel).name(), "a");
}

#[test]
fn a_server_that_is_drained_keeps_its_sessions_and_gets_no_new_ones() {
    let (a, b) = (Server::named("a"), Server::named("b"));
    let evenkeel = Evenkeel::start(&config("", &[&a, &b], ""));
    let client = Client::new(&evenkeel);
    assert_eq!(client.name(), "a");
    evenkeel.set_server("app", "a", "{\"state\":\"drain\"}");
    (0..5).for_each(|_| assert_eq!(Client::new(&evenkeel).name(), "b"));
    (0..5).for_each(|_| assert_eq!(client.name(), "a"));
    assert_eq!(open(&evenkeel), 6.0);
}

#[test]
fn a_server_that_dies_and_comes_back_serves_new_sessions_again() {
    let mut a = Server::named("a");
    let evenkeel = Evenkeel::start(&config("", &[&a], ""));
    let client = Client::new(&evenkeel);
    assert_eq!(client.name(), "a");
    a.stop();
    client.send("lost");
    evenkeel.record(|record| record["ended"] == "server_reset");
    a.start_again();
    assert_eq!(client.name(), "a");
    assert_eq!(dropped(&evenkeel, "unsent"), 0.0);
}
