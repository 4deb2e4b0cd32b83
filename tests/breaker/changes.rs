//! Servers whose state changes while requests wait for a place: one that takes no requests any more gets none of those either,
//! and one that does again gets some of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, JoinHandle};

use super::max_connections::{ask, pool_of};
use crate::support::{Client, Evenkeel, Gate, Origin, answer, eventually, ok};

type Asked = JoinHandle<(u16, String)>;

const QUEUE: &str = "queue = { wait = \"15s\" }";
const DRAIN: &str = "{\"state\":\"drain\"}";
const READY: &str = "{\"state\":\"ready\"}";
const STICKY: &str = "sticky = { cookie = \"EK\" }";

fn waiting(evenkeel: &Evenkeel) -> f64 {
    evenkeel.metric("evenkeel_queue_length", &["pool=\"app\""])
}

/// A server that answers when its gate opens, but `/health` at once, and that with 500 while it is sick.
fn checked(name: &str, gate: &Gate, sick: &Arc<AtomicBool>) -> Origin {
    let (gate, sick, body) = (gate.clone(), Arc::clone(sick), name.to_owned());
    let server = Origin::start(move |request, wire| {
        let answer = match request.target() {
            "/health" if sick.load(SeqCst) => answer(500, "", "sick"),
            "/health" => ok("fine"),
            _ => {
                gate.wait();
                ok(&body)
            }
        };
        wire.send(answer);
    });
    server.called(name)
}

/// How many requests of clients a server got.
fn got(server: &Origin) -> usize {
    server.requests().iter().filter(|request| request.target() != "/health").count()
}

/// Servers `a` and `b` of one place each that hold what they get, with these keys; both are taken, and so many wait.
fn crowd(keys: &str, outside: usize) -> (Evenkeel, [Origin; 2], [Gate; 2], Arc<AtomicBool>, Vec<Asked>) {
    let (gates, sick) = ([(); 2].map(|()| Gate::default()), Arc::new(AtomicBool::new(false)));
    let a = checked("a", &gates[0], &sick);
    let b = checked("b", &gates[1], &Arc::default());
    let evenkeel = Evenkeel::start(&pool_of(&[&a, &b], 1, &format!("{QUEUE}\n{keys}")));
    let mut asked = vec![ask(&evenkeel, "/"), ask(&evenkeel, "/")];
    eventually("both places are taken", || (got(&a), got(&b)) == (1, 1));
    asked.extend((0..outside).map(|_| ask(&evenkeel, "/")));
    eventually("the others wait", || waiting(&evenkeel) == outside as f64);
    (evenkeel, [a, b], gates, sick, asked)
}

#[test]
fn a_server_that_goes_while_requests_wait_gets_none_of_them() {
    let health =
        "health = { path = \"/health\", interval = \"100ms\", timeout = \"100ms\", fall = 5, rise = 1 }";
    type Goes = fn(&Evenkeel, &AtomicBool);
    let ways: [(&str, &str, Goes); 3] = [
        ("", "draining", |evenkeel, _| evenkeel.set_server("app", "a", DRAIN)),
        ("", "up", |evenkeel, _| evenkeel.set_server("app", "a", "{\"weight\":0}")),
        (health, "down", |_, sick| sick.store(true, SeqCst)),
    ];
    for (keys, state, goes) in ways {
        let (evenkeel, [a, b], [gate_a, gate_b], sick, asked) = crowd(keys, 4);
        goes(&evenkeel, &sick);
        eventually("it goes", || evenkeel.server("app", "a")["state"] == state);
        gate_a.open();
        eventually("it is empty", || evenkeel.server("app", "a")["in_flight"] == 0);
        assert_eq!((waiting(&evenkeel), got(&a)), (4.0, 1), "{state}");
        gate_b.open();
        asked.into_iter().for_each(|request| assert_eq!(request.join().unwrap().0, 200));
        assert_eq!((got(&a), got(&b)), (1, 5), "{state}");
    }
}

#[test]
fn a_server_that_comes_back_while_requests_wait_gets_some_of_them() {
    let (evenkeel, [a, b], [gate_a, gate_b], _, asked) = crowd("", 3);
    evenkeel.set_server("app", "a", DRAIN);
    gate_a.open();
    eventually("it is empty", || evenkeel.server("app", "a")["in_flight"] == 0);
    assert_eq!((waiting(&evenkeel), got(&a)), (3.0, 1));
    evenkeel.set_server("app", "a", READY);
    eventually("it gets those who wait", || (waiting(&evenkeel), got(&a)) == (0.0, 4));
    gate_b.open();
    asked.into_iter().for_each(|request| assert_eq!(request.join().unwrap().0, 200));
    assert_eq!(got(&b), 1);
}

#[test]
fn a_server_that_was_out_when_requests_came_gets_those_who_wait_when_it_comes() {
    for keys in ["", "breaker = { max_requests = 1 }\n"] {
        let gate = Gate::default();
        let (a, b) = (Origin::held("a", &gate), Origin::named("b"));
        let evenkeel = Evenkeel::start(&pool_of(&[&a, &b], 1, &format!("{keys}{QUEUE}")));
        evenkeel.set_server("app", "b", DRAIN);
        let held = ask(&evenkeel, "/");
        eventually("the place is taken", || a.count() == 1);
        let other = ask(&evenkeel, "/");
        eventually("it waits", || waiting(&evenkeel) == 1.0);
        evenkeel.set_server("app", "b", READY);
        evenkeel.set_server("app", "a", DRAIN);
        gate.open();
        assert_eq!(held.join().unwrap(), (200, "a".to_owned()));
        assert_eq!(other.join().unwrap(), (200, "b".to_owned()), "{keys}");
    }
}

#[test]
fn a_queued_request_learns_that_the_last_server_has_gone() {
    let (evenkeel, servers, gates, _, asked) = crowd("", 2);
    for name in ["a", "b"] {
        evenkeel.set_server("app", name, DRAIN);
    }
    eventually("nobody waits", || waiting(&evenkeel) == 0.0);
    gates.iter().for_each(Gate::open);
    let answers: Vec<_> = asked.into_iter().map(|request| request.join().unwrap()).collect();
    assert!(answers[..2].iter().all(|(status, _)| *status == 200), "{answers:?}");
    let told = |text: &String| text.contains("no healthy server");
    assert!(answers[2..].iter().all(|(status, text)| *status == 503 && told(text)), "{answers:?}");
    assert_eq!(evenkeel.metric("evenkeel_requests_refused_total", &["reason=\"no_backend\""]), 2.0);
    assert_eq!(servers.map(|server| server.count()), [1, 1]);
}

#[test]
fn a_queued_request_goes_to_no_removed_server_if_there_is_another() {
    let (evenkeel, [a, b], [gate_a, gate_b], _, asked) = crowd("", 3);
    let answer = evenkeel.reload(&pool_of(&[&b], 1, QUEUE));
    assert_eq!(answer.status / 100, 2, "{}", answer.text());
    gate_a.open();
    let mut client = Client::connect(evenkeel.address());
    let late = thread::spawn(move || client.get("/").text());
    eventually("all wait", || waiting(&evenkeel) == 4.0);
    gate_b.open();
    asked.into_iter().for_each(|request| assert_eq!(request.join().unwrap().0, 200));
    assert_eq!(late.join().unwrap(), "b");
    assert_eq!((got(&a), got(&b)), (1, 5));
}

/// The server `a`, which answers `/hold` with `held` when the gate opens.
fn own(gate: &Gate, held: String) -> Origin {
    let gate = gate.clone();
    let server = Origin::start(move |request, wire| {
        let answer = if request.target() == "/hold" {
            gate.wait();
            held.clone()
        } else {
            ok("a")
        };
        wire.send(answer);
    });
    server.called("a")
}

/// The cookie of the server `a`.
fn cookie_of_a(evenkeel: &Evenkeel) -> String {
    loop {
        let answer = evenkeel.get("/cookie");
        if answer.text() == "a" {
            return answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        }
    }
}

fn ask_as(evenkeel: &Evenkeel, cookie: &str, target: &'static str) -> Asked {
    let (address, fields) = (evenkeel.address(), format!("cookie: {cookie}\r\n"));
    thread::spawn(move || {
        let answer = Client::connect(address).get_with(target, &fields);
        (answer.status, answer.text())
    })
}

#[test]
fn a_client_that_waits_for_its_own_server_moves_when_that_goes() {
    let gate = Gate::default();
    let (a, b) = (own(&gate, ok("a")), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool_of(&[&a, &b], 1, &format!("{STICKY}\n{QUEUE}")));
    let cookie = cookie_of_a(&evenkeel);
    let before = a.count();
    let held = ask_as(&evenkeel, &cookie, "/hold");
    eventually("the place is taken", || a.count() == before + 1);
    let weightless = ask_as(&evenkeel, &cookie, "/");
    eventually("it waits", || waiting(&evenkeel) == 1.0);
    evenkeel.set_server("app", "a", "{\"weight\":0}");
    assert_eq!(waiting(&evenkeel), 1.0, "one that belongs to a server of weight 0 goes on waiting");
    evenkeel.set_server("app", "a", DRAIN);
    assert_eq!(weightless.join().unwrap(), (200, "b".to_owned()));
    gate.open();
    assert_eq!(held.join().unwrap().0, 200);
}

#[test]
fn a_client_waits_for_its_own_server_of_weight_0() {
    let gate = Gate::default();
    let (a, b) = (own(&gate, ok("a")), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool_of(&[&a, &b], 1, &format!("{STICKY}\n{QUEUE}")));
    let cookie = cookie_of_a(&evenkeel);
    evenkeel.set_server("app", "a", "{\"weight\":0}");
    let before = a.count();
    let held = ask_as(&evenkeel, &cookie, "/hold");
    eventually("the place is taken", || a.count() == before + 1);
    let other = ask_as(&evenkeel, &cookie, "/");
    eventually("it waits", || waiting(&evenkeel) == 1.0);
    gate.open();
    assert_eq!(other.join().unwrap(), (200, "a".to_owned()));
    assert_eq!(held.join().unwrap().0, 200);
}

#[test]
fn clients_that_wait_for_their_own_server_move_when_its_circuit_breaker_opens() {
    let gate = Gate::default();
    let (a, b) = (own(&gate, answer(503, "", "sick")), Origin::named("b"));
    let breaker = "server_breaker = { failures = \"30%\", requests_min = 1, open_for = \"1h\" }";
    let evenkeel = Evenkeel::start(&pool_of(&[&a, &b], 1, &format!("{breaker}\n{STICKY}\n{QUEUE}")));
    let cookie = cookie_of_a(&evenkeel);
    let before = a.count();
    let first = ask_as(&evenkeel, &cookie, "/hold");
    eventually("the place is taken", || a.count() == before + 1);
    let others: Vec<_> = (0..4).map(|_| ask_as(&evenkeel, &cookie, "/hold")).collect();
    eventually("they wait", || waiting(&evenkeel) == 4.0);
    gate.open();
    assert_eq!(first.join().unwrap(), (503, "sick".to_owned()));
    let others: Vec<_> = others.into_iter().map(|other| other.join().unwrap()).collect();
    let moved = others.iter().filter(|answer| **answer == (200, "b".to_owned())).count();
    // One may have had the first one's place before that one's failure was known.
    assert!(moved >= 3 && moved + a.count() == 4 + before + 1, "{others:?}, {} at its own", a.count());
    assert_eq!(waiting(&evenkeel), 0.0);
}
