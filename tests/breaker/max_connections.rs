//! `max_connections` of a server: no more requests are in flight at it, whichever worker they come by.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread::{self, JoinHandle};

use crate::support::{Client, Evenkeel, Gate, Origin, eventually, ok};

/// A pool of these servers, of which each takes `max` requests at a time.
pub fn pool_of(servers: &[&Origin], max: u32, keys: &str) -> String {
    let server = |server: &&Origin| {
        let (address, name) = (server.address(), &server.name);
        format!("{{ address = \"{address}\", name = \"{name}\", max_connections = {max} }}")
    };
    let servers: Vec<String> = servers.iter().map(server).collect();
    format!("[pool.app]\nbackends = [{}]\n{keys}\n", servers.join(", "))
}

/// Asks in a thread; its end is the body of the answer, behind the status.
pub fn ask(evenkeel: &Evenkeel, target: &'static str) -> JoinHandle<(u16, String)> {
    let address = evenkeel.address();
    thread::spawn(move || {
        let answer = Client::connect(address).get(target);
        (answer.status, answer.text())
    })
}

#[test]
fn a_server_that_is_full_is_passed_over() {
    let gate = Gate::default();
    let (full, free) = (Origin::held("full", &gate), Origin::named("free"));
    let evenkeel = Evenkeel::start(&format!(
        "[pool.app]\nbackends = [{{ address = \"{}\", max_connections = 1 }}, \"{}\"]\n",
        full.address(),
        free.address()
    ));
    let mut asked = Vec::new();
    while full.count() == 0 {
        let before = full.count() + free.count();
        asked.push(ask(&evenkeel, "/"));
        eventually("a server is asked", || full.count() + free.count() > before);
    }
    let mut client = evenkeel.client();
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "free");
    }
    assert_eq!(full.count(), 1);
    gate.open();
    asked.into_iter().for_each(|request| assert_eq!(request.join().unwrap().0, 200));
    eventually("its place is free again", || client.get("/").text() == "full");
}

#[test]
fn beyond_the_last_place_of_all_there_is_a_503_at_once() {
    let gate = Gate::default();
    let server = Origin::held("a", &gate);
    let evenkeel = Evenkeel::start(&pool_of(&[&server], 2, ""));
    let held = [ask(&evenkeel, "/"), ask(&evenkeel, "/")];
    eventually("both places are taken", || server.count() == 2);
    let refused = evenkeel.get("/third");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(evenkeel.metric("evenkeel_breaker_refused_total", &["reason=\"servers_full\""]), 1.0);
    let record = evenkeel.record(|record| record["target"] == "/third");
    assert_eq!(record["reason"], "every server is at its max_connections");
    gate.open();
    held.into_iter().for_each(|request| assert_eq!(request.join().unwrap().0, 200));
    assert_eq!(evenkeel.get("/").status, 200);
}

#[test]
fn the_limit_holds_over_all_workers_and_the_queue_serves_everybody() {
    let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, peak) = (inside.clone(), most.clone());
    let server = Origin::start(move |_, wire| {
        peak.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
        thread::sleep(crate::support::ms(2));
        now.fetch_sub(1, SeqCst);
        wire.send(ok("a"));
    });
    let keys = "queue = { wait = \"15s\" }";
    let evenkeel = Evenkeel::start(&format!("[server]\nworkers = 3\n{}", pool_of(&[&server], 3, keys)));
    let address = evenkeel.address();
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                let mut client = Client::connect(address);
                (0..25).for_each(|_| assert_eq!(client.get("/").status, 200));
            });
        }
    });
    // An answer is on its way before the server has left its handler.
    assert!((2..=4).contains(&most.load(SeqCst)), "{most:?} at a time");
    assert!(evenkeel.metric("evenkeel_queue_waits_total", &[]) > 0.0);
    assert_eq!(evenkeel.metric("evenkeel_queue_length", &[]), 0.0);
    let server = &evenkeel.status()["pools"][0]["servers"][0];
    assert_eq!(server["in_flight"], 0);
}

/// The cookie of the server `full`, whose only place is taken.
fn belongs_to_full(evenkeel: &Evenkeel, full: &Origin) -> (String, JoinHandle<(u16, String)>) {
    let cookie = loop {
        let answer = evenkeel.get("/cookie");
        let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        if answer.text() == "full" {
            break cookie;
        }
    };
    let (address, theirs) = (evenkeel.address(), cookie.clone());
    let before = full.count();
    let held = thread::spawn(move || {
        let answer = Client::connect(address).get_with("/hold", &format!("cookie: {theirs}\r\n"));
        (answer.status, answer.text())
    });
    eventually("the place is taken", || full.count() > before);
    (cookie, held)
}

/// Two servers, the one called `full` holding requests for `/hold`.
fn two(gate: &Gate) -> (Origin, Origin) {
    let gate = gate.clone();
    let full = Origin::start(move |request, wire| {
        if request.target() == "/hold" {
            gate.wait();
        }
        wire.send(ok("full"));
    });
    (full.called("full"), Origin::named("other"))
}

#[test]
fn a_client_moves_when_its_own_server_is_full() {
    let gate = Gate::default();
    let (full, other) = two(&gate);
    let evenkeel = Evenkeel::start(&pool_of(&[&full, &other], 1, "sticky = { cookie = \"EK\" }"));
    let (cookie, held) = belongs_to_full(&evenkeel, &full);
    let moved = evenkeel.client().get_with("/", &format!("cookie: {cookie}\r\n"));
    assert_eq!(moved.text(), "other");
    assert!(moved.header("set-cookie").is_some(), "it belongs to the other one from now on");
    gate.open();
    assert_eq!(held.join().unwrap().0, 200);
}

#[test]
fn a_client_waits_for_its_own_server_if_there_is_a_queue() {
    let gate = Gate::default();
    let (full, other) = two(&gate);
    let keys = "sticky = { cookie = \"EK\" }\nqueue = { wait = \"15s\" }";
    let evenkeel = Evenkeel::start(&pool_of(&[&full, &other], 1, keys));
    let (cookie, held) = belongs_to_full(&evenkeel, &full);
    let address = evenkeel.address();
    let waiting = thread::spawn(move || {
        let answer = Client::connect(address).get_with("/", &format!("cookie: {cookie}\r\n"));
        (answer.text(), answer.header("set-cookie").map(str::to_owned))
    });
    eventually("it waits", || evenkeel.metric("evenkeel_queue_length", &[]) == 1.0);
    assert_eq!(evenkeel.get("/").text(), "other", "others go on where there is room");
    gate.open();
    assert_eq!(waiting.join().unwrap(), ("full".to_owned(), None));
    assert_eq!(held.join().unwrap().0, 200);
}
