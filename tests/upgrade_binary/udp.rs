//! Sessions of datagrams go on over an upgrade: the same server hears the same client from the same port, and no datagram is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

use super::setting::Chain;
use crate::support::{eventually, ms};
use crate::udp::server::{Client, Server, config, dropped, open};

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

/// Sessions that count at a server and in its pool, by the API and by the metrics, and those that are open.
fn in_flight(chain: &Chain, server: &str) -> [f64; 4] {
    let of_server = chain.server("app", server)["in_flight"].as_f64().unwrap();
    let of_pool = chain.status()["pools"][0]["breaker"]["in_flight"].as_f64().unwrap();
    let counted = chain.metric("evenkeel_backend_in_flight", &[&format!("backend=\"{server}\"")]);
    [of_server, of_pool, counted, open(chain)]
}

#[test]
fn moved_sessions_count_towards_the_limits_and_give_their_permits_back() {
    for limit in ["max_connections = 3", "max_requests = 3"] {
        let server = Server::echo("a");
        let of_pool = limit.starts_with("max_requests");
        let pool = if of_pool { format!("breaker = {{ {limit} }}") } else { String::new() };
        let mut toml = config("timeout = { idle = \"2s\" }", &[&server], &pool);
        if !of_pool {
            toml = toml.replace("name = \"a\"", &format!("name = \"a\", {limit}"));
        }
        let mut chain = Chain::start(&format!("[server]\nworkers = 2\n{toml}"));
        let clients: Vec<Client> = (0..3).map(|_| Client::new(&chain)).collect();
        let all_live = || clients.iter().for_each(|client| assert_eq!(client.ask("x"), b"x"));
        all_live();
        for _ in 0..2 {
            chain.upgrade();
            assert_eq!(in_flight(&chain, "a"), [3.0; 4], "{limit}");
            all_live();
        }
        let (late, refused) = (Client::new(&chain), dropped(&chain, "refused"));
        late.send("no");
        eventually("it is refused", || {
            all_live();
            dropped(&chain, "refused") == refused + 1.0
        });
        assert_eq!((server.sessions(), in_flight(&chain, "a")), (3, [3.0; 4]), "{limit}");
        // There is room when one has ended, and nothing is left when all have.
        eventually("the late one gets a session", || {
            late.send("yes");
            server.sessions() == 4
        });
        assert_eq!(late.receive(), b"yes");
        eventually("all have ended", || in_flight(&chain, "a") == [0.0; 4]);
    }
}

#[test]
fn no_new_session_gets_the_permit_of_one_that_moves() {
    let server = Server::echo("a");
    let toml = config("", &[&server], "breaker = { max_requests = 16 }");
    let mut chain = Chain::start(&format!("[server]\nworkers = 4\n{toml}"));
    let clients: Vec<Client> = (0..16).map(|_| Client::new(&chain)).collect();
    clients.iter().for_each(|client| assert_eq!(client.ask("x"), b"x"));
    let (stop, address) = (Arc::<AtomicBool>::default(), chain.listener("dns"));
    let stopped = stop.clone();
    let others = thread::spawn(move || {
        while !stopped.load(SeqCst) {
            Client::to(address, "127.0.0.1").send("no");
        }
    });
    for _ in 0..3 {
        chain.upgrade();
        eventually("others are refused", || dropped(&chain, "refused") > 100.0);
        clients.iter().for_each(|client| assert_eq!(client.ask("x"), b"x"));
    }
    stop.store(true, SeqCst);
    others.join().unwrap();
    assert_eq!(server.sessions(), 16);
}

#[test]
fn moved_sessions_count_for_least_connections() {
    let (a, b) = (Server::named("a"), Server::named("b"));
    for limits in ["", "breaker = { max_requests = 100 }"] {
        let pool = format!("algorithm = \"least-connections\"\n{limits}");
        let mut chain = Chain::start(&format!("[server]\nworkers = 2\n{}", config("", &[&a, &b], &pool)));
        chain.set_server("app", "a", "{\"state\":\"drain\"}");
        let moved: Vec<Client> = (0..4).map(|_| Client::new(&chain)).collect();
        moved.iter().for_each(|client| assert_eq!(client.name(), "b"));
        chain.set_server("app", "a", "{\"state\":\"ready\"}");
        chain.upgrade();
        let new: Vec<Client> = (0..4).map(|_| Client::new(&chain)).collect();
        new.iter().for_each(|client| assert_eq!(client.name(), "a", "{limits}"));
        moved.iter().for_each(|client| assert_eq!(client.name(), "b", "{limits}"));
    }
}

#[test]
fn sessions_of_a_listener_that_the_new_configuration_does_not_have_go_on_in_the_old_process() {
    let server = Server::named("a");
    let text = config("", &[&server], "");
    let mut chain = Chain::start(&text);
    let client = Client::new(&chain);
    assert_eq!(client.name(), "a");
    let listener = text.find("[pool.app]").unwrap();
    chain
        .rewrite(&format!("[listener.other]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n{}", &text[listener..]));
    chain.upgrade();
    for _ in 0..3 {
        assert_eq!(client.name(), "a");
    }
    assert_eq!(server.sessions(), 1);
    assert_eq!(chain.wait_end().code(), Some(0), "it ends with the session");
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
