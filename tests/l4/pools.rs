//! The keys of a pool that say which server a connection may have, and for how long it waits for one.

use std::io::Write;
use std::net::TcpStream;
use std::time::Instant;

use super::server::{Server, config, connect, exchange, is_refused, line, reset};
use crate::support::{Evenkeel, Port, eventually, ms};

const HEALTH: &str = "health = { kind = \"tcp\", interval = \"30ms\", timeout = \"100ms\", fall = 1 }";

/// How many of so many connections each server gets.
fn shares<const N: usize>(evenkeel: &Evenkeel, names: [&str; N], count: usize) -> [usize; N] {
    let reached: Vec<String> = (0..count).map(|_| line(&connect(evenkeel))).collect();
    names.map(|name| reached.iter().filter(|it| *it == name).count())
}

/// A server on a port at which it begins to listen when the test says so.
struct Late(Port);

impl Late {
    fn config(&self, pool: &str) -> String {
        config("", &[], pool).replace(
            "backends = []",
            &format!("backends = [{{ address = \"{}\", name = \"late\" }}]", self.0.address()),
        )
    }

    fn comes(&self) -> Server {
        Server::echo_on(self.0.listen(), "late")
    }
}

fn waiting(evenkeel: &Evenkeel) -> u64 {
    evenkeel.status()["pools"][0]["waiting_for_server"].as_u64().unwrap()
}

#[test]
fn weights_are_shares_of_connections() {
    let servers = ["a", "b", "c"].map(Server::echo);
    let toml = config("", &[&servers[0], &servers[1], &servers[2]], "")
        .replace("name = \"a\"", "name = \"a\", weight = 5")
        .replace("name = \"b\"", "name = \"b\", weight = 3")
        .replace("name = \"c\"", "name = \"c\", weight = 2");
    let evenkeel = Evenkeel::start(&toml);
    assert_eq!(shares(&evenkeel, ["a", "b", "c"], 40), [20, 12, 8]);
    // A weight of least-connections is how many open ones count as one.
    let toml = toml.replace("weight = 5", "weight = 1").replace("weight = 2", "weight = 1")
        + "algorithm = \"least-connections\"\n";
    let evenkeel = Evenkeel::start(&toml);
    let open: Vec<TcpStream> = (0..20).map(|_| connect(&evenkeel)).collect();
    let names: Vec<String> = open.iter().map(line).collect();
    assert_eq!(["a", "b", "c"].map(|name| names.iter().filter(|it| *it == name).count()), [4, 12, 4]);
}

#[test]
fn a_server_that_its_check_finds_down_gets_no_connections_until_it_is_back() {
    let (a, late) = (Server::echo("a"), Late(Port::reserve()));
    let toml = late
        .config(HEALTH)
        .replace("backends = [", &format!("backends = [{{ address = \"{}\", name = \"a\" }}, ", a.address()));
    let evenkeel = Evenkeel::start(&toml);
    evenkeel.wait_for_state("late", "down");
    assert_eq!(shares(&evenkeel, ["a", "late"], 10), [10, 0]);
    assert_eq!(evenkeel.metric("evenkeel_backend_connect_failures_total", &["backend=\"late\""]), 0.0);
    let _late = late.comes();
    evenkeel.wait_for_state("late", "up");
    assert_eq!(shares(&evenkeel, ["a", "late"], 10), [5, 5]);
}

#[test]
fn backups_get_connections_only_while_no_other_server_is_up() {
    let (main, backup) = (Server::echo("main"), Server::echo("backup"));
    let toml =
        config("", &[&main, &backup], "").replace("name = \"backup\"", "name = \"backup\", backup = true");
    let evenkeel = Evenkeel::start(&toml);
    assert_eq!(shares(&evenkeel, ["main", "backup"], 6), [6, 0]);
    let open = connect(&evenkeel);
    assert_eq!(line(&open), "main");
    evenkeel.set_server("app", "main", "{\"state\": \"drain\"}");
    assert_eq!(shares(&evenkeel, ["main", "backup"], 6), [0, 6]);
    evenkeel.set_server("app", "main", "{\"state\": \"ready\"}");
    assert_eq!(shares(&evenkeel, ["main", "backup"], 6), [6, 0]);
    assert_eq!(exchange(&open, b"all the while"), b"all the while");
}

#[test]
fn a_server_that_joins_starts_slowly() {
    let servers = ["a", "b", "c"].map(Server::echo);
    let keys = "slow_start = \"1h\"";
    let evenkeel = Evenkeel::start(&config("", &[&servers[0], &servers[1]], keys));
    assert_eq!(shares(&evenkeel, ["a", "b"], 20), [10, 10]);
    let all = config("", &[&servers[0], &servers[1], &servers[2]], keys);
    assert_eq!(evenkeel.reload(&all).status, 200);
    // In a round of 67 it comes 3 times, as with requests.
    assert_eq!(shares(&evenkeel, ["a", "b", "c"], 67), [32, 32, 3]);
}

#[test]
fn a_limit_of_the_pool_counts_connections() {
    let servers = ["a", "b"].map(Server::echo);
    let keys = "breaker = { max_requests = 3 }";
    let evenkeel = Evenkeel::start(&config("", &[&servers[0], &servers[1]], keys));
    let mut open: Vec<TcpStream> = (0..3).map(|_| connect(&evenkeel)).collect();
    open.iter().for_each(|client| assert_ne!(line(client), ""));
    assert!(is_refused(&evenkeel));
    evenkeel.record(|record| record["ended"] == "refused");
    drop(open.pop());
    eventually("there is room again", || {
        let gone = servers.iter().map(Server::open).sum::<usize>() == 2;
        gone && !reached(&evenkeel).is_empty()
    });
}

/// The name of the server that a new connection reaches, empty if none.
fn reached(evenkeel: &Evenkeel) -> String {
    TcpStream::connect(evenkeel.listener("db")).map(|client| line(&client)).unwrap_or_default()
}

#[test]
fn a_connection_waits_for_a_server_that_comes() {
    let late = Late(Port::reserve());
    let evenkeel = Evenkeel::start(&late.config(&format!("{HEALTH}\nwait_for_server = \"30s\"")));
    evenkeel.wait_for_state("late", "down");
    let (client, impatient) = (connect(&evenkeel), connect(&evenkeel));
    eventually("both wait", || waiting(&evenkeel) == 2);
    // It has sent something that no server has taken yet.
    (&impatient).write_all(b"hello").unwrap();
    reset(impatient);
    eventually("one has left", || waiting(&evenkeel) == 1);
    evenkeel.record(|record| record["ended"] == "client_left");
    let _late = late.comes();
    assert_eq!(line(&client), "late");
    assert_eq!(exchange(&client, b"hello"), b"hello");
    assert_eq!(waiting(&evenkeel), 0);
}

#[test]
fn a_connection_that_waits_in_vain_is_reset_after_that_time() {
    let late = Late(Port::reserve());
    let evenkeel = Evenkeel::start(&late.config(&format!("{HEALTH}\nwait_for_server = \"300ms\"")));
    evenkeel.wait_for_state("late", "down");
    let begun = Instant::now();
    assert!(is_refused(&evenkeel));
    assert!(begun.elapsed() >= ms(290), "{:?}", begun.elapsed());
    let record = evenkeel.record(|record| record["ended"] == "refused");
    assert_eq!(record["reason"], "no healthy server within 300ms");
}

#[test]
fn a_server_that_does_not_answer_is_given_up_for_another_one_in_time() {
    let (port, server) = (Port::reserve(), Server::echo("a"));
    let hanging = port.hang();
    let keys = "timeout = { connect = \"300ms\" }";
    let toml = config("", &[&server], keys).replace(
        "backends = [",
        &format!("backends = [{{ address = \"{}\", name = \"hanging\" }}, ", port.address()),
    );
    let evenkeel = Evenkeel::start(&toml);
    for _ in 0..2 {
        assert_eq!(line(&connect(&evenkeel)), "a");
    }
    let record = evenkeel.record(|record| record["tries"] == 2);
    assert!(record["connect_ms"].as_f64().unwrap() >= 290.0, "{record}");
    drop(hanging);
}

#[test]
fn a_listener_that_goes_with_a_reload_keeps_its_connections() {
    let server = Server::echo("a");
    let evenkeel = Evenkeel::start(&config("", &[&server], ""));
    let (open, address) = (connect(&evenkeel), evenkeel.listener("db"));
    assert_eq!(line(&open), "a");
    let other = "[listener.web]\nbind = \"127.0.0.2:0\"\n[[route]]\nrespond = { body = \"own\" }\n";
    let answer = evenkeel.reload(other);
    assert_eq!(answer.status, 200, "{}", answer.text());
    eventually("no process listens there any more", || TcpStream::connect(address).is_err());
    assert_eq!(exchange(&open, b"still here"), b"still here");
}
