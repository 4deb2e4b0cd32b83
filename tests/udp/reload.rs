//! Reloads, and processes that leave, while sessions live.

use rustix::process::Signal;

use super::server::{Client, Server, config, dropped, fixed_port, open, pool_of};
use crate::support::{Evenkeel, eventually};

#[test]
fn a_reload_that_does_not_touch_the_listener_keeps_its_sessions() {
    let (a, b) = (Server::named("a"), Server::named("b"));
    let toml = config("", &[&a, &b], "");
    let evenkeel = Evenkeel::start(&toml);
    let client = Client::new(&evenkeel);
    assert_eq!(client.name(), "a");
    for more in ["[[route]]\nlistener = \"dns\"\nclient = \"192.0.2.0/24\"\npool = \"app\"\n", ""] {
        assert_eq!(evenkeel.reload(&format!("{toml}{more}")).status, 200);
        assert_eq!(client.name(), "a");
    }
    assert_eq!((a.sessions(), open(&evenkeel)), (1, 1.0));
}

#[test]
fn a_server_that_a_reload_removes_loses_its_sessions() {
    let (a, b) = (Server::named("a"), Server::named("b"));
    let evenkeel = Evenkeel::start(&config("", &[&a, &b], ""));
    let client = Client::new(&evenkeel);
    assert_eq!(client.name(), "a");
    assert_eq!(evenkeel.reload(&config("", &[&b], "")).status, 200);
    assert_eq!(client.name(), "b");
    let record = evenkeel.record(|record| record["backend"] == "a");
    assert_eq!(record["ended"], "server_down");
}

#[test]
fn a_shorter_idle_timeout_holds_for_the_sessions_that_are_there() {
    let server = Server::named("a");
    let evenkeel = Evenkeel::start(&config("timeout = { idle = \"1h\" }", &[&server], ""));
    let client = Client::new(&evenkeel);
    assert_eq!(client.name(), "a");
    assert_eq!(evenkeel.reload(&config("timeout = { idle = \"300ms\" }", &[&server], "")).status, 200);
    // By the next datagram, of whichever client.
    assert_eq!(Client::new(&evenkeel).name(), "a");
    eventually("both have ended", || open(&evenkeel) == 0.0);
}

#[test]
fn a_listener_that_goes_away_takes_no_new_sessions_and_ends_those_that_it_has() {
    let server = Server::named("a");
    let port = fixed_port();
    let toml = config(&format!("bind = \"127.0.0.1:{port}\""), &[&server], "");
    let evenkeel = Evenkeel::start(&toml);
    let address = evenkeel.listener("dns");
    let client = Client::new(&evenkeel);
    assert_eq!(client.name(), "a");
    let without = format!(
        "[listener.other]\nbind = \"127.0.0.1:0\"\nprotocol = \"udp\"\npool = \"app\"\n{}",
        pool_of(&[&server], "")
    );
    assert_eq!(evenkeel.reload(&without).status, 200);
    // What is under way goes on for a while.
    assert_eq!(client.name(), "a");
    let late = Client::to(address, "127.0.0.1");
    late.send("x");
    (0..5).for_each(|_| assert_eq!(client.name(), "a"));
    let record = evenkeel.record(|record| record["listener"] == "dns");
    assert_eq!(record["ended"], "idle_timeout");
    assert_eq!((late.arrived(), server.sessions()), (0, 1));
    eventually("the port is free", || std::net::UdpSocket::bind(address).is_ok());
}

#[test]
fn a_listener_that_comes_back_at_once_serves_again() {
    let server = Server::named("a");
    let port = fixed_port();
    let toml = config(&format!("bind = \"127.0.0.1:{port}\""), &[&server], "");
    let evenkeel = Evenkeel::start(&toml);
    let client = Client::new(&evenkeel);
    assert_eq!(client.name(), "a");
    let without = format!(
        "[listener.other]\nbind = \"127.0.0.1:0\"\nprotocol = \"udp\"\npool = \"app\"\n{}",
        pool_of(&[&server], "")
    );
    for _ in 0..3 {
        assert_eq!(evenkeel.reload(&without).status, 200);
        assert_eq!(evenkeel.reload(&toml).status, 200);
        eventually("it serves", || {
            client.send("name");
            client.arrived() > 0 && open(&evenkeel) == 1.0
        });
    }
}

#[test]
fn a_process_that_leaves_ends_when_nothing_moves_any_more_and_says_what_it_had() {
    let server = Server::named("a");
    let mut evenkeel = Evenkeel::start(&config("timeout = { idle = \"1h\" }", &[&server], ""));
    let client = Client::new(&evenkeel);
    assert_eq!(client.name(), "a");
    evenkeel.signal(Signal::TERM);
    // What is under way is still answered.
    assert_eq!(client.name(), "a");
    assert!(evenkeel.wait_exit().success());
    let record = evenkeel.record(|record| record["protocol"] == "udp");
    assert_eq!((&record["ended"], &record["bytes_out"]), (&"idle_timeout".into(), &2.into()));
}

#[test]
fn a_process_that_leaves_cuts_what_goes_on_after_its_grace() {
    let server = Server::named("a");
    let toml = config("", &[&server], "");
    let mut evenkeel = Evenkeel::start(&format!("[server]\nworkers = 1\ngrace = \"300ms\"\n{toml}"));
    let client = Client::new(&evenkeel);
    assert_eq!(client.name(), "a");
    evenkeel.signal(Signal::TERM);
    while evenkeel.is_running() {
        let _ = client.0.send(b"name");
        std::thread::yield_now();
    }
    assert!(evenkeel.wait_exit().success());
    evenkeel.record(|record| record["ended"] == "cut");
}

#[test]
fn sessions_begin_anew_after_a_restart() {
    let server = Server::named("a");
    let port = fixed_port();
    let toml = format!(
        "[server]\nworkers = 2\ngrace = \"0s\"\n{}",
        config(&format!("bind = \"127.0.0.1:{port}\""), &[&server], "")
    );
    let mut evenkeel = Evenkeel::start(&toml);
    let clients: Vec<Client> = (0..20).map(|_| Client::new(&evenkeel)).collect();
    clients.iter().for_each(|client| assert_eq!(client.name(), "a"));
    evenkeel.signal(Signal::TERM);
    assert!(evenkeel.wait_exit().success());
    let again = Evenkeel::start(&toml);
    clients.iter().for_each(|client| {
        // What ICMP has said of the time without a process.
        let _ = client.0.take_error();
        assert_eq!(client.name(), "a");
    });
    assert_eq!((open(&again), dropped(&again, "source")), (20.0, 0.0));
}
