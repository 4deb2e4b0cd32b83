//! Pools serve connections as they serve requests: algorithms, limits, queues, retries, drains.

use std::collections::HashMap;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::thread;

use super::server::{Server, config, connect, end, exchange, is_refused, line, rest};
use crate::support::{Evenkeel, eventually, ms};

/// Which server each of so many connections reaches, one after the other.
fn spread(evenkeel: &Evenkeel, count: usize) -> Vec<String> {
    (0..count).map(|_| line(&connect(evenkeel))).collect()
}

fn counts(names: &[String]) -> HashMap<&str, usize> {
    names.iter().fold(HashMap::new(), |mut counts, name| {
        *counts.entry(name.as_str()).or_default() += 1;
        counts
    })
}

#[test]
fn round_robin_is_even() {
    let servers = ["a", "b", "c"].map(Server::echo);
    let all: Vec<&Server> = servers.iter().collect();
    let evenkeel = Evenkeel::start(&config("", &all, ""));
    let reached = spread(&evenkeel, 30);
    assert_eq!(counts(&reached), HashMap::from([("a", 10), ("b", 10), ("c", 10)]));
    for (server, name) in servers.iter().zip(["a", "b", "c"]) {
        assert_eq!(server.count(), 10);
        let label = format!("backend=\"{name}\"");
        eventually("its connections are counted", || {
            evenkeel.metric("evenkeel_stream_connections_ended_total", &[&label, "listener=\"db\""]) == 10.0
        });
    }
}

#[test]
fn least_connections_goes_by_connections_that_are_open() {
    let servers = ["a", "b"].map(Server::echo);
    let evenkeel =
        Evenkeel::start(&config("", &[&servers[0], &servers[1]], "algorithm = \"least-connections\""));
    let open: Vec<TcpStream> = (0..6).map(|_| connect(&evenkeel)).collect();
    let names: Vec<String> = open.iter().map(line).collect();
    assert_eq!(counts(&names), HashMap::from([("a", 3), ("b", 3)]));
    // Three leave one server: the next three go there.
    let (left, stay): (Vec<_>, Vec<_>) = open.into_iter().zip(&names).partition(|(_, name)| *name == "a");
    drop(left);
    eventually("they have left", || evenkeel.metric("evenkeel_backend_in_flight", &["backend=\"a\""]) == 0.0);
    let next: Vec<TcpStream> = (0..3).map(|_| connect(&evenkeel)).collect();
    assert!(next.iter().all(|client| line(client) == "a"));
    drop(stay);
}

#[test]
fn hashes_of_the_client_keep_it_at_one_server() {
    let servers = ["a", "b", "c"].map(Server::echo);
    let all: Vec<&Server> = servers.iter().collect();
    for algorithm in ["ip-hash", "consistent-hash", "maglev"] {
        let evenkeel = Evenkeel::start(&config("", &all, &format!("algorithm = \"{algorithm}\"")));
        let mut reached = Vec::new();
        for _ in 0..10 {
            reached.extend(spread(&evenkeel, 1));
            // A bounded load would send the next one elsewhere.
            eventually("it has left", || evenkeel.metric("evenkeel_backend_in_flight", &[]) == 0.0);
        }
        assert_eq!(counts(&reached).len(), 1, "{algorithm}: {reached:?}");
    }
    for algorithm in ["random", "power-of-two", "least-response-time"] {
        let evenkeel = Evenkeel::start(&config("", &all, &format!("algorithm = \"{algorithm}\"")));
        let reached = spread(&evenkeel, 60);
        assert!(counts(&reached).len() > 1, "{algorithm}: {reached:?}");
    }
}

#[test]
fn a_server_that_is_down_is_passed_over_within_the_same_connection() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::echo("a");
    let toml = config("", &[&server], "").replace("backends = [", &format!("backends = [\"{gone}\", "));
    let evenkeel = Evenkeel::start(&toml);
    assert_eq!(counts(&spread(&evenkeel, 10)), HashMap::from([("a", 10)]));
    evenkeel.record(|record| record["tries"] == 2 && record["backend"] == "a");
    assert!(evenkeel.metric("evenkeel_backend_connect_failures_total", &[]) >= 5.0);
}

#[test]
fn without_a_server_the_client_gets_a_reset_and_the_log_the_reason() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let evenkeel = Evenkeel::start(&format!(
        "[listener.db]\nbind = \"127.0.0.1:0\"\nprotocol = \"tcp\"\npool = \"app\"\n[pool.app]\nbackends = [\"{gone}\"]\n"
    ));
    assert!(is_refused(&evenkeel));
    let record = evenkeel.record(|record| record["ended"] == "connect_failed");
    assert_eq!((&record["reason"], &record["tries"]), (&"connection refused".into(), &1.into()));
    evenkeel.set_server("app", &gone.to_string(), "{\"state\": \"drain\"}");
    assert!(is_refused(&evenkeel));
    let record = evenkeel.record(|record| record["ended"] == "refused");
    assert_eq!(record["reason"], "no healthy server in pool app");
    assert_eq!(evenkeel.metric("evenkeel_connections_refused_total", &["reason=\"pool\""]), 1.0);
}

#[test]
fn max_connections_holds_and_the_queue_waits_for_a_place() {
    let server = Server::echo("a");
    let limited = |queue: &str| {
        config("", &[&server], queue).replace("name = \"a\"", "name = \"a\", max_connections = 2")
    };
    let evenkeel = Evenkeel::start(&limited(""));
    let held = [connect(&evenkeel), connect(&evenkeel)];
    held.iter().for_each(|client| assert_eq!(line(client), "a"));
    assert!(is_refused(&evenkeel));
    evenkeel.record(|record| record["reason"] == "every server is at its max_connections");
    drop((held, evenkeel));

    let evenkeel = Evenkeel::start(&limited("queue = { wait = \"10s\" }"));
    let held = [connect(&evenkeel), connect(&evenkeel)];
    held.iter().for_each(|client| assert_eq!(line(client), "a"));
    let waiting = connect(&evenkeel);
    eventually("it waits", || evenkeel.metric("evenkeel_queue_length", &[]) == 1.0);
    let [first, second] = held;
    drop(first);
    assert_eq!(line(&waiting), "a");
    assert_eq!(exchange(&second, b"still here"), b"still here");
    // A client that fails while it waits leaves the queue.
    let impatient = connect(&evenkeel);
    (&impatient).write_all(b"hello").unwrap();
    eventually("it waits", || evenkeel.metric("evenkeel_queue_length", &[]) == 1.0);
    super::server::reset(impatient);
    eventually("it has left", || evenkeel.metric("evenkeel_queue_length", &[]) == 0.0);
    evenkeel.record(|record| record["ended"] == "client_left");
}

#[test]
fn a_drained_server_keeps_what_it_has_and_gets_no_more() {
    let servers = ["a", "b"].map(Server::echo);
    let evenkeel = Evenkeel::start(&config("", &[&servers[0], &servers[1]], ""));
    let clients = [connect(&evenkeel), connect(&evenkeel)];
    let names = clients.each_ref().map(line);
    evenkeel.set_server("app", "a", "{\"state\": \"drain\"}");
    assert_eq!(counts(&spread(&evenkeel, 6)), HashMap::from([("b", 6)]));
    for (client, name) in clients.iter().zip(&names) {
        assert_eq!(exchange(client, name.as_bytes()), name.as_bytes());
    }
}

#[test]
fn a_reload_touches_no_connection() {
    let servers = ["a", "b"].map(Server::echo);
    let before = config("", &[&servers[0]], "");
    let evenkeel = Evenkeel::start(&before);
    let client = connect(&evenkeel);
    assert_eq!(line(&client), "a");
    let answer = evenkeel.reload(&config("timeout = { idle = \"1h\" }", &[&servers[1]], ""));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(line(&connect(&evenkeel)), "b");
    assert_eq!(exchange(&client, b"after the reload"), b"after the reload");
    end(&client);
    assert_eq!(rest(&client), b"");
    evenkeel.record(|record| record["backend"] == "a" && record["ended"] == "client_closed");
}

#[test]
fn failed_connects_eject_a_server() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::echo("a");
    let toml = config("", &[&server], "outlier = { failures = 2, window = \"30s\", eject = \"30s\" }")
        .replace("backends = [", &format!("backends = [{{ address = \"{gone}\", name = \"gone\" }}, "));
    let evenkeel = Evenkeel::start(&toml);
    eventually("it is ejected", || {
        assert_eq!(line(&connect(&evenkeel)), "a");
        thread::sleep(ms(5));
        evenkeel.server("app", "gone")["state"] == "ejected"
    });
    let reason = evenkeel.server("app", "gone")["reason"].to_string();
    assert!(reason.contains("2 connections failed within 30s, the last: no connection"), "{reason}");
    eventually("the connections of the test have ended", || server.open() == 0);
}

#[test]
fn one_client_has_so_many_connections() {
    let server = Server::echo("a");
    let evenkeel = Evenkeel::start(&config("limits = { connections_per_client = 2 }", &[&server], ""));
    let held = [connect(&evenkeel), connect(&evenkeel)];
    held.iter().for_each(|client| assert_eq!(line(client), "a"));
    assert_eq!(line(&connect(&evenkeel)), "");
    assert_eq!(evenkeel.metric("evenkeel_connections_refused_total", &["reason=\"client\""]), 1.0);
}
