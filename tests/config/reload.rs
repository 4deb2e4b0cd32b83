//! A reload swaps routes and pools whole, keeps connections, and keeps the old configuration when the new is wrong.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::process::Signal;

use crate::support::{Client, Evenkeel, Gate, Origin, eventually, ok, pool};

#[test]
fn routes_and_pools_change_on_open_connections() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    let mut client = evenkeel.client();
    assert_eq!(client.get("/").text(), "a");
    let changed = format!("{}[[route]]\npath = \"/own\"\nrespond = {{ body = \"own\" }}\n", pool(&[&b], ""));
    assert_eq!(evenkeel.reload(&changed).status / 100, 2);
    assert_eq!(client.get("/").text(), "b");
    assert_eq!(client.get("/own").text(), "own");
    assert_eq!(evenkeel.metric("evenkeel_connections_accepted_total", &[]), 1.0);
}

#[test]
fn a_wrong_file_changes_nothing_and_the_mistake_is_reported() {
    let a = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    let mut client = evenkeel.client();
    assert_eq!(client.get("/").text(), "a");
    for wrong in [
        "[pool.app]\nbackends = []\n",
        "[pool.app]\nbackends = [5001]\nalgoritm = \"random\"\n",
        "not toml [",
    ] {
        let response = evenkeel.reload(wrong);
        assert!((400..500).contains(&response.status), "{wrong}: {}", response.status);
        assert!(response.text().contains("evenkeel.toml"), "{}", response.text());
        assert_eq!(client.get("/").text(), "a");
    }
}

#[test]
fn a_hangup_with_a_wrong_file_is_logged_and_changes_nothing() {
    let a = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    let mut client = evenkeel.client();
    assert_eq!(client.get("/").text(), "a");
    evenkeel.rewrite("[pool.app]\nbackends = [5001]\nalgoritm = \"random\"\n");
    evenkeel.signal(Signal::HUP);
    evenkeel.stderr.wait_for("the mistake", |line| line.contains("algoritm"));
    assert_eq!(client.get("/").text(), "a");
    let b = Origin::named("b");
    evenkeel.rewrite(&pool(&[&b], ""));
    evenkeel.signal(Signal::HUP);
    eventually("the mended file is taken", || client.get("/").text() == "b");
}

#[test]
fn many_reloads_in_a_row_leak_nothing() {
    let a = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    let health = "health = { kind = \"tcp\", interval = \"50ms\", timeout = \"50ms\" }";
    let tasks = |count: usize| {
        for n in 0..count {
            let keys = format!("keepalive = {}\n{health}", n % 7);
            assert_eq!(evenkeel.reload(&pool(&[&a], &keys)).status / 100, 2);
            assert_eq!(evenkeel.get("/").text(), "a");
        }
    };
    tasks(20);
    let before = evenkeel.allocated();
    tasks(60);
    let grown = evenkeel.allocated().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes more");
}

#[test]
fn memory_of_a_large_configuration_is_given_back_though_no_request_comes() {
    let a = Origin::named("a");
    let small = pool(&[&a], "");
    let route = |n| format!("[[route]]\nname = \"r{n}\"\npath = \"/r{n}/*\"\npool = \"app\"\n");
    let large = format!("{small}{}", (0..5_000).map(route).collect::<String>());
    let evenkeel = Evenkeel::start(&small);
    let before = evenkeel.allocated();
    assert_eq!(evenkeel.reload(&large).status / 100, 2);
    assert_eq!(evenkeel.get("/r7/").text(), "a");
    let grown = evenkeel.allocated() - before;
    assert_eq!(evenkeel.reload(&small).status / 100, 2);
    assert_eq!(evenkeel.get("/r7/").text(), "a");
    eventually("most of it is free for others", || evenkeel.allocated() < before + grown / 3);
}

#[test]
fn listeners_come_and_go_and_the_others_do_not_notice() {
    let web = "[listener.web]\nbind = [\"127.0.0.1:0\"]\n";
    let more = "[listener.more]\nbind = [\"127.0.0.2:0\"]\n";
    let route = "[[route]]\nrespond = { body = \"here\" }\n";
    let evenkeel = Evenkeel::start(&format!("{web}{route}"));
    let mut client = evenkeel.client();
    assert_eq!(client.get("/").text(), "here");
    assert_eq!(evenkeel.reload(&format!("{web}{more}{route}")).status / 100, 2);
    let line = evenkeel.stderr.wait_for("the new listener", |line| line.contains("listening on 127.0.0.2:"));
    let address = line.split("listening on ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let mut other = Client::connect(address);
    assert_eq!(other.get("/").text(), "here");
    assert_eq!(evenkeel.reload(&format!("{web}{route}")).status / 100, 2);
    eventually("the listener is gone", || TcpStream::connect(address).is_err());
    assert_eq!(client.get("/").text(), "here");
}

#[test]
fn a_listener_that_cannot_be_bound_leaves_everything_as_it_was() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let more = format!("[listener.more]\nbind = [\"{}\"]\n", taken.local_addr().unwrap());
    let web = "[listener.web]\nbind = [\"127.0.0.1:0\"]\n";
    let route = |body: &str| format!("[[route]]\nrespond = {{ body = \"{body}\" }}\n");
    let evenkeel = Evenkeel::start(&format!("{web}{}", route("old")));
    let response = evenkeel.reload(&format!("{web}{more}{}", route("new")));
    assert!((400..600).contains(&response.status), "{}", response.status);
    assert_eq!(evenkeel.get("/").text(), "old");
}

#[test]
fn a_request_in_flight_ends_as_it_began_and_checks_of_the_old_server_stop() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let old = Origin::start(move |request, wire| {
        if request.target() == "/held" {
            theirs.wait();
        }
        wire.send(ok("old"));
    });
    let new = Origin::named("new");
    let health = "health = { path = \"/health\", interval = \"50ms\", timeout = \"50ms\" }";
    let evenkeel = Evenkeel::start(&pool(&[&old], health));
    let mut client = evenkeel.client();
    client.send("GET /held HTTP/1.1\r\nhost: test\r\n\r\n");
    let held = || old.requests().iter().any(|r| r.target() == "/held");
    eventually("the server is asked", held);
    assert_eq!(evenkeel.reload(&pool(&[&new], health)).status / 100, 2);
    eventually("the new server is used", || evenkeel.get("/").text() == "new");
    let checks = old.count();
    let probed = new.count();
    eventually("the new server is checked again and again", || new.count() > probed + 10);
    assert!(old.count() <= checks + 1, "the old one is still checked");
    gate.open();
    assert_eq!(client.answer("GET").text(), "old");
    assert_eq!(client.get("/").text(), "new");
}

/// Asks over and over on one connection until it is told to leave; every request must be answered.
fn busy(address: SocketAddr, answered: &AtomicUsize) {
    let mut client = Client::connect(address);
    loop {
        let response = client.get("/");
        assert_eq!(response.text(), "a");
        answered.fetch_add(1, Ordering::SeqCst);
        if response.lists("connection", "close") {
            client.assert_closed();
            return;
        }
    }
}

#[test]
fn the_clients_of_a_removed_listener_are_answered_before_they_have_to_leave() {
    let a = Origin::named("a");
    let web = "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\n";
    let more = "[listener.more]\nbind = [\"127.0.0.2:0\"]\npool = \"app\"\n";
    let evenkeel = Evenkeel::start(&format!("{web}{more}{}", pool(&[&a], "")));
    let (address, answered) = (evenkeel.listener("more"), AtomicUsize::new(0));
    let mut idle = Client::connect(address);
    assert_eq!(idle.get("/").text(), "a");
    thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(|| busy(address, &answered))).collect();
        eventually("traffic flows", || answered.load(Ordering::SeqCst) > 100);
        assert_eq!(evenkeel.reload(&format!("{web}{}", pool(&[&a], ""))).status / 100, 2);
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    idle.assert_closed();
    assert_eq!(a.count(), answered.load(Ordering::SeqCst) + 1);
    assert_eq!(evenkeel.get("/").text(), "a");
}
