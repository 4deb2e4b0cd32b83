//! Sessions of datagrams go on over an upgrade: the same server hears the same client from the same port, and no datagram is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

use super::setting::Chain;
use crate::support::{eventually, ms};
use crate::udp::server::{Client, Server, config};

#[test]
fn a_session_stays_at_its_server_with_its_port() {
    let (a, b) = (Server::named("a"), Server::named("b"));
    let mut chain = Chain::start(&format!("[server]\nworkers = 2\n{}", config("", &[&a, &b], "")));
    let clients: Vec<Client> = (0..20).map(|_| Client::new(&chain)).collect();
    let names: Vec<String> = clients.iter().map(Client::name).collect();
    let sessions = a.sessions() + b.sessions();
    assert_eq!(sessions, 20);
    for _ in 0..3 {
        chain.upgrade();
        for (client, name) in clients.iter().zip(&names) {
            assert_eq!(client.name(), *name);
        }
        assert_eq!(a.sessions() + b.sessions(), sessions, "from the same ports");
    }
    assert_eq!(Client::new(&chain).name().len(), 1, "new ones are taken too");
    assert_eq!(chain.wait_end().code(), Some(0), "it has none left");
}

#[test]
fn no_datagram_is_lost_under_load() {
    let server = Server::echo("a");
    let mut chain = Chain::start(&format!("[server]\nworkers = 2\n{}", config("", &[&server], "")));
    let (stop, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (client, stop, done) = (Client::new(&chain), stop.clone(), done.clone());
            thread::spawn(move || {
                let mut number = 0_u64;
                while !stop.load(SeqCst) {
                    number += 1;
                    // An answer that does not come within the deadline fails the test.
                    assert_eq!(client.ask(number.to_le_bytes()), number.to_le_bytes());
                    done.fetch_add(1, SeqCst);
                }
            })
        })
        .collect();
    for _ in 0..5 {
        chain.upgrade();
        let goal = done.load(SeqCst) + 100;
        eventually("datagrams flow", || done.load(SeqCst) >= goal);
    }
    stop.store(true, SeqCst);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(server.sessions(), 4, "each client has had one session");
}

#[test]
fn answers_that_come_during_the_upgrade_arrive() {
    // Answers late, so that some answers come while no process reads.
    let server = Server::start("a", |socket, bytes, peer| {
        let (socket, bytes) = (socket.try_clone().unwrap(), bytes.to_vec());
        thread::spawn(move || {
            for _ in 0..50 {
                thread::sleep(ms(10));
                socket.send_to(&bytes, peer).unwrap();
            }
        });
    });
    let mut chain = Chain::start(&config("", &[&server], ""));
    let client = Client::new(&chain);
    // The second one shows that the client gets answers: from then on they are not limited.
    for _ in 0..2 {
        client.send("on and on");
        assert_eq!(client.receive(), b"on and on");
    }
    chain.upgrade();
    chain.upgrade();
    for _ in 2..100 {
        assert_eq!(client.receive(), b"on and on");
    }
}

#[test]
fn a_failed_upgrade_leaves_the_sessions_where_they_are() {
    let server = Server::named("a");
    let mut chain = Chain::start(&config("", &[&server], ""));
    let client = Client::new(&chain);
    assert_eq!(client.name(), "a");
    assert!(chain.refusal("{\"binary\": \"/bin/false\"}").contains("ended before it was ready"));
    assert_eq!(client.name(), "a");
    assert_eq!(server.sessions(), 1);
}
