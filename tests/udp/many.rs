//! Ten thousand sessions at a time, and what they leave behind.

use rustix::process::{Resource, getrlimit};

use super::server::{Client, Server, config, open};
use crate::support::{Evenkeel, eventually};

/// Of the descriptors that a process may have, sessions get about two thirds.
fn sessions() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit / 2).unwrap_or(usize::MAX).min(10_000)
}

#[test]
fn ten_thousand_sessions_are_answered_end_and_leave_nothing() {
    let count = sessions();
    let servers = ["a", "b", "c"].map(Server::echo);
    let all: Vec<&Server> = servers.iter().collect();
    let toml = config("timeout = { idle = \"6s\" }", &all, "");
    let evenkeel = Evenkeel::start(&format!("[server]\nworkers = 2\n[log]\naccess = \"off\"\n{toml}"));
    let before = evenkeel.resident();
    // Addresses of their own, so that ports suffice.
    let clients: Vec<Client> =
        (0..count).map(|at| Client::from(&evenkeel, &format!("127.0.1.{}", 1 + at % 4))).collect();
    for round in 0..2 {
        for (group, clients) in clients.chunks(50).enumerate() {
            let text = format!("{round} {group}");
            clients.iter().for_each(|client| client.send(&text));
            clients.iter().for_each(|client| assert_eq!(client.receive(), text.as_bytes()));
        }
    }
    assert_eq!(open(&evenkeel), count as f64);
    let reached: usize = servers.iter().map(Server::sessions).sum();
    assert_eq!(reached, count);
    let each = evenkeel.resident().saturating_sub(before) / count;
    assert!(each < 4_096, "{each} bytes for each of {count} sessions");
    eventually("all have ended", || open(&evenkeel) == 0.0);
    eventually("their sockets are closed", || evenkeel.descriptors() < 100);
    let moved = evenkeel.metric("evenkeel_datagrams_sent_total", &[]);
    assert_eq!(moved, 2.0 * count as f64);
}

#[test]
fn a_flood_of_forged_addresses_is_bounded() {
    let server = Server::echo("a");
    let toml = config("max_sessions = 100\ntimeout = { idle = \"2s\" }", &[&server], "");
    let evenkeel = Evenkeel::start(&toml);
    let live = Client::new(&evenkeel);
    assert_eq!(live.ask("x"), b"x");
    let descriptors = evenkeel.descriptors();
    let before = evenkeel.resident();
    // From other addresses, each once.
    for at in 0..5_000_u32 {
        let ip = format!("127.9.{}.{}", at / 250 % 250, 1 + at % 250);
        Client::from(&evenkeel, &ip).send("flood");
        if at % 100 == 0 {
            assert_eq!(live.ask("still"), b"still");
        }
    }
    let dropped = super::server::dropped(&evenkeel, "sessions");
    assert!(dropped > 1_000.0, "{dropped}");
    assert!(open(&evenkeel) <= 100.0 && evenkeel.descriptors() <= descriptors + 110);
    let grown = evenkeel.resident().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes");
    assert_eq!(live.ask("still"), b"still");
    eventually("they have ended", || open(&evenkeel) <= 1.0);
}
