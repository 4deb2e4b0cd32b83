//! Ten thousand sessions at a time, and what they leave behind.

use std::net::Ipv4Addr;

use rustix::process::{Resource, getrlimit};

use super::server::{Client, Server, config, fixed_port, open};
use crate::support::{Evenkeel, eventually};

/// Of the descriptors that a process may have, sessions get about two thirds.
fn sessions() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit / 2).unwrap_or(usize::MAX).min(10_000) / 500 * 500
}

#[test]
fn ten_thousand_sessions_are_answered_end_and_leave_nothing() {
    let count = sessions();
    let servers = ["a", "b", "c"].map(Server::echo);
    let all: Vec<&Server> = servers.iter().collect();
    let toml = config("timeout = { idle = \"6s\" }", &all, "");
    let evenkeel = Evenkeel::start(&format!("[server]\nworkers = 2\n[log]\naccess = \"off\"\n{toml}"));
    // One port at many addresses: the sessions need those that the kernel gives out.
    let (port, listener) = (fixed_port(), evenkeel.listener("dns"));
    let address = |at: usize| Ipv4Addr::new(127, 1, (at / 250) as u8, (at % 250) as u8 + 1);
    let clients: Vec<Client> =
        (0..count).map(|at| Client::between((address(at), port).into(), listener)).collect();
    // By then all code has run once, whose pages count as memory.
    let (few, mut with_few) = (count / 10, 0);
    for round in 0..2 {
        for (group, clients) in clients.chunks(50).enumerate() {
            let text = format!("{round} {group}");
            clients.iter().for_each(|client| client.send(&text));
            clients.iter().for_each(|client| assert_eq!(client.receive(), text.as_bytes()));
            if round == 0 && (group + 1) * 50 == few {
                with_few = evenkeel.allocated();
            }
        }
    }
    assert_eq!(open(&evenkeel), count as f64);
    let reached: usize = servers.iter().map(Server::sessions).sum();
    assert_eq!(reached, count);
    let each = evenkeel.allocated().saturating_sub(with_few) / (count - few);
    assert!(with_few > 0 && each < 3_072, "{each} bytes for each of {count} sessions");
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
    let before = evenkeel.allocated();
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
    let grown = evenkeel.allocated().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes");
    assert_eq!(live.ask("still"), b"still");
    eventually("they have ended", || open(&evenkeel) <= 1.0);
}
